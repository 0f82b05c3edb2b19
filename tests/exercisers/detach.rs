//! Detaching under load.

use crate::amount::Amount;
use crate::report;
use crate::support::files::{content, open_rw};
use crate::support::{Mount, Needs, Variant, trials_of};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub fn trials() -> Vec<Trial> {
    let variants = [Variant::USUAL, Variant::UNCACHED, Variant::UNENCRYPTED];
    trials_of("d8_detach_under_load", Needs::Fuse, &variants, d8_detach_under_load)
}

/// Detaches a disk whose last file was closed just now: the kernel tells of it in its own time.
#[track_caller]
pub fn eventually_detached(mount: &Mount, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = mount.evsfs(&["disk", "detach", name]);
        if output.code == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{name} stays in use: {output:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const WRITERS: u64 = 4;
const BLOCK: usize = 4096;

/// D7, D8: four writers that synchronise each block. A plain detach is refused, a forced one ends them
/// with ENODEV or EIO; every block whose fsync returned is there after the next attachment.
fn d8_detach_under_load(variant: Variant) {
    let rounds = Amount::of(3, 100);
    let rig = variant.disk("4M");
    let mut acknowledged = 0;
    for round in 0..rounds {
        let begun = AtomicUsize::new(0);
        let durable: Vec<u64> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|number| {
                    let (path, begun) = (rig.path(), &begun);
                    scope.spawn(move || write_until_detached(path, round, number, begun))
                })
                .collect();
            let deadline = Instant::now() + Duration::from_secs(60);
            while begun.load(Ordering::Relaxed) < 40 && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(rig.mount.evsfs(&["disk", "detach", "db"]).code, 4, "it is open");
            rig.mount.evsfs(&["disk", "detach", "db", "--force", "--yes"]).ok();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        rig.mount.evsfs(&["disk", "attach", "db"]).ok();
        let found = std::fs::read(rig.path()).unwrap();
        for (number, count) in durable.into_iter().enumerate() {
            // Later writes of the same block may have come after it: the last of each is looked at.
            for index in count.saturating_sub(BLOCKS)..count {
                let at = block_of(number as u64, index);
                let (this, next) =
                    (stamp(round, number, index), stamp(round, number, index + BLOCKS));
                let block = &found[at..at + BLOCK];
                assert!(block == this || block == next, "round {round}: {number} {index} is lost");
            }
            acknowledged += count;
        }
    }
    report(&format!("{rounds} forced detaches under load, {acknowledged} durable blocks: 0 lost"));
}

/// Blocks each writer has to itself.
const BLOCKS: u64 = 128;

fn block_of(number: u64, index: u64) -> usize {
    usize::try_from(number * BLOCKS + index % BLOCKS).unwrap() * BLOCK
}

fn stamp(round: u64, number: usize, index: u64) -> Vec<u8> {
    content((round << 40) + ((number as u64) << 32) + index, BLOCK)
}

fn write_until_detached(
    path: &std::path::Path,
    round: u64,
    number: u64,
    begun: &AtomicUsize,
) -> u64 {
    let file = open_rw(path, OFlags::empty());
    let mut index = 0;
    loop {
        let bytes = stamp(round, usize::try_from(number).unwrap(), index);
        let written = file.write_all_at(&bytes, block_of(number, index) as u64);
        if let Err(error) = written.and_then(|()| file.sync_data()) {
            let errno = Errno::from_io_error(&error).unwrap();
            assert!([Errno::NODEV, Errno::IO].contains(&errno), "{errno:?}");
            return index;
        }
        index += 1;
        begun.fetch_add(1, Ordering::Relaxed);
    }
}
