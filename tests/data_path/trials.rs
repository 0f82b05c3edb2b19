//! The trials.

use crate::counting::allocations;
use crate::rig::Rig;
use crate::support::files::{AlignedBuffer, open_rw};
use crate::support::{Needs, trial};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use std::os::unix::fs::FileExt;

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "requests_are_as_long_as_asked_and_allocate_nothing",
        Needs::Root,
        requests_are_as_long_as_asked_and_allocate_nothing,
    )]
}

const SIZE: usize = 1 << 20;

/// `reads` and `writes` of the disk.
fn requests(rig: &Rig) -> (u64, u64) {
    let counters = rig.read(".evs/disks/db/io");
    let number = |name: &str| -> u64 {
        let line = counters.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse().unwrap()
    };
    (number("reads: "), number("writes: "))
}

/// A read or a write of 1 MiB is one request; so is what the kernel reads ahead. From the kernel's
/// device to the payload and back no thread asks for memory.
fn requests_are_as_long_as_asked_and_allocate_nothing() {
    let rig = Rig::new();
    rig.disk("db");
    rig.write(".evs/disks/db/attach", "rw").unwrap();
    let path = rig.path("db");

    let direct = open_rw(&path, OFlags::DIRECT);
    let mut long = AlignedBuffer::new(SIZE);
    let mut short = AlignedBuffer::new(4096);
    let mut round = || {
        for _ in 0..50 {
            direct.write_all_at(long.bytes(), 0).unwrap();
            direct.read_exact_at(long.bytes(), 0).unwrap();
            direct.write_all_at(short.bytes(), 8192).unwrap();
            direct.read_exact_at(short.bytes(), 4096).unwrap();
        }
    };
    // Every event loop gets its buffers, whichever of them the kernel chooses later.
    round();
    round();
    let (reads, writes) = requests(&rig);
    let before = allocations();
    round();
    let asked = allocations() - before;
    // At most the buffer of an event loop that had nothing to do before.
    assert!(asked <= 2, "{asked} allocations for 200 requests");
    let (more_reads, more_writes) = requests(&rig);
    assert_eq!((more_reads - reads, more_writes - writes), (100, 100));

    // Read in small pieces through the page cache: what the kernel asks for itself is long.
    drop(direct);
    rig.write(".evs/disks/db/extend", "16M").unwrap();
    let cached = std::fs::File::open(&path).unwrap();
    let (reads, _) = requests(&rig);
    let mut piece = [0; 4096];
    for at in (0..16 * SIZE).step_by(piece.len()) {
        cached.read_exact_at(&mut piece, at as u64).unwrap();
    }
    let (more_reads, _) = requests(&rig);
    // 128 KiB, what the kernel reads ahead by itself, would be 128.
    assert!(more_reads - reads <= 32, "{} requests for 16 MiB", more_reads - reads);
}
