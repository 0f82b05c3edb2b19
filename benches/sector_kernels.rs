//! Speed of the sector kernels: `cargo bench --bench sector_kernels`.
//!
//! All kernels that this processor can run, or those named: `cargo bench --bench sector_kernels --
//! vaes256 batched`. `-- --list` prints the names, one a line, the fastest first.
//!
//! One thread, one buffer worked on again and again, so that what is measured is the cipher and the
//! first cache levels it lives in, not the memory. 4 KiB is the smallest common request, 1 MiB the
//! largest the kernel sends. Kernels take turns, each figure is the median of its rounds, and time is
//! the thread's own time on a core, so that other work on the machine disturbs little and all alike.

// A program for people.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use evsfs::crypto::Dk;
use evsfs::crypto::Kernel;
use evsfs::crypto::Sealed;
use evsfs::crypto::SectorBuf;
use evsfs::crypto::SectorCipher;
use evsfs::units::SectorIndex;
use evsfs::units::SectorSize;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::hint::black_box;
use std::time::Duration;

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(40);
const BUFFERS: [(&str, usize); 2] = [("4 KiB", 4 << 10), ("1 MiB", 1 << 20)];

/// What is measured, in the order of the columns.
#[derive(Clone, Copy)]
enum Work {
    /// Plaintext into another buffer: the path of whole-sector writes.
    SealFrom,
    /// In place: the path of partial writes.
    Seal,
    /// In place: the path of reads.
    Open,
    /// In place, of sectors that were never written.
    OpenHoles,
}

const COLUMNS: [(&str, Work); 4] = [
    ("seal from", Work::SealFrom),
    ("seal", Work::Seal),
    ("open", Work::Open),
    ("open holes", Work::OpenHoles),
];

fn main() {
    // Cargo itself passes --bench.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.iter().any(|word| word == "--list") {
        Kernel::available().for_each(|kernel| println!("{}", kernel.name()));
        return;
    }
    let kernels: Vec<Kernel> = if words.is_empty() {
        Kernel::available().collect()
    } else {
        words.iter().map(|word| Kernel::from_name(word).unwrap()).collect()
    };
    println!("GB/s, one thread, median of {ROUNDS} rounds\n");
    print!("{:<11} {:>5} {:>7}", "kernel", "unit", "buffer");
    COLUMNS.iter().for_each(|(name, _)| print!(" {name:>11}"));
    println!();
    for size in SectorSize::ALL {
        for (buffer, bytes) in BUFFERS {
            let rows = measure(&kernels, size, bytes);
            for (kernel, row) in kernels.iter().zip(&rows) {
                print_row(kernel.name(), size, buffer, *row, "");
            }
            let batched = kernels.iter().position(|kernel| *kernel == Kernel::Batched);
            if let Some(batched) = batched.filter(|at| *at > 0) {
                let ratio = std::array::from_fn(|column| rows[0][column] / rows[batched][column]);
                print_row("1st/batched", size, buffer, ratio, "x");
            }
        }
    }
}

type Row = [f64; COLUMNS.len()];

fn print_row(name: &str, size: SectorSize, buffer: &str, row: Row, unit: &str) {
    print!("{name:<11} {:>5} {buffer:>7}", size.bytes());
    for figure in row {
        print!(" {:>11}", format!("{figure:.2}{unit}"));
    }
    println!();
}

/// A row of figures for each kernel.
fn measure(kernels: &[Kernel], size: SectorSize, bytes: usize) -> Vec<Row> {
    let mut rows = vec![[0.0; COLUMNS.len()]; kernels.len()];
    for (column, (_, work)) in COLUMNS.into_iter().enumerate() {
        let mut benches: Vec<Bench> =
            kernels.iter().map(|kernel| Bench::new(work, *kernel, size, bytes)).collect();
        let mut rounds = vec![[0.0; ROUNDS]; kernels.len()];
        for round in 0..ROUNDS {
            for (bench, rounds) in benches.iter_mut().zip(&mut rounds) {
                rounds[round] = bench.gigabytes_a_second();
            }
        }
        for (row, rounds) in rows.iter_mut().zip(&mut rounds) {
            rounds.sort_by(f64::total_cmp);
            row[column] = rounds[ROUNDS / 2];
        }
    }
    rows
}

/// One kernel at one work.
struct Bench {
    work: Work,
    size: SectorSize,
    cipher: SectorCipher,
    plain: Vec<u8>,
    buffer: Vec<u8>,
}

impl Bench {
    fn new(work: Work, kernel: Kernel, size: SectorSize, bytes: usize) -> Self {
        let cipher = SectorCipher::xts_aes_256(Dk::generate().unwrap(), size, kernel).unwrap();
        let plain = vec![0x5a_u8; bytes];
        let buffer = match work {
            Work::OpenHoles => vec![0; bytes],
            Work::SealFrom | Work::Seal | Work::Open => plain.clone(),
        };
        Bench { work, size, cipher, plain, buffer }
    }

    fn gigabytes_a_second(&mut self) -> f64 {
        let start = time_on_core();
        let mut done = 0_usize;
        loop {
            // Several between two looks at the clock, so that the clock does not count.
            for _ in 0..16 {
                self.once();
            }
            done += 16 * self.plain.len();
            let passed = time_on_core().saturating_sub(start);
            if passed >= ROUND {
                return done as f64 / passed.as_secs_f64() / 1e9;
            }
        }
    }

    fn once(&mut self) {
        let first = SectorIndex::new(1 << 20);
        let buffer = black_box(&mut self.buffer);
        match self.work {
            Work::SealFrom => {
                let plain = black_box(&self.plain);
                black_box(self.cipher.seal_from(first, plain, buffer).as_sealed());
            }
            Work::Seal => {
                // Opening nothing is the only way to a plain buffer without a cipher's work.
                let null = SectorCipher::null(self.size);
                let plain = null.open(first, SectorBuf::<Sealed>::to_load(buffer, self.size));
                black_box(self.cipher.seal(first, plain).as_sealed());
            }
            Work::Open | Work::OpenHoles => {
                let sealed = SectorBuf::<Sealed>::to_load(buffer, self.size);
                black_box(self.cipher.open(first, sealed).as_plain());
            }
        }
    }
}

fn time_on_core() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}
