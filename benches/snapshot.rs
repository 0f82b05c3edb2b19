//! What snapshots and change tracking cost: `cargo bench --bench snapshot`, or parts of it by name:
//! `cargo bench --bench snapshot -- write-path copy users`.
//!
//! * The write path: 4 KiB at random places of a disk over flat memory, in nanoseconds, with the
//!   cipher and without it, as writers meet it: nothing known, changes tracked, a snapshot running
//!   whose regions are saved already, and one whose regions are not. States take turns.
//! * The copy: GB/s of a snapshot's reads over flat memory and over a file on tmpfs.
//! * Users first: 4 KiB random writes to a file on tmpfs through the disk, alone, beside a thread
//!   that copies a file of its own, and with copies of the disk running one after the other: median,
//!   99th percentile and worst, in microseconds.
//!
//! The first two are the thread's own time on a core, the quietest of several rounds, so that other
//! work on the machine disturbs little. The last is time as users see it: it needs a quiet machine.

// A program for people.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use evsfs::backing::Access;
use evsfs::backing::Backing;
use evsfs::backing::FileBacking;
use evsfs::backing::MemoryBacking;
use evsfs::crypto::Dk;
use evsfs::crypto::Kernel;
use evsfs::crypto::SectorCipher;
use evsfs::disk::ChangedRegions;
use evsfs::disk::Disk;
use evsfs::disk::SealedSource;
use evsfs::disk::Snapshot;
use evsfs::error::Result;
use evsfs::sync::Mutex;
use evsfs::units::ByteLen;
use evsfs::units::ByteOffset;
use evsfs::units::SectorSize;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

const PAGE: usize = 4096;
const SIZE: usize = 1 << 30;
const REGION: usize = 64 * 1024;
const ROUNDS: usize = 31;
const WRITES: usize = 20_000;

fn main() {
    // Cargo itself passes --bench.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let parts: [(&str, fn()); 3] =
        [("write-path", write_path), ("copy", copy_speed), ("users", users_first)];
    for (name, part) in parts {
        if words.is_empty() || words.iter().any(|word| word == name) {
            part();
        }
    }
}

fn write_path() {
    println!("4 KiB random write, ns, best of {ROUNDS} rounds\n");
    print!("{:<13} {:>8} {:>8} {:>9}", "", "unknown", "tracked", "tracking");
    println!(" {:>12} {:>10}", "saved before", "saves");
    for (name, encrypted) in [("unencrypted", false), ("encrypted", true)] {
        let disk = || open(Box::new(FlatMemory::new(64 << 20)), encrypted);
        let (unknown, tracked, saved) = (disk(), disk(), disk());
        let tracked = tracked.resume_tracking(&ChangedRegions::none());
        let saved = saved.resume_tracking(&ChangedRegions::none());
        let _snapshot = Snapshot::begin(&saved, spill()).unwrap();
        let mut best = [f64::INFINITY; 3];
        for round in 0..ROUNDS {
            for (disk, best) in [&unknown, &tracked, &saved].into_iter().zip(&mut best) {
                *best = best.min(random_writes(disk, round));
            }
        }
        let saves = (0..5).map(|_| first_writes(&unknown)).fold(f64::INFINITY, f64::min);
        let [unknown, tracked, saved] = best;
        let cost = format!("{:+.1} %", (tracked / unknown - 1.0) * 100.0);
        println!("{name:<13} {unknown:>8.1} {tracked:>8.1} {cost:>9} {saved:>12.1} {saves:>10.1}");
    }
}

/// Nanoseconds a write.
fn random_writes(disk: &Disk, seed: usize) -> f64 {
    let mut places = Places::new(seed, disk.size().get() as usize);
    let bytes = [0x5a; PAGE];
    let start = time_on_core();
    for _ in 0..WRITES {
        disk.write_at(places.next(), &bytes).unwrap();
    }
    (time_on_core() - start).as_secs_f64() * 1e9 / WRITES as f64
}

/// Nanoseconds a write, where each is the first to its region since a snapshot began.
fn first_writes(disk: &Disk) -> f64 {
    let _snapshot = Snapshot::begin(disk, Box::new(scratch_file(0).1)).unwrap();
    let regions = disk.size().get() as usize / REGION;
    let start = time_on_core();
    for region in 0..regions {
        disk.write_at(ByteOffset::new((region * REGION) as u64), &[0x5a; PAGE]).unwrap();
    }
    (time_on_core() - start).as_secs_f64() * 1e9 / regions as f64
}

fn time_on_core() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

fn spill() -> Box<dyn Backing> {
    Box::new(MemoryBacking::new(ByteLen::ZERO))
}

fn copy_speed() {
    println!("\ncopy of a snapshot, GB/s, pieces of 1 MiB, best of 5\n");
    let (_directory, file) = scratch_file(SIZE);
    let backings: [(&str, Box<dyn Backing>); 2] =
        [("flat memory", Box::new(FlatMemory::new(SIZE))), ("file, tmpfs", Box::new(file))];
    for (name, backing) in backings {
        let disk = open(backing, true);
        fill(&disk);
        let speed = |_| {
            let snapshot = Snapshot::begin(&disk, spill()).unwrap();
            let start = time_on_core();
            copy(&snapshot, || true);
            SIZE as f64 / (time_on_core() - start).as_secs_f64() / 1e9
        };
        println!("{name:<13} {:>6.2}", (0..5).map(speed).fold(0.0, f64::max));
    }
}

fn users_first() {
    println!("\n4 KiB random write, encrypted, file on tmpfs, us\n");
    println!("{:<13} {:>8} {:>8} {:>8}", "", "median", "99 %", "worst");
    let (_directory, backing) = scratch_file(SIZE);
    let disk = open(Box::new(backing), true);
    fill(&disk);
    latencies("quiet", &disk);
    beside("others busy", &disk, |done| {
        let (_directory, backing) = scratch_file(SIZE);
        let other = open(Box::new(backing), true);
        fill(&other);
        copies(&other, done);
    });
    beside("copy running", &disk, |done| copies(&disk, done));
}

/// Latencies while other work goes on until it is told that it is done.
fn beside(name: &str, disk: &Disk, work: impl Fn(&AtomicBool) + Send + Sync) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| work(&done));
        latencies(name, disk);
        done.store(true, Ordering::Relaxed);
    });
}

fn copies(disk: &Disk, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let (_directory, spill) = scratch_file(0);
        let snapshot = Snapshot::begin(disk, Box::new(spill)).unwrap();
        copy(&snapshot, || !done.load(Ordering::Relaxed));
    }
}

fn latencies(name: &str, disk: &Disk) {
    let mut places = Places::new(7, SIZE);
    let bytes = [0xa5; PAGE];
    let mut times: Vec<Duration> = (0..200_000)
        .map(|_| {
            let start = Instant::now();
            disk.write_at(places.next(), &bytes).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("{name:<13} {:>8.1} {:>8.1} {:>8.1}", at(0.5), at(0.99), at(1.0));
}

fn copy(snapshot: &dyn SealedSource, goes_on: impl Fn() -> bool) {
    let mut buffer = vec![0; 1 << 20];
    let mut next = ByteOffset::ZERO;
    while let Some(range) = snapshot.next_data(next).unwrap().filter(|_| goes_on()) {
        next = range.start;
        while next < range.end && goes_on() {
            let left = (range.end.get() - next.get()) as usize;
            let piece = left.min(buffer.len());
            snapshot.read_sealed(next, &mut buffer[..piece]).unwrap();
            next = ByteOffset::new(next.get() + piece as u64);
        }
    }
}

fn fill(disk: &Disk) {
    let bytes = vec![0x77; 1 << 20];
    for offset in (0..disk.size().get()).step_by(bytes.len()) {
        disk.write_at(ByteOffset::new(offset), &bytes).unwrap();
    }
}

fn scratch_file(size: usize) -> (tempfile::TempDir, FileBacking) {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().canonicalize().unwrap().join("payload");
    (directory, FileBacking::create(&path, ByteLen::new(size as u64)).unwrap())
}

fn open(backing: Box<dyn Backing>, encrypted: bool) -> Disk {
    let sector = SectorSize::S4096;
    let cipher = match encrypted {
        true => {
            let fastest = Kernel::available().next().unwrap();
            SectorCipher::xts_aes_256(Dk::generate().unwrap(), sector, fastest).unwrap()
        }
        false => SectorCipher::null(sector),
    };
    let size = backing.len();
    Disk::open(backing, cipher, size, Access::ReadWrite).unwrap()
}

/// Random places of whole pages, the same for the same seed.
struct Places {
    state: u64,
    pages: u64,
}

impl Places {
    fn new(seed: usize, size: usize) -> Self {
        Places { state: seed as u64 * 2 + 1, pages: (size / PAGE) as u64 }
    }

    fn next(&mut self) -> ByteOffset {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ByteOffset::new((self.state >> 33) % self.pages * PAGE as u64)
    }
}

/// Memory as quick as can be: pages side by side, no holes.
struct FlatMemory {
    pages: Vec<Mutex<Box<[u8; PAGE]>>>,
}

impl FlatMemory {
    fn new(size: usize) -> Self {
        assert_eq!(size % REGION, 0);
        let page = || Mutex::new(Box::new([1; PAGE]));
        FlatMemory { pages: std::iter::repeat_with(page).take(size / PAGE).collect() }
    }

    fn from(&self, offset: ByteOffset) -> &[Mutex<Box<[u8; PAGE]>>] {
        &self.pages[offset.get() as usize / PAGE..]
    }
}

impl Backing for FlatMemory {
    fn len(&self) -> ByteLen {
        ByteLen::new((self.pages.len() * PAGE) as u64)
    }

    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        let pieces = into.chunks_mut(PAGE).zip(self.from(offset));
        pieces.for_each(|(into, page)| into.copy_from_slice(&page.lock()[..]));
        Ok(())
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        let pieces = bytes.chunks(PAGE).zip(self.from(offset));
        pieces.for_each(|(bytes, page)| page.lock().copy_from_slice(bytes));
        Ok(())
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        let pages = self.from(offset).iter().take(len.get() as usize / PAGE);
        pages.for_each(|page| page.lock().fill(0));
        Ok(())
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        Ok((offset < self.len().end()).then_some(offset))
    }

    fn seek_hole(&self, _: ByteOffset) -> Result<Option<ByteOffset>> {
        Ok(Some(self.len().end()))
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn set_len(&self, _: ByteLen) -> Result<()> {
        Ok(())
    }

    fn allocated(&self) -> Result<ByteLen> {
        Ok(self.len())
    }
}
