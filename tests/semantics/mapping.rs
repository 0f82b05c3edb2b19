//! Disks in memory.

use crate::support::files::{assert_same, content, open, open_rw, read, read_aligned, write};
use crate::support::{Mapping, Needs, Variant, trials_of};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mm::MapFlags;

pub fn trials() -> Vec<Trial> {
    let fuse = Needs::Fuse;
    [
        trials_of(
            "f5_a_shared_mapping_writes_the_disk",
            fuse,
            Variant::ALL,
            f5_a_shared_mapping_writes_the_disk,
        ),
        trials_of(
            "f5_what_was_mapped_is_there_without_msync_once_it_is_closed",
            fuse,
            Variant::CACHES,
            f5_what_was_mapped_is_there_without_msync_once_it_is_closed,
        ),
        trials_of(
            "f5_a_mapping_sees_what_is_written",
            fuse,
            Variant::CACHES,
            f5_a_mapping_sees_what_is_written,
        ),
        trials_of(
            "f5_a_private_mapping_writes_nothing",
            fuse,
            Variant::CACHES,
            f5_a_private_mapping_writes_nothing,
        ),
        trials_of(
            "f5_the_last_page_may_be_partly_past_the_end",
            fuse,
            &[Variant::SMALL_SECTORS, Variant::SMALL_UNCACHED],
            f5_the_last_page_may_be_partly_past_the_end,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SIZE: usize = 1 << 20;

/// F5: mmap works, shared, and what a shared mapping wrote is there after msync: through other
/// files, cached and direct, and after a new attach.
fn f5_a_shared_mapping_writes_the_disk(variant: Variant) {
    let rig = variant.disk("1M");
    let mut expected = content(1, SIZE);
    let file = open_rw(rig.path(), OFlags::empty());
    write(&file, 0, &expected);
    let mut mapping = Mapping::shared(&file, SIZE);
    assert_same("the mapping", &mapping.read(0, SIZE), &expected);
    for (seed, (at, len)) in (2..).zip([(0, 1), (4095, 2), (70_000, 9001), (SIZE - 1, 1)]) {
        let bytes = content(seed, len);
        mapping.write(at, &bytes);
        expected[at..at + len].copy_from_slice(&bytes);
    }
    mapping.sync();
    let cached = open(rig.path(), OFlags::RDONLY).unwrap();
    assert_same("a cached file", &read(&cached, 0, SIZE), &expected);
    let direct = open(rig.path(), OFlags::RDONLY | OFlags::DIRECT).unwrap();
    assert_same("a direct file", &read_aligned(&direct, 0, SIZE), &expected);
    drop((mapping, file, cached, direct));
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("after a new attach", &read(&file, 0, SIZE), &expected);
}

/// F5 and D7: unmapping and closing lose nothing either; detach has the kernel write it back.
fn f5_what_was_mapped_is_there_without_msync_once_it_is_closed(variant: Variant) {
    let rig = variant.disk("1M");
    let bytes = content(1, 300_000);
    let file = open_rw(rig.path(), OFlags::empty());
    let mut mapping = Mapping::shared(&file, SIZE);
    // The file may be closed before the mapping goes.
    drop(file);
    mapping.write(12_345, &bytes);
    drop(mapping);
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("after a new attach", &read(&file, 12_345, bytes.len()), &bytes);
    assert_same("what lies before", &read(&file, 0, 12_345), &vec![0; 12_345]);
}

/// F5, the other way: a mapping shows what write(2) wrote, cached or direct.
fn f5_a_mapping_sees_what_is_written(variant: Variant) {
    let rig = variant.disk("1M");
    let file = open_rw(rig.path(), OFlags::empty());
    let direct = open_rw(rig.path(), OFlags::DIRECT);
    let mapping = Mapping::shared(&file, SIZE);
    assert_same("the empty disk", &mapping.read(0, SIZE), &vec![0; SIZE]);
    write(&file, 5000, &content(1, 10_000));
    assert_same("after a write", &mapping.read(5000, 10_000), &content(1, 10_000));
    write(&direct, 65_536, &content(2, 8192));
    assert_same("after a direct write", &mapping.read(65_536, 8192), &content(2, 8192));
}

/// F5: mmap works, private: what it changes stays with it.
fn f5_a_private_mapping_writes_nothing(variant: Variant) {
    let rig = variant.disk("1M");
    let expected = content(1, SIZE);
    write(&open_rw(rig.path(), OFlags::empty()), 0, &expected);
    // It takes no right to write.
    let file = open(rig.path(), OFlags::RDONLY).unwrap();
    assert_eq!(Mapping::of(&file, SIZE, MapFlags::SHARED).err(), Some(Errno::ACCESS));
    let mut mapping = Mapping::private(&file, SIZE);
    assert_same("the mapping", &mapping.read(0, SIZE), &expected);
    mapping.write(4000, &[0x55; 300]);
    assert_eq!(mapping.read(4000, 300), [0x55; 300]);
    assert_same("the file", &read(&file, 0, SIZE), &expected);
    drop((mapping, file));
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("after a new attach", &read(&file, 0, SIZE), &expected);
}

/// F5, where sectors are smaller than pages: the disk's part of the last page is written, the rest
/// of it is nobody's.
fn f5_the_last_page_may_be_partly_past_the_end(variant: Variant) {
    let size = SIZE + 512;
    let rig = variant.disk(&size.to_string());
    let file = open_rw(rig.path(), OFlags::empty());
    let mut mapping = Mapping::shared(&file, SIZE + 4096);
    mapping.write(SIZE, &content(1, 4096));
    mapping.sync();
    drop((mapping, file));
    assert_eq!(rig.size(), size as u64);
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("the last sector", &read(&file, SIZE as u64, 512), &content(1, 4096)[..512]);
    assert_eq!(rig.counter("errors"), 0);
}
