//! Speed of an open disk without FUSE: `cargo bench --bench disk`, or some of it:
//! `cargo bench --bench disk -- write::vaes512`.
//!
//! One thread on a disk of 64 MiB over a payload in memory, requests as the kernel makes them: 1 MiB
//! one after the other, and 4 KiB here and there. `plain` is a disk that is not encrypted: what it
//! takes is the way, without the cipher.
//!
//! EVSFS_BENCH_DIR=/dev/shm lays the payload into a file there, with the system calls that this costs.

// A program for people.
#![allow(clippy::unwrap_used)]

use divan::Bencher;
use divan::counter::BytesCount;
use evsfs::backing::{Backing, FileBacking, MemoryBacking};
use evsfs::crypto::{Dk, Kernel, SectorCipher};
use evsfs::disk::{Access, Disk};
use evsfs::units::{ByteLen, ByteOffset, SectorSize};
use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

const SIZE: u64 = 64 << 20;
const SEQUENTIAL: usize = 1 << 20;
const RANDOM: usize = 4 << 10;

fn main() {
    divan::main();
}

type Places = Box<dyn Iterator<Item = ByteOffset>>;

/// A kind of disk; without a kernel it is not encrypted.
#[derive(Clone, Copy)]
struct Case {
    kernel: Option<Kernel>,
    sector: SectorSize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.kernel.map_or("plain", Kernel::name), self.sector.bytes())
    }
}

fn cases() -> impl Iterator<Item = Case> {
    let kernels = || std::iter::once(None).chain(Kernel::available().map(Some));
    SectorSize::ALL
        .into_iter()
        .rev()
        .flat_map(move |sector| kernels().map(move |kernel| Case { kernel, sector }))
}

#[divan::bench(args = cases())]
fn read_1m_in_sequence(bencher: Bencher<'_, '_>, case: Case) {
    let bench = Bench::of(case);
    let mut places = in_sequence(SEQUENTIAL);
    bencher.counter(BytesCount::new(SEQUENTIAL)).bench_local(|| {
        bench.disk.read_with(places.next().unwrap(), SEQUENTIAL, |bytes| bytes.len()).unwrap()
    });
}

#[divan::bench(args = cases())]
fn write_1m_in_sequence(bencher: Bencher<'_, '_>, case: Case) {
    let bench = Bench::of(case);
    let (mut places, data) = (in_sequence(SEQUENTIAL), vec![0x5a; SEQUENTIAL]);
    bencher
        .counter(BytesCount::new(SEQUENTIAL))
        .bench_local(|| bench.disk.write_at(places.next().unwrap(), &data).unwrap());
}

#[divan::bench(args = cases())]
fn read_4k_at_random(bencher: Bencher<'_, '_>, case: Case) {
    let bench = Bench::of(case);
    let mut places = at_random(RANDOM);
    bencher.counter(BytesCount::new(RANDOM)).bench_local(|| {
        bench.disk.read_with(places.next().unwrap(), RANDOM, |bytes| bytes.len()).unwrap()
    });
}

/// Two threads at a time, which share the disk's guards and counters and nothing else.
#[divan::bench(args = cases(), threads = [2])]
fn read_4k_by_two(bencher: Bencher<'_, '_>, case: Case) {
    thread_local! {
        static PLACES: RefCell<Places> = RefCell::new(Box::new(at_random(RANDOM)));
    }
    let bench = Bench::of(case);
    bencher.counter(BytesCount::new(RANDOM)).bench(|| {
        let place = PLACES.with_borrow_mut(Iterator::next).unwrap();
        bench.disk.read_with(place, RANDOM, |bytes| bytes.len()).unwrap()
    });
}

#[divan::bench(args = cases())]
fn write_4k_at_random(bencher: Bencher<'_, '_>, case: Case) {
    let bench = Bench::of(case);
    let (mut places, data) = (at_random(RANDOM), vec![0x5a; RANDOM]);
    bencher
        .counter(BytesCount::new(RANDOM))
        .bench_local(|| bench.disk.write_at(places.next().unwrap(), &data).unwrap());
}

/// A write that is no whole sector: it is read, patched and written.
#[divan::bench(args = cases())]
fn write_100_bytes_at_random(bencher: Bencher<'_, '_>, case: Case) {
    let bench = Bench::of(case);
    let mut places = at_random(RANDOM).map(|place| place.checked_add(ByteLen::new(77)).unwrap());
    bencher.bench_local(|| bench.disk.write_at(places.next().unwrap(), &[0x5a; 100]).unwrap());
}

/// A disk that is full of data, and the file of its payload, if it has one.
struct Bench {
    disk: Disk,
    payload: Option<PathBuf>,
}

impl Bench {
    fn of(case: Case) -> Bench {
        let cipher = match case.kernel {
            None => SectorCipher::null(case.sector),
            Some(kernel) => {
                SectorCipher::xts_aes_256(Dk::generate().unwrap(), case.sector, kernel).unwrap()
            }
        };
        let size = ByteLen::new(SIZE);
        let payload = std::env::var_os("EVSFS_BENCH_DIR").map(|directory| {
            let name = format!("evsfs-bench-{}", std::process::id());
            PathBuf::from(directory).canonicalize().unwrap().join(name)
        });
        let backing: Box<dyn Backing> = match &payload {
            Some(path) => Box::new(FileBacking::create(path, size).unwrap()),
            None => Box::new(MemoryBacking::new(size)),
        };
        let disk = Disk::open(backing, cipher, size, Access::ReadWrite).unwrap();
        let data = vec![0x5a; SEQUENTIAL];
        for place in in_sequence(SEQUENTIAL).take(SIZE as usize / SEQUENTIAL) {
            disk.write_at(place, &data).unwrap();
        }
        Bench { disk, payload }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(path) = &self.payload {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Request by request to the end, and again.
fn in_sequence(len: usize) -> impl Iterator<Item = ByteOffset> {
    (0..SIZE).step_by(len).cycle().map(ByteOffset::new)
}

/// Requests all over the disk (xorshift64).
fn at_random(len: usize) -> impl Iterator<Item = ByteOffset> {
    let (mut state, len) = (0x9E37_79B9_7F4A_7C15_u64, len as u64);
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ByteOffset::new(state % (SIZE / len) * len)
    })
}
