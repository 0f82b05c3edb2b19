//! Which regions a disk says have changed.

use super::rig::{Make, at, copy, data, len, spill};
use evsfs::disk::{ChangedRegions, Disk, Snapshot};
use evsfs::error::ErrorKind;
use evsfs::units::ByteLen;
use proptest::prelude::*;

const SIZE: usize = 8 << 20;
const REGION: usize = 64 * 1024;

/// The numbers of changed regions.
fn regions(changed: &ChangedRegions) -> Vec<usize> {
    let mut found = Vec::new();
    let mut next = at(0);
    while let Some(range) = changed.next_range(next) {
        found.extend(range.start.get() as usize / REGION..range.end.get() as usize / REGION);
        next = range.end;
    }
    assert_eq!(changed.total(), len(found.len() * REGION));
    assert_eq!(changed.is_empty(), found.is_empty());
    for number in 0..SIZE / REGION {
        let is_changed = found.contains(&number);
        assert_eq!(changed.contains(at(number * REGION)), is_changed);
        assert_eq!(changed.contains(at((number + 1) * REGION - 1)), is_changed);
    }
    found
}

fn back_up(disk: &Disk) -> Option<Vec<usize>> {
    let snapshot = Snapshot::begin(disk, spill().0).unwrap();
    let found = snapshot.changes().map(regions);
    copy(&snapshot, 1 << 20).unwrap();
    snapshot.conclude();
    found
}

#[test]
fn exactly_the_regions_that_were_touched_are_changed() {
    for make in Make::ALL {
        let (disk, _) = make.in_memory(SIZE as u64);
        disk.write_at(at(0), &data(1, 4 << 20)).unwrap();
        assert!(disk.changed_regions().is_none(), "nothing is known before the first backup");
        assert_eq!(back_up(&disk), None);
        assert_eq!(back_up(&disk), Some(vec![]));
        disk.write_at(at(REGION - 1), b"ab").unwrap();
        disk.write_at(at(7 * REGION), &data(2, 2 * REGION)).unwrap();
        disk.discard(at(20 * REGION + 5), len(REGION)).unwrap();
        // No data there: no change.
        disk.discard(at(70 * REGION), len(10 * REGION)).unwrap();
        disk.flush().unwrap();
        let wanted = vec![0, 1, 7, 8, 20, 21];
        assert_eq!(disk.changed_regions().as_ref().map(regions), Some(wanted.clone()));
        assert_eq!(back_up(&disk), Some(wanted));
        assert_eq!(back_up(&disk), Some(vec![]));
    }
}

#[test]
fn changes_belong_to_the_backup_that_comes_to_an_end_and_are_lost_by_none_that_fails() {
    let (disk, _) = Make::ALL[1].in_memory(SIZE as u64);
    back_up(&disk);
    disk.write_at(at(0), b"before").unwrap();
    let snapshot = Snapshot::begin(&disk, spill().0).unwrap();
    disk.write_at(at(3 * REGION), b"during").unwrap();
    assert_eq!(snapshot.changes().map(regions), Some(vec![0]));
    // A disk that is detached now does not know yet how the backup ends.
    assert_eq!(disk.changed_regions().as_ref().map(regions), Some(vec![0, 3]));
    drop(snapshot);
    assert_eq!(disk.changed_regions().as_ref().map(regions), Some(vec![0, 3]));
    let snapshot = Snapshot::begin(&disk, spill().0).unwrap();
    disk.write_at(at(5 * REGION), b"during").unwrap();
    assert_eq!(snapshot.changes().map(regions), Some(vec![0, 3]));
    snapshot.conclude();
    assert_eq!(disk.changed_regions().as_ref().map(regions), Some(vec![5]));
}

#[test]
fn a_first_backup_that_fails_leaves_nothing_known() {
    let (disk, _) = Make::ALL[1].in_memory(SIZE as u64);
    let snapshot = Snapshot::begin(&disk, spill().0).unwrap();
    assert!(snapshot.changes().is_none() && disk.changed_regions().is_none());
    drop(snapshot);
    assert!(disk.changed_regions().is_none());
    assert_eq!(back_up(&disk), None);
}

/// A clean restart loses nothing.
#[test]
fn tracking_goes_on_in_another_life_of_the_disk() {
    let make = Make::ALL[1];
    let (disk, payload) = make.in_memory(SIZE as u64);
    back_up(&disk);
    disk.write_at(at(9 * REGION), b"first life").unwrap();
    disk.revoke();
    let kept = disk.changed_regions().unwrap().to_bytes();
    drop(disk);
    let kept = ChangedRegions::from_bytes(&kept).unwrap();
    let disk = make.open(payload, SIZE as u64).resume_tracking(&kept);
    disk.write_at(at(2 * REGION), b"second life").unwrap();
    assert_eq!(back_up(&disk), Some(vec![2, 9]));
}

/// The region with the old end holds more than the backup before has of it.
#[test]
fn a_region_that_becomes_longer_has_changed() {
    let make = Make::ALL[0];
    let (disk, _) = make.in_memory(10 * REGION as u64 + 512);
    back_up(&disk);
    disk.extend(len(20 * REGION)).unwrap();
    disk.extend(len(30 * REGION)).unwrap();
    assert_eq!(back_up(&disk), Some(vec![10]));
}

#[test]
fn changes_everywhere_on_a_disk_too_large_to_note_them_are_not_known() {
    let (disk, _) = Make::ALL[3].in_memory(64 << 40);
    let disk = disk.resume_tracking(&ChangedRegions::none());
    for leaf in 0..(16 << 40) / (256 << 20) {
        disk.write_at(at(leaf * (256 << 20)), &[1; 4096]).unwrap();
    }
    assert_eq!(disk.changed_regions().unwrap().total(), ByteLen::new(4 << 30));
    disk.write_at(at(40 << 40), &[1; 4096]).unwrap();
    assert!(disk.changed_regions().is_none());
}

/// The document of a few regions, byte for byte: it is read for as long as there are backups.
#[test]
fn the_document_is_what_it_always_was() {
    let (disk, _) = Make::ALL[3].in_memory(1 << 30);
    let disk = disk.resume_tracking(&ChangedRegions::none());
    for region in [0, 1, 70, 4096 + 4095] {
        disk.write_at(at(region * REGION), b"x").unwrap();
    }
    let bytes = disk.changed_regions().unwrap().to_bytes();
    let mut wanted = b"evschgd\0\x01\0\0\0\0\0\x01\0\x02\0\0\0".to_vec();
    wanted.extend([0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 64]);
    wanted.resize(20 + 516, 0);
    wanted.extend([1, 0, 0, 0]);
    wanted.resize(20 + 2 * 516, 0);
    wanted[20 + 2 * 516 - 1] = 0x80;
    assert!(bytes[..bytes.len() - 32] == wanted);
    let checksum: String =
        bytes[bytes.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(checksum, "cbacb531d7dadadcbf5d5e9c816bf3644903edf2293f90e149ff744ac376f3ec");
}

fn document() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec((0..1_u64 << 30, 1..300_u64), 0..6).prop_map(|runs| {
        let (disk, _) = Make::ALL[3].in_memory(64 << 40);
        let disk = disk.resume_tracking(&ChangedRegions::none());
        for (first, count) in runs {
            for region in first..(first + count).min(1 << 30) {
                disk.write_at(at(region as usize * REGION), b"x").unwrap();
            }
        }
        disk.changed_regions().unwrap().to_bytes()
    })
}

fn refused(bytes: &[u8]) -> bool {
    ChangedRegions::from_bytes(bytes).is_err_and(|error| error.kind() == ErrorKind::Integrity)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_document_reads_back_and_any_damage_to_it_is_refused(
        document in document(), at in any::<usize>(), flip in 1..=255_u8, extra in any::<u8>(),
    ) {
        let read = ChangedRegions::from_bytes(&document).unwrap();
        prop_assert!(read.to_bytes() == document);
        let at = at % document.len();
        let mut damaged = document.clone();
        damaged[at] ^= flip;
        prop_assert!(refused(&damaged));
        prop_assert!(refused(&document[..at]));
        damaged.clone_from(&document);
        damaged.push(extra);
        prop_assert!(refused(&damaged));
    }

    #[test]
    fn bytes_that_are_no_document_are_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        leaves in any::<u32>(),
    ) {
        prop_assert!(refused(&bytes));
        let mut bytes = bytes;
        bytes.splice(0..0, *b"evschgd\0\x01\0\0\0\0\0\x01\0");
        bytes.splice(16..16, leaves.to_le_bytes());
        prop_assert!(refused(&bytes));
    }
}
