//! What was acknowledged is there: S1.

use crate::rig::{Kind, numbered_block, open_rw, open_with, read_at};
use crate::support::{Mount, Needs, trial};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Kills of the daemon in one trial.
const ROUNDS: u64 = 4;
/// Blocks of one round; no writer gets so far before the kill.
const BLOCKS: u64 = 100_000;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "s1_what_fsync_acknowledged_survives_sigkill",
            Needs::Fuse,
            s1_what_fsync_acknowledged_survives_sigkill,
        ),
        trial(
            "s1_what_synchronous_writes_acknowledged_survives_sigkill",
            Needs::Fuse,
            s1_what_synchronous_writes_acknowledged_survives_sigkill,
        ),
        trial(
            "s1_every_acknowledged_write_survives_sigkill",
            Needs::Fuse,
            s1_every_acknowledged_write_survives_sigkill,
        ),
    ]
}

/// Writes one numbered block and makes it durable in some way.
type Store = fn(&Path, u64) -> Result<()>;

fn block_at(number: u64) -> u64 {
    number % 2048 * 4096
}

fn write(file: &File, number: u64) -> Result<()> {
    file.write_all_at(&numbered_block(number), block_at(number))
}

fn by_fsync(path: &Path, number: u64) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    write(&file, number)?;
    file.sync_all()
}

fn by_fdatasync(path: &Path, number: u64) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    write(&file, number)?;
    file.sync_data()
}

/// close(2) flushes; its errors are asked for by closing a duplicate, as the standard library
/// swallows those of the last one.
fn by_close(path: &Path, number: u64) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    write(&file, number)?;
    drop(file);
    std::fs::metadata(path).map(drop)
}

/// Runs writers against disks of both kinds, kills the daemon under them, and looks for all that
/// was acknowledged; several times, on the same disks.
fn survives(stores: &[Store]) {
    let mount = Mount::new();
    let mut disks = Vec::new();
    for (at, store) in stores.iter().enumerate() {
        for (kind, name) in Kind::BOTH.into_iter().zip(["sealed", "plain"]) {
            let file = mount.attached_disk(&format!("{name}-{at}"), "8M", kind.options());
            // What each of the disk's places must hold: the number of its last acknowledged block.
            disks.push((file, *store, vec![0_u64; 2048]));
        }
    }
    for round in 0..ROUNDS {
        let first = round * BLOCKS + 1;
        let writers: Vec<_> = disks
            .iter()
            .map(|(file, store, _)| {
                let acknowledged = Arc::new(AtomicU64::new(first - 1));
                let (file, store, told) = (file.clone(), *store, acknowledged.clone());
                let writer = std::thread::spawn(move || {
                    for number in first..first + BLOCKS {
                        if store(&file, number).is_err() {
                            break;
                        }
                        told.store(number, Ordering::Release);
                    }
                });
                (writer, acknowledged)
            })
            .collect();
        std::thread::sleep(Duration::from_millis(150 + 90 * round));
        mount.kill();
        let mut acknowledged = Vec::new();
        for (writer, told) in writers {
            writer.join().unwrap();
            acknowledged.push(told.load(Ordering::Acquire));
        }
        mount.start();
        for ((file, _, expected), last) in disks.iter_mut().zip(acknowledged) {
            assert!(last >= first, "round {round}: nothing was acknowledged before the kill");
            for number in first..=last {
                expected[(block_at(number) / 4096) as usize] = number;
            }
            let content = read_at(file, 0, 8 << 20);
            for (place, number) in expected.iter().enumerate() {
                // The block under way at the kill may be there or not.
                let found = &content[place * 4096..(place + 1) * 4096];
                let is_next = block_at(last + 1) == place as u64 * 4096;
                let is_there = *number == 0 && found.iter().all(|byte| *byte == 0)
                    || *number > 0 && found == numbered_block(*number)
                    || is_next && found == numbered_block(last + 1);
                assert!(is_there, "round {round}: block {number} is lost of {}", file.display());
            }
            if read_at(file, block_at(last + 1), 4096) == numbered_block(last + 1) {
                expected[(block_at(last + 1) / 4096) as usize] = last + 1;
            }
        }
    }
}

/// S1: what was written before an fsync, fdatasync or close that returned 0 survives SIGKILL of
/// the daemon.
fn s1_what_fsync_acknowledged_survives_sigkill() {
    survives(&[by_fsync, by_fdatasync]);
}

/// S1: the same of O_DSYNC and O_SYNC writes.
fn s1_what_synchronous_writes_acknowledged_survives_sigkill() {
    survives(&[
        |path, number| write(&try_open(path, OFlags::DSYNC)?, number),
        |path, number| write(&try_open(path, OFlags::SYNC)?, number),
        by_close,
    ]);
}

fn try_open(path: &Path, flags: OFlags) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// "SIGKILL of the daemon loses nothing that write(2) acknowledged": the page cache is written
/// through.
fn s1_every_acknowledged_write_survives_sigkill() {
    let mount = Mount::new();
    let file = mount.attached_disk("db", "8M", Kind::USUAL.options());
    let open = open_rw(&file);
    let direct = open_with(&file, OFlags::DIRECT);
    for number in 0..2048 {
        write(&open, number).unwrap();
    }
    drop(direct);
    mount.kill();
    drop(open);
    mount.start();
    for number in 0..2048 {
        assert_eq!(read_at(&file, block_at(number), 4096), numbered_block(number));
    }
}
