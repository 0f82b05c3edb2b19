//! Copies into a file system that fills up.
#![allow(clippy::unwrap_used)]

#[path = "../archives/rig.rs"]
mod rig;
#[path = "../support/mod.rs"]
mod support;

use evsfs::archive::{
    Changes, NewArchive, Unmetered, merge_into_child, verify, write_full, write_incremental,
};
use evsfs::error::ErrorKind;
use evsfs::id::BackupId;
use rig::{CHUNK, Shelf};
use support::{Needs, run, run_trials, trial};

const ROOM: &str = "size=2M,mode=700";

fn main() -> std::process::ExitCode {
    let root = Needs::RootAnd(&["mount", "umount"]);
    run_trials(vec![
        trial("a_backup_that_finds_no_space_leaves_none_used", root, backup_without_space),
        trial("a_merge_that_finds_no_space_leaves_both_backups_whole", root, merge_without_space),
    ])
}

/// A file system of 2 MiB with a shelf on it, unmounted when dropped.
struct SmallShelf {
    shelf: Shelf,
}

impl SmallShelf {
    fn new() -> Self {
        let shelf = Shelf::new();
        let place = shelf.directory.path().to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", ROOM, "tmpfs", place]).ok();
        SmallShelf { shelf }
    }
}

impl Drop for SmallShelf {
    fn drop(&mut self) {
        run("umount", &["-l", self.shelf.directory.path().to_str().unwrap()]);
    }
}

/// RULES S2: the error is no-space, and the source was only read.
fn backup_without_space() {
    let small = SmallShelf::new();
    let content = vec![7; 64 * CHUNK];
    let source = rig::payload(&content);
    let new = NewArchive::create(&small.shelf.place(BackupId::random())).unwrap();
    let error = write_full(&source, None, new, &Unmetered).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(small.shelf.names().is_empty());
    assert!(rig::bytes(&source.backing) == content);

    let full = small.shelf.full(&rig::payload(&content[..16 * CHUNK]));
    let chain = small.shelf.chain(&[&full]).unwrap();
    let before = small.shelf.names();
    let new = NewArchive::create(&small.shelf.place(BackupId::random())).unwrap();
    let error = write_incremental(&source, &chain, Changes::Unknown, None, new, &Unmetered);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(small.shelf.names(), before);
    verify(&chain, &Unmetered).unwrap();
}

fn merge_without_space() {
    let small = SmallShelf::new();
    let mut disk = vec![7; 20 * CHUNK];
    let full = small.shelf.full(&rig::payload(&disk));
    disk[..CHUNK].fill(8);
    let chain = small.shelf.chain(&[&full]).unwrap();
    let newest = small.shelf.incremental(&rig::payload(&disk), &chain, Changes::Unknown);
    let (child, parent) = (small.shelf.open(&newest), small.shelf.open(&full));
    let error = merge_into_child(&child, &parent, &Unmetered).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    let chain = small.shelf.chain(&[&newest, &full]).unwrap();
    verify(&chain, &Unmetered).unwrap();
    assert!(rig::content(&chain).unwrap() == disk);
    // What the failed merge had copied is free again.
    let third = small.shelf.incremental(&rig::payload(&disk), &chain, Changes::Unknown);
    assert_eq!(third.record.stored().get(), 0);
}
