//! Speed of the sector kernels: `cargo bench --bench sector_kernels`.
//!
//! One thread, one buffer worked on again and again, so that what is measured is the cipher and the
//! first cache levels it lives in, not the memory. 4 KiB is the smallest common request, 1 MiB the
//! largest the kernel sends. Each figure is the median of several rounds.

// A program for people.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use evsfs::crypto::Dk;
use evsfs::crypto::Kernel;
use evsfs::crypto::Sealed;
use evsfs::crypto::SectorBuf;
use evsfs::crypto::SectorCipher;
use evsfs::units::SectorIndex;
use evsfs::units::SectorSize;
use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(60);
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
    println!("GB/s, one thread, median of {ROUNDS} rounds\n");
    print!("{:<10} {:>6} {:>7}", "kernel", "sector", "buffer");
    for (name, _) in COLUMNS {
        print!(" {name:>11}");
    }
    println!();
    for size in SectorSize::ALL {
        for (buffer, bytes) in BUFFERS {
            let rows = Kernel::ALL.map(|kernel| {
                let row = COLUMNS.map(|(_, work)| gigabytes_a_second(work, kernel, size, bytes));
                print_row(kernel.name(), size, buffer, row, "");
                row
            });
            let [fast, oracle] = rows;
            let ratio = std::array::from_fn(|at| fast[at] / oracle[at]);
            print_row("ratio", size, buffer, ratio, "x");
        }
    }
}

fn print_row(name: &str, size: SectorSize, buffer: &str, row: [f64; COLUMNS.len()], unit: &str) {
    print!("{name:<10} {:>6} {buffer:>7}", size.bytes());
    for figure in row {
        print!(" {:>11}", format!("{figure:.2}{unit}"));
    }
    println!();
}

fn gigabytes_a_second(work: Work, kernel: Kernel, size: SectorSize, bytes: usize) -> f64 {
    let cipher = SectorCipher::xts_aes_256(Dk::generate().unwrap(), size, kernel).unwrap();
    let first = SectorIndex::new(1 << 20);
    let plain = vec![0x5a_u8; bytes];
    let mut buffer = match work {
        Work::OpenHoles => vec![0; bytes],
        Work::SealFrom | Work::Seal | Work::Open => plain.clone(),
    };
    let mut once = || match work {
        Work::SealFrom => {
            black_box(cipher.seal_from(first, black_box(&plain), &mut buffer).as_sealed());
        }
        Work::Seal => {
            // Opening nothing is the only way to a plain buffer without a cipher's work.
            let null = SectorCipher::null(size);
            let buffer = SectorBuf::<Sealed>::to_load(black_box(&mut buffer), size);
            black_box(cipher.seal(first, null.open(first, buffer)).as_sealed());
        }
        Work::Open | Work::OpenHoles => {
            let buffer = SectorBuf::<Sealed>::to_load(black_box(&mut buffer), size);
            black_box(cipher.open(first, buffer).as_plain());
        }
    };
    let mut rounds = [0.0; ROUNDS];
    for round in &mut rounds {
        let start = Instant::now();
        let mut done = 0_usize;
        while start.elapsed() < ROUND {
            // Several between two looks at the clock, so that the clock does not count.
            for _ in 0..16 {
                once();
            }
            done += 16 * bytes;
        }
        *round = done as f64 / start.elapsed().as_secs_f64() / 1e9;
    }
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
