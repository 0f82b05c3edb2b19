//! The end of the disk, and truncation.

use crate::support::files::{
    AlignedBuffer, assert_same, content, errno, open, open_rw, read, write,
};
use crate::support::{DiskRig, Needs, Variant, run, trials_of};
use libtest_mimic::Trial;
use rustix::fs::{OFlags, ftruncate};
use rustix::io::Errno;
use std::os::unix::fs::FileExt;

pub fn trials() -> Vec<Trial> {
    let fuse = Needs::Fuse;
    [
        trials_of(
            "f2_a_read_past_the_end_is_short",
            fuse,
            Variant::ALL,
            f2_a_read_past_the_end_is_short,
        ),
        trials_of(
            "f3_a_write_past_the_end_fails_with_enospc",
            fuse,
            Variant::ALL,
            f3_a_write_past_the_end_fails_with_enospc,
        ),
        trials_of(
            "f3_a_write_across_the_end_is_short",
            fuse,
            Variant::ALL,
            f3_a_write_across_the_end_is_short,
        ),
        trials_of(
            "f3_a_writer_that_goes_on_ends_at_the_end",
            fuse,
            Variant::CACHES,
            f3_a_writer_that_goes_on_ends_at_the_end,
        ),
        trials_of("f4_o_trunc_is_ignored", fuse, Variant::CACHES, f4_o_trunc_is_ignored),
        trials_of("f4_ftruncate_is_refused", fuse, Variant::CACHES, f4_ftruncate_is_refused),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Not a multiple of a page where sectors allow it, so that the last page is partly a disk's.
fn size(variant: Variant) -> usize {
    (1 << 20) + variant.sector_size
}

fn full_disk(variant: Variant) -> (DiskRig, Vec<u8>) {
    let rig = variant.disk(&size(variant).to_string());
    let expected = content(1, size(variant));
    write(&open_rw(rig.path(), OFlags::empty()), 0, &expected);
    (rig, expected)
}

/// The size everyone is told.
#[track_caller]
fn assert_size(rig: &DiskRig, size: usize) {
    use std::io::{Seek, SeekFrom};
    assert_eq!(rig.size(), size as u64);
    let mut file = open(rig.path(), OFlags::RDONLY).unwrap();
    assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), size as u64);
}

/// F2: A read that reaches past the end is short; one that starts at the end gives nothing.
fn f2_a_read_past_the_end_is_short(variant: Variant) {
    let (rig, expected) = full_disk(variant);
    let end = expected.len();
    let mut buffer = AlignedBuffer::new(3 << 20);
    for flags in [OFlags::empty(), OFlags::DIRECT] {
        let file = open(rig.path(), OFlags::RDONLY | flags).unwrap();
        for before in
            [1, 2, 64 * 1024].map(|sectors| sectors * 512).into_iter().filter(|b| *b <= end)
        {
            let before = before.next_multiple_of(variant.sector_size).min(end);
            let got = file.read_at(buffer.bytes(), (end - before) as u64).unwrap();
            assert_same("a short read", &buffer.bytes()[..got], &expected[end - before..]);
        }
        assert_eq!(file.read_at(buffer.bytes(), 0).unwrap(), end);
        for past in [0, variant.sector_size, 5 << 20] {
            assert_eq!(file.read_at(buffer.bytes(), (end + past) as u64).unwrap(), 0);
        }
    }
    let cached = open(rig.path(), OFlags::RDONLY).unwrap();
    let got = cached.read_at(buffer.bytes(), end as u64 - 3).unwrap();
    assert_same("an odd short read", &buffer.bytes()[..got], &expected[end - 3..]);
    assert_eq!(cached.read_at(buffer.bytes(), end as u64 + 1).unwrap(), 0);
}

/// F3: A write that starts at or past the end fails with ENOSPC.
fn f3_a_write_past_the_end_fails_with_enospc(variant: Variant) {
    let (rig, expected) = full_disk(variant);
    let end = expected.len();
    let mut buffer = AlignedBuffer::new(2 << 20);
    for flags in [OFlags::empty(), OFlags::DIRECT, OFlags::DSYNC, OFlags::DIRECT | OFlags::SYNC] {
        let file = open_rw(rig.path(), flags);
        for past in [0, variant.sector_size, 4096, 1 << 30] {
            for len in [variant.sector_size, 2 << 20] {
                let refused = errno(file.write_at(&buffer.bytes()[..len], (end + past) as u64));
                assert_eq!(refused, Errno::NOSPC, "{len} bytes {past} past the end, {flags:?}");
            }
        }
        assert_size(&rig, end);
    }
    let cached = open_rw(rig.path(), OFlags::empty());
    assert_eq!(errno(cached.write_at(b"x", end as u64)), Errno::NOSPC);
    assert_eq!(errno(cached.write_at(b"x", end as u64 + 777)), Errno::NOSPC);
    assert_eq!(cached.write_at(b"", end as u64).unwrap(), 0);
    // O_APPEND writes at the end.
    let appending = open_rw(rig.path(), OFlags::APPEND);
    assert_eq!(errno(rustix::io::write(&appending, b"x").map_err(Into::into)), Errno::NOSPC);
    assert_size(&rig, end);
    assert_same("what was there", &read(&cached, 0, end), &expected);
}

/// F3: one that crosses the end is short.
fn f3_a_write_across_the_end_is_short(variant: Variant) {
    let (rig, mut expected) = full_disk(variant);
    let end = expected.len();
    for (seed, flags) in (2..).zip([OFlags::empty(), OFlags::DIRECT, OFlags::DSYNC]) {
        let file = open_rw(rig.path(), flags);
        for (sectors, len) in [(1, 2 * variant.sector_size), (3, 64 * 1024), (5, 3 << 20)] {
            let mut buffer = AlignedBuffer::new(len);
            buffer.bytes().copy_from_slice(&content(seed, len));
            let inside = sectors * variant.sector_size;
            let written = file.write_at(buffer.bytes(), (end - inside) as u64).unwrap();
            assert_eq!(written, inside.min(len), "{len} bytes {inside} before the end, {flags:?}");
            expected[end - inside..][..written].copy_from_slice(&buffer.bytes()[..written]);
            assert_size(&rig, end);
        }
    }
    let cached = open_rw(rig.path(), OFlags::empty());
    assert_eq!(cached.write_at(b"abc", end as u64 - 1).unwrap(), 1);
    expected[end - 1] = b'a';
    assert_same("the cached file", &read(&cached, 0, end), &expected);
    drop(cached);
    rig.reattach();
    let cached = open_rw(rig.path(), OFlags::empty());
    assert_same("after a new attach", &read(&cached, 0, end), &expected);
}

/// F3, as programs meet it: dd stops at the end, and says why.
fn f3_a_writer_that_goes_on_ends_at_the_end(variant: Variant) {
    let (rig, _) = full_disk(variant);
    for more in ["bs=1M", "bs=10000", "bs=64K oflag=direct"] {
        let target = format!("of={}", rig.path_str());
        let mut arguments = vec!["if=/dev/zero", &target];
        arguments.extend(more.split(' '));
        let message = run("dd", &arguments).refused(1);
        assert!(message.contains("No space left on device"), "{more}: {message}");
        assert!(message.contains(&format!("{} bytes", size(variant))), "{more}: {message}");
    }
    assert_size(&rig, size(variant));
}

/// F4: O_TRUNC is ignored as on a block device.
fn f4_o_trunc_is_ignored(variant: Variant) {
    let (rig, mut expected) = full_disk(variant);
    for flags in [OFlags::WRONLY, OFlags::RDWR, OFlags::RDWR | OFlags::DIRECT, OFlags::RDONLY] {
        drop(open(rig.path(), flags | OFlags::TRUNC).unwrap());
        assert_size(&rig, expected.len());
    }
    drop(open(rig.path(), OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC).unwrap());
    std::fs::write(rig.path(), b"head").unwrap();
    expected[..4].copy_from_slice(b"head");
    assert_size(&rig, expected.len());
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("what was there", &read(&file, 0, expected.len()), &expected);
    drop(file);
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("after a new attach", &read(&file, 0, expected.len()), &expected);
}

/// F4: ftruncate to another size fails with EPERM and to the same size does nothing.
fn f4_ftruncate_is_refused(variant: Variant) {
    let (rig, expected) = full_disk(variant);
    let end = expected.len() as u64;
    for flags in [OFlags::empty(), OFlags::DIRECT] {
        let file = open_rw(rig.path(), flags);
        for other in [0, 1, 4096, end - 1, end + 1, end * 2] {
            assert_eq!(ftruncate(&file, other), Err(Errno::PERM), "to {other}, {flags:?}");
            assert_size(&rig, expected.len());
        }
        ftruncate(&file, end).unwrap();
    }
    run("truncate", &["-s", "4096", rig.path_str()]).refused(1);
    run("truncate", &["-s", &end.to_string(), rig.path_str()]).ok();
    assert_size(&rig, expected.len());
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("what was there", &read(&file, 0, expected.len()), &expected);
}
