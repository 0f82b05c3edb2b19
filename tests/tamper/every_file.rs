//! Every file, one damage at a time, and a start after each.

use crate::damage::{Damage, Kind};
use crate::judge::{Judge, Tally};
use crate::world::World;

#[test]
fn records_of_keys() {
    every(Kind::KeyRecord, 7);
}

#[test]
fn material_in_the_software_hsm() {
    every(Kind::Material, 7);
}

#[test]
fn records_of_disks() {
    every(Kind::DiskRecord, 10);
}

#[test]
fn records_of_jobs() {
    every(Kind::JobRecord, 2);
}

#[test]
fn payloads() {
    every(Kind::Payload, 10);
}

#[test]
fn other_records_logs_and_the_root_key() {
    every(Kind::OtherRecord, 3);
    every(Kind::Log, 2);
    every(Kind::RootKey, 1);
}

/// No file is of a kind that nothing is done to.
#[test]
fn every_file_of_the_state_directory_is_of_one_of_these_kinds() {
    let world = World::new();
    let counts =
        Kind::ALL.map(|kind| world.now.keys().filter(|path| Kind::of(path) == kind).count());
    assert_eq!(counts, [7, 7, 10, 10, 2, 3, 2, 1], "{:?}", world.now.keys());
    for path in world.now.keys() {
        let has_past = world.earlier.get(path).is_some_and(|earlier| *earlier != world.now[path]);
        // Material and the root key never change; a payload is what was written.
        let may_be_without =
            matches!(Kind::of(path), Kind::Material | Kind::RootKey | Kind::Payload);
        let is_new = !world.earlier.contains_key(path);
        assert!(has_past || may_be_without || is_new, "{path} was never different");
    }
}

fn every(kind: Kind, files: usize) {
    let judge = Judge::new();
    let found = judge.world.now.keys().filter(|path| Kind::of(path) == kind).count();
    assert_eq!(found, files, "files of kind {kind:?}");
    let damages = Damage::all_of(kind, &judge.world);
    assert!(damages.len() >= files * 9, "every file is damaged in every way");
    let mut tally = Tally::default();
    for damage in &damages {
        tally.count(damage, judge.verdict_of(damage));
    }
    println!("{kind:?}: {files} files: {tally}");
    for what in &tally.harmless {
        println!("  harmless: {what}");
    }
    assert!(tally.garbled == 0 || kind == Kind::Payload);
    judge.assert_that_all_is_as_it_was();
}
