//! Any offset, any length, any alignment; with and without the kernel's cache.

use crate::support::files::{
    AlignedBuffer, assert_same, content, open, open_rw, read, read_aligned, write,
};
use crate::support::{Needs, Variant, trials_of};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use std::os::unix::fs::FileExt;

pub fn trials() -> Vec<Trial> {
    let fuse = Needs::Fuse;
    [
        trials_of(
            "f1_any_offset_and_any_length_work",
            fuse,
            Variant::ALL,
            f1_any_offset_and_any_length_work,
        ),
        trials_of(
            "f1_a_partial_write_keeps_its_neighbours",
            fuse,
            Variant::ALL,
            f1_a_partial_write_keeps_its_neighbours,
        ),
        trials_of(
            "f1_requests_of_many_megabytes_are_whole",
            fuse,
            Variant::CACHES,
            f1_requests_of_many_megabytes_are_whole,
        ),
        trials_of(
            "f1_vectored_and_sequential_calls_work",
            fuse,
            Variant::CACHES,
            f1_vectored_and_sequential_calls_work,
        ),
        trials_of(
            "f6_o_direct_works_at_sector_alignment",
            fuse,
            Variant::ALL,
            f6_o_direct_works_at_sector_alignment,
        ),
        trials_of(
            "f6_cached_and_direct_descriptors_see_each_other",
            fuse,
            Variant::ALL,
            f6_cached_and_direct_descriptors_see_each_other,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Edges of sectors, pages, the disk layer's regions and requests, and what lies beside them.
fn ranges() -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    for edge in [0, 512, 4096, 65_536, 1 << 20, 2 << 20] {
        for before in [0_usize, 1, 511, 513, 4095] {
            for len in [1, 2, 511, 512, 513, 4096, 4097, 70_001] {
                if let Some(offset) = usize::checked_sub(edge, before) {
                    ranges.push((offset, len));
                }
            }
        }
    }
    ranges.push((777, (1 << 20) + 1));
    ranges
}

/// F1: Reads and writes work at any offset and of any length, aligned or not.
fn f1_any_offset_and_any_length_work(variant: Variant) {
    let rig = variant.disk("4M");
    let mut expected = vec![0; 4 << 20];
    let file = open_rw(rig.path(), OFlags::empty());
    for (seed, (offset, len)) in (1..).zip(ranges()) {
        let bytes = content(seed, len);
        write(&file, offset as u64, &bytes);
        expected[offset..offset + len].copy_from_slice(&bytes);
        // One byte more on each side where there is one.
        let (from, to) = (offset.saturating_sub(1), offset + len + 1);
        let found = read(&file, from as u64, to - from);
        assert_same(&format!("{len} bytes at {offset}"), &found, &expected[from..to]);
    }
    assert_same("the whole disk", &read(&file, 0, expected.len()), &expected);
    drop(file);
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    for (offset, len) in ranges() {
        let found = read(&file, offset as u64, len);
        let what = format!("{len} bytes at {offset} after a new attach");
        assert_same(&what, &found, &expected[offset..offset + len]);
    }
    assert_same("the whole disk after a new attach", &read(&file, 0, expected.len()), &expected);
}

/// F1: a partial write keeps its neighbours.
fn f1_a_partial_write_keeps_its_neighbours(variant: Variant) {
    let rig = variant.disk("1M");
    let mut expected = content(1, 1 << 20);
    let file = open_rw(rig.path(), OFlags::empty());
    write(&file, 0, &expected);
    let places =
        [(0, 1), (1, 1), (510, 4), (4095, 1), (4095, 2), (8191, 4099), (65_535, 2), (1_048_575, 1)];
    for (offset, len) in places {
        let bytes = vec![0xA5; len];
        write(&file, offset as u64, &bytes);
        expected[offset..offset + len].copy_from_slice(&bytes);
    }
    assert_same("through the same file", &read(&file, 0, expected.len()), &expected);
    drop(file);
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("after a new attach", &read(&file, 0, expected.len()), &expected);
}

/// F1: of any length: one write(2) and one read(2) of more than the kernel puts in one request.
fn f1_requests_of_many_megabytes_are_whole(variant: Variant) {
    let rig = variant.disk("16M");
    let bytes = content(2, (9 << 20) + 12_345);
    for flags in [OFlags::empty(), OFlags::SYNC] {
        let file = open_rw(rig.path(), flags);
        assert_eq!(file.write_at(&bytes, 4321).unwrap(), bytes.len());
        let mut found = vec![0; bytes.len()];
        assert_eq!(file.read_at(&mut found, 4321).unwrap(), bytes.len());
        assert_same("read back", &found, &bytes);
        drop(file);
        rig.reattach();
        let file = open_rw(rig.path(), OFlags::empty());
        assert_same("after a new attach", &read(&file, 4321, bytes.len()), &bytes);
    }
}

/// F1, for readv, writev, read and write with a file position, and O_APPEND's absence.
fn f1_vectored_and_sequential_calls_work(variant: Variant) {
    use std::io::{IoSlice, Read, Seek, SeekFrom, Write};
    let rig = variant.disk("1M");
    let mut file = open_rw(rig.path(), OFlags::empty());
    file.seek(SeekFrom::Start(1000)).unwrap();
    let (first, second) = (content(3, 777), content(4, 5001));
    let written = file.write_vectored(&[IoSlice::new(&first), IoSlice::new(&second)]).unwrap();
    assert_eq!(written, first.len() + second.len());
    file.write_all(b"the end").unwrap();
    file.seek(SeekFrom::Start(1000)).unwrap();
    let mut found = vec![0; written + 7];
    file.read_exact(&mut found).unwrap();
    assert_same("read in order", &found, &[first.as_slice(), &second, b"the end"].concat());
    assert_eq!(file.stream_position().unwrap(), 1000 + found.len() as u64);
    assert_eq!(file.seek(SeekFrom::End(-1)).unwrap(), (1 << 20) - 1);
}

/// F6: O_DIRECT works at sector alignment.
fn f6_o_direct_works_at_sector_alignment(variant: Variant) {
    let rig = variant.disk("4M");
    let sector = variant.sector_size;
    let mut expected = vec![0; 4 << 20];
    let file = open_rw(rig.path(), OFlags::DIRECT);
    let places = [(0, 1), (1, 1), (7, 3), (15, 2), (100, 33), (200, 256), (511, 300)];
    for (seed, (first, sectors)) in (1..).zip(places) {
        let (offset, len) = (first * sector, sectors * sector);
        let bytes = content(seed, len);
        write(&file, offset as u64, &bytes);
        expected[offset..offset + len].copy_from_slice(&bytes);
        assert_same("read back", &read_aligned(&file, offset as u64, len), &bytes);
    }
    // In the whole and to the end.
    let mut whole = AlignedBuffer::new(expected.len());
    assert_eq!(file.read_at(whole.bytes(), 0).unwrap(), expected.len());
    assert_same("the whole disk", whole.bytes(), &expected);
    let end = (4 << 20) - sector;
    write(&file, end as u64, &content(9, sector));
    assert_same("the last sector", &read_aligned(&file, end as u64, sector), &content(9, sector));
}

/// F6, beside the kernel's cache: what either kind of descriptor wrote, the other reads at once.
fn f6_cached_and_direct_descriptors_see_each_other(variant: Variant) {
    let rig = variant.disk("1M");
    let mut expected = vec![0; 1 << 20];
    let cached = open_rw(rig.path(), OFlags::empty());
    let direct = open_rw(rig.path(), OFlags::DIRECT);
    // The cache is full of what the direct writes make old.
    assert_same("the empty disk", &read(&cached, 0, expected.len()), &expected);
    for round in 0..20 {
        let offset = (round * 5 + 1) * 4096;
        let bytes = content(round as u64 + 1, 3 * 4096);
        write(&direct, offset as u64, &bytes);
        expected[offset..offset + bytes.len()].copy_from_slice(&bytes);
        let found = read(&cached, 0, expected.len());
        assert_same("the cached file after a direct write", &found, &expected);

        let odd = offset + 1001;
        let bytes = content(round as u64 + 100, 3000);
        write(&cached, odd as u64, &bytes);
        expected[odd..odd + bytes.len()].copy_from_slice(&bytes);
        let found = read_aligned(&direct, 0, expected.len());
        assert_same("the direct file after a cached write", &found, &expected);
    }
    let again = open(rig.path(), OFlags::RDONLY).unwrap();
    assert_same("a file opened later", &read(&again, 0, expected.len()), &expected);
}
