//! Copies that end before their time.

use crate::rig::{self, CHUNK, EndsAfter, Shelf, Shelved};
use evsfs::archive::{
    Archive, Changes, NewArchive, Unmetered, merge_into_child, verify, write_full,
    write_incremental,
};
use evsfs::backing::{Damage, Operation};
use evsfs::error::ErrorKind;
use evsfs::id::BackupId;
use rustix::io::Errno;
use std::panic::{AssertUnwindSafe, catch_unwind};

const CHUNKS: usize = 40;

fn three() -> (Shelf, [Shelved; 3], [Vec<u8>; 3]) {
    let shelf = Shelf::new();
    let mut disk = vec![0; CHUNKS * CHUNK - 512];
    for chunk in disk.chunks_mut(3 * CHUNK) {
        chunk[0] = 1;
    }
    let states = [
        disk.clone(),
        {
            disk[CHUNK..9 * CHUNK].fill(2);
            disk[12 * CHUNK..13 * CHUNK].fill(0);
            disk.clone()
        },
        {
            disk[4 * CHUNK..6 * CHUNK].fill(3);
            disk.clone()
        },
    ];
    let full = shelf.full(&rig::payload(&states[0]));
    let chain = shelf.chain(&[&full]).unwrap();
    let middle = shelf.incremental(&rig::payload(&states[1]), &chain, Changes::Unknown);
    let chain = shelf.chain(&[&middle, &full]).unwrap();
    let newest = shelf.incremental(&rig::payload(&states[2]), &chain, Changes::Unknown);
    (shelf, [full, middle, newest], states)
}

/// RULES S2, and the module's promise: a copy that is cancelled leaves nothing.
#[test]
fn a_copy_ended_at_any_step_leaves_no_file_behind() {
    let (shelf, [full, middle, newest], states) = three();
    let before = shelf.names();
    let source = rig::payload(&states[1]);
    let mut ended = 0;
    for steps in 0.. {
        let new = NewArchive::create(&shelf.place(BackupId::random())).unwrap();
        match write_full(&source, None, new, &EndsAfter::new(steps)) {
            // Not kept: goes as well.
            Ok(_) => break,
            Err(error) => assert_eq!(error.message(), "ended by the test"),
        }
        assert_eq!(shelf.names(), before);
        ended += 1;
    }
    assert!(ended > 3);
    let chain = shelf.chain(&[&newest, &middle, &full]).unwrap();
    let new = NewArchive::create(&shelf.place(BackupId::random())).unwrap();
    let ended = write_incremental(&source, &chain, Changes::Unknown, None, new, &EndsAfter::new(1));
    assert!(ended.is_err());
    assert_eq!(shelf.names(), before);
}

#[test]
fn a_source_that_fails_at_any_read_ends_the_copy_and_leaves_nothing() {
    let shelf = Shelf::new();
    let source = rig::payload(&vec![7; CHUNKS * CHUNK]);
    let healthy = source.backing.operations();
    let backup = shelf.full(&source);
    let operations = source.backing.operations() - healthy;
    Archive::remove_files(&shelf.place(backup.id)).unwrap();
    for skip in 0..operations {
        source.backing.fail_after(skip, Errno::IO, Damage::Clean);
        let new = NewArchive::create(&shelf.place(BackupId::random())).unwrap();
        let error = write_full(&source, None, new, &Unmetered).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(shelf.names().is_empty(), "{:?}", shelf.names());
        source.backing.heal();
    }
    source.backing.fail_operation_after(Operation::Read, operations, Errno::IO);
    shelf.full(&source);
}

/// The order in `merge_into_child`: killed anywhere before the record is saved, the old chain is
/// whole, and the merge can be done again or cleaned up.
#[test]
fn a_merge_killed_at_any_step_leaves_the_old_state_and_can_be_repeated_or_tidied() {
    for repeats in [true, false] {
        let mut killed = 0;
        for steps in 0.. {
            let (shelf, [full, mut middle, newest], states) = three();
            let (names, ranges) = (shelf.names(), data_ranges(&shelf, &middle));
            let (child, parent) = (shelf.open(&middle), shelf.open(&full));
            let finished = catch_unwind(AssertUnwindSafe(|| {
                // Dropped: killed just before its record is saved.
                drop(merge_into_child(&child, &parent, &EndsAfter::killing(steps)).unwrap());
            }))
            .is_ok();
            killed += u32::from(!finished);
            let chain = shelf.chain(&[&newest, &middle, &full]).unwrap();
            verify(&chain, &Unmetered).unwrap();
            assert!(rig::content(&chain).unwrap() == states[2]);
            if repeats {
                let merged = merge_into_child(&child, &parent, &Unmetered).unwrap();
                middle.record = merged.record().clone();
                // Killed between record and tidying: both manifests are there.
                let chain = shelf.chain(&[&newest, &middle]).unwrap();
                assert!(rig::content(&chain).unwrap() == states[2]);
                merged.tidy().unwrap();
                Archive::remove_files(&shelf.place(full.id)).unwrap();
                let chain = shelf.chain(&[&newest, &middle]).unwrap();
                verify(&chain, &Unmetered).unwrap();
                assert!(rig::content(&chain).unwrap() == states[2]);
            } else {
                child.tidy().unwrap();
                assert_eq!(shelf.names(), names);
                assert_eq!(data_ranges(&shelf, &middle), ranges);
            }
            if finished {
                break;
            }
        }
        assert!(killed > 3);
    }
}

#[test]
fn a_merge_ended_at_any_step_leaves_both_backups_as_they_were() {
    let (shelf, [full, middle, _], states) = three();
    let (names, ranges) = (shelf.names(), data_ranges(&shelf, &middle));
    let (child, parent) = (shelf.open(&middle), shelf.open(&full));
    for steps in 0.. {
        let Err(error) = merge_into_child(&child, &parent, &EndsAfter::new(steps)) else { break };
        assert_eq!(error.message(), "ended by the test");
        assert_eq!((shelf.names(), data_ranges(&shelf, &middle)), (names.clone(), ranges.clone()));
        assert!(rig::content(&shelf.chain(&[&middle, &full]).unwrap()).unwrap() == states[1]);
    }
}

/// Where a backup's data file has data.
fn data_ranges(shelf: &Shelf, backup: &Shelved) -> Vec<std::ops::Range<u64>> {
    use rustix::fs::SeekFrom;
    let file = std::fs::File::open(shelf.place(backup.id).join("data")).unwrap();
    let mut ranges: Vec<std::ops::Range<u64>> = Vec::new();
    let mut at = 0;
    while let Ok(data) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        at = rustix::fs::seek(&file, SeekFrom::Hole(data)).unwrap();
        ranges.push(data..at);
    }
    ranges
}

#[test]
fn an_archive_is_not_made_where_one_is_already() {
    let (shelf, [full, ..], _) = three();
    let refused = NewArchive::create(&shelf.place(full.id)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exists);
    verify(&shelf.chain(&[&full]).unwrap(), &Unmetered).unwrap();
}

/// Other files of the directory, such as its record, are not the engines' to remove.
#[test]
fn only_files_of_the_archive_are_removed() {
    let (shelf, [full, ..], _) = three();
    let record = shelf.place(full.id).join("backup.toml");
    std::fs::write(&record, "x").unwrap();
    Archive::remove_files(&shelf.place(full.id)).unwrap();
    assert_eq!(std::fs::read_dir(shelf.place(full.id)).unwrap().count(), 1);
    std::fs::remove_file(&record).unwrap();
    Archive::remove_files(&shelf.place(full.id)).unwrap();
    assert!(!shelf.place(full.id).exists());
    Archive::remove_files(&shelf.place(full.id)).unwrap();
}
