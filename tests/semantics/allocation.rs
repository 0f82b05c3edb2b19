//! Space: taking it, giving it back, and seeing where it is.

use crate::support::files::{assert_same, content, open_rw, read, read_aligned, write};
use crate::support::{DiskRig, Needs, Variant, trials_of};
use libtest_mimic::Trial;
use rustix::fs::{FallocateFlags, OFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;
use std::fs::File;

pub fn trials() -> Vec<Trial> {
    let fuse = Needs::Fuse;
    [
        trials_of(
            "f8_punched_and_zeroed_ranges_read_as_zeros",
            fuse,
            Variant::ALL,
            f8_punched_and_zeroed_ranges_read_as_zeros,
        ),
        trials_of("f8_punching_gives_space_back", fuse, Variant::ALL, f8_punching_gives_space_back),
        trials_of(
            "f8_plain_fallocate_keeps_to_the_size",
            fuse,
            Variant::CACHES,
            f8_plain_fallocate_keeps_to_the_size,
        ),
        trials_of(
            "f8_zeroing_past_the_end_never_moves_it",
            fuse,
            Variant::CACHES,
            f8_zeroing_past_the_end_never_moves_it,
        ),
        trials_of(
            "f8_other_modes_are_not_supported",
            fuse,
            Variant::CACHES,
            f8_other_modes_are_not_supported,
        ),
        trials_of(
            "f9_data_and_holes_are_told_apart",
            fuse,
            Variant::ALL,
            f9_data_and_holes_are_told_apart,
        ),
        trials_of(
            "f9_seeking_past_the_end_fails_with_enxio",
            fuse,
            Variant::CACHES,
            f9_seeking_past_the_end_fails_with_enxio,
        ),
        trials_of(
            "f11_st_blocks_is_the_space_really_used",
            fuse,
            Variant::ALL,
            f11_st_blocks_is_the_space_really_used,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SIZE: usize = 4 << 20;
const PUNCH: FallocateFlags = FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE);

fn full_disk(variant: Variant) -> (DiskRig, Vec<u8>) {
    let rig = variant.disk("4M");
    let expected = content(1, SIZE);
    write(&open_rw(rig.path(), OFlags::empty()), 0, &expected);
    (rig, expected)
}

/// F8: fallocate with PUNCH_HOLE and with ZERO_RANGE makes the range read as zeros, at any
/// alignment; through files that had the old data cached too.
fn f8_punched_and_zeroed_ranges_read_as_zeros(variant: Variant) {
    let (rig, mut expected) = full_disk(variant);
    let cached = open_rw(rig.path(), OFlags::empty());
    let direct = open_rw(rig.path(), OFlags::DIRECT);
    let zero = FallocateFlags::ZERO_RANGE;
    let ranges = [
        (PUNCH, 0, 4096),
        (PUNCH, 10_001, 1),
        (zero, 20_479, 2),
        (zero, 32_768, 512),
        (PUNCH, 65_535, 131_074),
        (zero | FallocateFlags::KEEP_SIZE, 300_001, 70_000),
        (zero, 1_000_000, 1_100_001),
        (PUNCH, SIZE - 5001, 5001),
    ];
    for (how, offset, len) in ranges {
        fallocate(&cached, how, offset as u64, len as u64).unwrap();
        expected[offset..offset + len].fill(0);
        let what = format!("{how:?} of {len} bytes at {offset}");
        assert_same(&what, &read(&cached, 0, SIZE), &expected);
        assert_same(&what, &read_aligned(&direct, 0, SIZE), &expected);
    }
    drop((cached, direct));
    rig.reattach();
    let file = open_rw(rig.path(), OFlags::empty());
    assert_same("after a new attach", &read(&file, 0, SIZE), &expected);
}

/// F8: and punching gives space back.
fn f8_punching_gives_space_back(variant: Variant) {
    let (rig, _) = full_disk(variant);
    let file = open_rw(rig.path(), OFlags::empty());
    rustix::fs::fsync(&file).unwrap();
    let full = rig.used();
    assert!(full >= SIZE as u64, "{full} bytes used by a full disk of {SIZE}");
    fallocate(&file, PUNCH, 1 << 20, 2 << 20).unwrap();
    let after = rig.used();
    assert!(after <= full - (2 << 20), "{full} bytes used before, {after} after");
    // Ends that are not a sector's do not keep the rest.
    fallocate(&file, PUNCH, 1, SIZE as u64 - 2).unwrap();
    let after = rig.used();
    assert!(after <= 64 << 10, "{after} bytes used by two bytes");
    fallocate(&file, PUNCH, 0, SIZE as u64).unwrap();
    assert!(rig.used() <= 4096, "{} bytes used by nothing", rig.used());
}

/// F8: plain fallocate inside the size succeeds; past the end it fails with ENOSPC.
fn f8_plain_fallocate_keeps_to_the_size(variant: Variant) {
    let (rig, expected) = full_disk(variant);
    let file = open_rw(rig.path(), OFlags::empty());
    for how in [FallocateFlags::empty(), FallocateFlags::KEEP_SIZE] {
        for (offset, len) in [(0, SIZE), (777, 3), (SIZE - 1, 1)] {
            fallocate(&file, how, offset as u64, len as u64).unwrap();
        }
        for (offset, len) in [(SIZE, 1), (SIZE - 1, 2), (0, SIZE + 1), (SIZE * 3, 4096)] {
            let refused = fallocate(&file, how, offset as u64, len as u64);
            assert_eq!(refused, Err(Errno::NOSPC), "{how:?} of {len} bytes at {offset}");
        }
    }
    assert_eq!(rig.size(), SIZE as u64);
    assert_same("what was there", &read(&file, 0, SIZE), &expected);
}

/// F8 and F4: zeroing that would make a file larger is refused; with KEEP_SIZE what lies past the
/// end is left out, as it is for a punch.
fn f8_zeroing_past_the_end_never_moves_it(variant: Variant) {
    let (rig, mut expected) = full_disk(variant);
    let file = open_rw(rig.path(), OFlags::empty());
    let zero = FallocateFlags::ZERO_RANGE;
    for (offset, len) in [(SIZE, 1), (SIZE - 100, 101), (0, SIZE + 1)] {
        let refused = fallocate(&file, zero, offset as u64, len as u64);
        assert_eq!(refused, Err(Errno::NOSPC), "{len} bytes at {offset}");
        assert_eq!(seek(&file, SeekFrom::End(0)).unwrap(), SIZE as u64);
        assert_eq!(file.metadata().unwrap().len(), SIZE as u64);
    }
    assert_same("what was there", &read(&file, 0, SIZE), &expected);
    for how in [PUNCH, zero | FallocateFlags::KEEP_SIZE] {
        fallocate(&file, how, SIZE as u64, 4096).unwrap();
        fallocate(&file, how, SIZE as u64 - 100, 5000).unwrap();
        expected[SIZE - 100..].fill(0);
        assert_same(&format!("{how:?}"), &read(&file, 0, SIZE), &expected);
        assert_eq!(seek(&file, SeekFrom::End(0)).unwrap(), SIZE as u64);
    }
}

/// F8: other modes fail with EOPNOTSUPP.
fn f8_other_modes_are_not_supported(variant: Variant) {
    let (rig, expected) = full_disk(variant);
    let file = open_rw(rig.path(), OFlags::empty());
    let modes = [
        FallocateFlags::COLLAPSE_RANGE,
        FallocateFlags::INSERT_RANGE,
        FallocateFlags::UNSHARE_RANGE,
        FallocateFlags::PUNCH_HOLE,
    ];
    for mode in modes {
        assert_eq!(fallocate(&file, mode, 0, 65_536), Err(Errno::OPNOTSUPP), "{mode:?}");
    }
    assert_same("what was there", &read(&file, 0, SIZE), &expected);
}

/// The ranges of data, as SEEK_DATA and SEEK_HOLE tell them.
fn data_ranges(file: &File) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    let mut at = 0;
    loop {
        match seek(file, SeekFrom::Data(at)) {
            Ok(data) => {
                at = seek(file, SeekFrom::Hole(data)).unwrap();
                ranges.push((data, at));
            }
            Err(Errno::NXIO) => return ranges,
            Err(error) => panic!("SEEK_DATA from {at}: {error}"),
        }
        if at == SIZE as u64 {
            return ranges;
        }
    }
}

/// F9: SEEK_DATA and SEEK_HOLE tell data from holes at a grain of 4 KiB.
fn f9_data_and_holes_are_told_apart(variant: Variant) {
    let rig = variant.disk("4M");
    let file = open_rw(rig.path(), OFlags::empty());
    assert_eq!(data_ranges(&file), [], "an empty disk");
    assert_eq!(seek(&file, SeekFrom::Hole(0)).unwrap(), 0);
    for (offset, len) in [(5000, 1), (69_631, 2), (1_000_003, 20_000), (SIZE - 1, 1)] {
        write(&file, offset as u64, &content(1, len));
    }
    let page = |at: u64| at / 4096 * 4096;
    let expected = [
        (4096, 8192),
        (65_536 + 4096 - 4096, 65_536 + 8192),
        (page(1_000_003), page(1_020_002) + 4096),
        (SIZE as u64 - 4096, SIZE as u64),
    ];
    rustix::fs::fsync(&file).unwrap();
    assert_eq!(data_ranges(&file), expected);
    // From inside data and inside a hole.
    assert_eq!(seek(&file, SeekFrom::Data(5000)).unwrap(), 5000);
    assert_eq!(seek(&file, SeekFrom::Hole(5000)).unwrap(), 8192);
    assert_eq!(seek(&file, SeekFrom::Hole(10_001)).unwrap(), 10_001);
    assert_eq!(seek(&file, SeekFrom::Data(10_001)).unwrap(), 65_536);
    fallocate(&file, PUNCH, 1_000_000, 12_288).unwrap();
    let punched = data_ranges(&file);
    assert!(punched.contains(&(page(1_012_288), page(1_020_002) + 4096)), "{punched:?}");
    fallocate(&file, PUNCH, 0, SIZE as u64).unwrap();
    assert_eq!(data_ranges(&file), [], "a disk punched in the whole");
    assert_eq!(seek(&file, SeekFrom::Hole(0)).unwrap(), 0);
}

/// F9: past the end they fail with ENXIO.
fn f9_seeking_past_the_end_fails_with_enxio(variant: Variant) {
    let (rig, _) = full_disk(variant);
    let file = open_rw(rig.path(), OFlags::empty());
    for past in [0, 1, 4096, 1 << 40] {
        let at = SIZE as u64 + past;
        assert_eq!(seek(&file, SeekFrom::Data(at)), Err(Errno::NXIO), "data at {at}");
        assert_eq!(seek(&file, SeekFrom::Hole(at)), Err(Errno::NXIO), "hole at {at}");
    }
    assert_eq!(seek(&file, SeekFrom::Data(0)).unwrap(), 0);
    // The end of the disk is a hole.
    assert_eq!(seek(&file, SeekFrom::Hole(0)).unwrap(), SIZE as u64);
    assert_eq!(seek(&file, SeekFrom::Hole(SIZE as u64 - 1)).unwrap(), SIZE as u64);
}

/// F11: st_blocks the space really used.
fn f11_st_blocks_is_the_space_really_used(variant: Variant) {
    use std::os::unix::fs::MetadataExt;
    let rig = variant.disk("4M");
    let payload = rig.mount.payload(DiskRig::NAME);
    let of_payload = || std::fs::metadata(&payload).unwrap().blocks() * 512;
    assert_eq!(rig.used(), of_payload());
    assert!(rig.used() <= 4096, "{} bytes used by an empty disk", rig.used());
    let file = open_rw(rig.path(), OFlags::empty());
    for round in 1..5_u64 {
        write(&file, round * 500_001, &content(round, 100_000));
        rustix::fs::fsync(&file).unwrap();
        assert_eq!(rig.used(), of_payload());
        let (least, most) = (round * 100_000, round * (100_000 + 3 * 4096) + 4096);
        assert!((least..=most).contains(&rig.used()), "{} bytes used, round {round}", rig.used());
    }
}
