//! What makes data durable, seen in the flushes that reach the daemon.

use crate::support::files::{AlignedBuffer, open, open_rw};
use crate::support::{DiskRig, Mapping, Needs, Variant, run, trials_alone_of, trials_of};
use libtest_mimic::Trial;
use rustix::fs::{OFlags, fdatasync, fsync};
use rustix::io::ReadWriteFlags;
use std::io::IoSlice;
use std::os::unix::fs::FileExt;

pub fn trials() -> Vec<Trial> {
    let fuse = Needs::Fuse;
    [
        trials_of(
            "f7_fsync_and_fdatasync_flush",
            fuse,
            Variant::CACHES,
            f7_fsync_and_fdatasync_flush,
        ),
        trials_alone_of(
            "f7_o_sync_and_o_dsync_flush_at_each_write",
            fuse,
            Variant::ALL,
            f7_o_sync_and_o_dsync_flush_at_each_write,
        ),
        trials_of(
            "f7_control_files_and_directories_can_be_synced",
            fuse,
            Variant::CACHES,
            f7_control_files_and_directories_can_be_synced,
        ),
        trials_of("f7_close_and_msync_flush", fuse, Variant::CACHES, f7_close_and_msync_flush),
        trials_of(
            "f7_programs_that_sync_succeed",
            fuse,
            Variant::CACHES,
            f7_programs_that_sync_succeed,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Does something after which the daemon must have flushed at least once more.
#[track_caller]
fn assert_flushes(rig: &DiskRig, what: &str, work: impl FnOnce()) {
    let before = rig.counter("flushes");
    work();
    let after = rig.counter("flushes");
    assert!(after > before, "{what}: {before} flushes before and {after} after");
}

/// F7: fsync, fdatasync work: every one of them reaches the daemon, written or not.
fn f7_fsync_and_fdatasync_flush(variant: Variant) {
    let rig = variant.disk("1M");
    for flags in [OFlags::empty(), OFlags::DIRECT] {
        let file = open_rw(rig.path(), flags);
        for _ in 0..3 {
            file.write_at(AlignedBuffer::new(4096).bytes(), 0).unwrap();
            assert_flushes(&rig, "fsync", || fsync(&file).unwrap());
            file.write_at(AlignedBuffer::new(4096).bytes(), 4096).unwrap();
            assert_flushes(&rig, "fdatasync", || fdatasync(&file).unwrap());
        }
        // Data may have been written through another file.
        assert_flushes(&rig, "fsync of nothing", || fsync(&file).unwrap());
    }
    let reader = open(rig.path(), OFlags::RDONLY).unwrap();
    assert_flushes(&rig, "fsync of a reader", || fsync(&reader).unwrap());
}

/// F7: O_SYNC and O_DSYNC work, cached and direct, and for single writes (RWF_DSYNC, RWF_SYNC).
fn f7_o_sync_and_o_dsync_flush_at_each_write(variant: Variant) {
    let rig = variant.disk("4M");
    for sync in [OFlags::SYNC, OFlags::DSYNC] {
        for flags in [sync, sync | OFlags::DIRECT] {
            let file = open_rw(rig.path(), flags);
            for (offset, len) in [(0, 4096), (8192, 4096), (1 << 20, 2 << 20)] {
                let mut bytes = AlignedBuffer::new(len);
                assert_flushes(&rig, &format!("a write with {flags:?}"), || {
                    assert_eq!(file.write_at(bytes.bytes(), offset).unwrap(), len);
                });
            }
        }
    }
    let odd = open_rw(rig.path(), OFlags::DSYNC);
    assert_flushes(&rig, "an odd write", || assert_eq!(odd.write_at(b"abc", 777).unwrap(), 3));
    for flags in [OFlags::empty(), OFlags::DIRECT] {
        let file = open_rw(rig.path(), flags);
        for flag in [ReadWriteFlags::DSYNC, ReadWriteFlags::SYNC] {
            let mut bytes = AlignedBuffer::new(4096);
            assert_flushes(&rig, &format!("a write with {flag:?} and {flags:?}"), || {
                let slices = [IoSlice::new(bytes.bytes())];
                assert_eq!(rustix::io::pwritev2(&file, &slices, 0, flag).unwrap(), 4096);
            });
        }
        // And without them no write waits for a flush.
        for _ in 0..10 {
            let before = rig.counter("flushes");
            file.write_at(AlignedBuffer::new(4096).bytes(), 0).unwrap();
            assert_eq!(rig.counter("flushes"), before, "{flags:?}");
        }
    }
}

/// F7: also on control files and directories; and the kernel, that takes a refusal there for "never
/// ask this file system again", goes on to ask for the disks.
fn f7_control_files_and_directories_can_be_synced(variant: Variant) {
    let rig = variant.disk("1M");
    let control_files = ["help", "version", "error", "disks/db/io", "disks/db/size"];
    for path in control_files.map(|path| rig.mount.control(path)) {
        let file = open(&path, OFlags::RDONLY).unwrap();
        fsync(&file).unwrap_or_else(|error| panic!("fsync {}: {error}", path.display()));
        fdatasync(&file).unwrap_or_else(|error| panic!("fdatasync {}: {error}", path.display()));
    }
    for path in ["disks/create", "disks/db/extend", "control"].map(|path| rig.mount.control(path)) {
        let file = open(&path, OFlags::WRONLY).unwrap();
        fsync(&file).unwrap_or_else(|error| panic!("fsync {}: {error}", path.display()));
    }
    let directories = [
        rig.mount.mountpoint(),
        rig.mount.control(""),
        rig.mount.control("disks"),
        rig.mount.control("disks/db"),
        rig.mount.control("keys"),
    ];
    for path in directories {
        let directory = open(&path, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
        fsync(&directory).unwrap_or_else(|error| panic!("fsync {}: {error}", path.display()));
        fdatasync(&directory)
            .unwrap_or_else(|error| panic!("fdatasync {}: {error}", path.display()));
    }
    let file = open_rw(rig.path(), OFlags::empty());
    for _ in 0..2 {
        file.write_at(b"data", 0).unwrap();
        assert_flushes(&rig, "fsync afterwards", || fsync(&file).unwrap());
        assert_flushes(&rig, "fdatasync afterwards", || fdatasync(&file).unwrap());
    }
    rustix::fs::syncfs(&file).unwrap();
}

/// F7 and S1: close(2) of what was written, and msync.
fn f7_close_and_msync_flush(variant: Variant) {
    let rig = variant.disk("1M");
    for flags in [OFlags::empty(), OFlags::DIRECT] {
        let file = open_rw(rig.path(), flags);
        file.write_at(AlignedBuffer::new(4096).bytes(), 0).unwrap();
        assert_flushes(&rig, &format!("close with {flags:?}"), || drop(file));
    }
    let file = open_rw(rig.path(), OFlags::empty());
    let mut mapping = Mapping::shared(&file, 1 << 20);
    for round in 0..3 {
        mapping.write(round * 5000, b"mapped");
        assert_flushes(&rig, "msync", || mapping.sync());
    }
}

/// F7, by programs: dd and sync(1).
fn f7_programs_that_sync_succeed(variant: Variant) {
    let rig = variant.disk("4M");
    let target = format!("of={}", rig.path_str());
    for how in ["conv=fsync,notrunc", "conv=fdatasync,notrunc", "oflag=sync", "oflag=dsync,direct"]
    {
        assert_flushes(&rig, how, || {
            run("dd", &["if=/dev/urandom", &target, "bs=64K", "count=8", how]).ok();
        });
    }
    let directory = rig.mount.mountpoint();
    assert_flushes(&rig, "sync", || {
        run("sync", &[rig.path_str()]).ok();
    });
    run("sync", &["-d", rig.path_str()]).ok();
    run("sync", &["-f", rig.path_str()]).ok();
    run("sync", &[directory.to_str().unwrap()]).ok();
}
