//! Random disks, chains of backups of them, and deletions in the middle, against plain memory.

use crate::rig::{self, CHUNK, Shelf, Shelved};
use evsfs::archive::{Archive, Changes, Unmetered, merge_into_child, verify};
use evsfs::units::ByteOffset;
use proptest::prelude::*;
use std::ops::Range;

const SECTOR: usize = 512;

/// What happens to the disk between two backups.
#[derive(Debug, Clone)]
enum Step {
    Write { at: usize, len: usize, byte: u8 },
    Grow { sectors: usize },
}

/// How the next backup learns what has changed.
#[derive(Debug, Clone, Copy)]
enum Knowledge {
    All,
    TooMuch,
    None,
}

fn step() -> impl Strategy<Value = Step> {
    let byte = prop_oneof![Just(0_u8), 1_u8..4];
    prop_oneof![
        8 => (0..16 * CHUNK, 1..3 * CHUNK, byte).prop_map(|(at, len, byte)| Step::Write { at, len, byte }),
        1 => (1_usize..300).prop_map(|sectors| Step::Grow { sectors }),
    ]
}

fn knowledge() -> impl Strategy<Value = Knowledge> {
    prop_oneof![Just(Knowledge::All), Just(Knowledge::TooMuch), Just(Knowledge::None)]
}

type Rounds = Vec<(Vec<Step>, Knowledge)>;

fn rounds() -> impl Strategy<Value = Rounds> {
    prop::collection::vec((prop::collection::vec(step(), 0..5), knowledge()), 1..7)
}

/// Does the steps; gives the ranges that changed, in rising order.
fn act(disk: &mut Vec<u8>, steps: &[Step]) -> Vec<Range<usize>> {
    let mut changed = Vec::new();
    for step in steps {
        match *step {
            Step::Write { at, len, byte } => {
                let start = at % disk.len();
                let end = (start + len).min(disk.len());
                disk[start..end].fill(byte);
                changed.push(start..end);
            }
            Step::Grow { sectors } => disk.resize(disk.len() + sectors * SECTOR, 0),
        }
    }
    changed.sort_by_key(|range| range.start);
    changed
}

fn changes(changed: Vec<Range<usize>>, size: usize, knowledge: Knowledge) -> Changes<'static> {
    let offsets = |range: Range<usize>| {
        ByteOffset::new(range.start as u64)..ByteOffset::new(range.end as u64)
    };
    match knowledge {
        Knowledge::All => Changes::Only(Box::new(changed.into_iter().map(offsets))),
        Knowledge::TooMuch => Changes::Only(Box::new(std::iter::once(offsets(0..size + CHUNK)))),
        Knowledge::None => Changes::Unknown,
    }
}

/// A shelf with one backup a round, and what the disk was at each.
fn back_up(first_sectors: usize, rounds: &Rounds) -> (Shelf, Vec<(Shelved, Vec<u8>)>) {
    let shelf = Shelf::new();
    let mut disk = vec![0; first_sectors * SECTOR];
    let mut points: Vec<(Shelved, Vec<u8>)> = Vec::new();
    for (steps, knowledge) in rounds {
        let changed = act(&mut disk, steps);
        let source = rig::payload(&disk);
        let backup = match points.is_empty() {
            true => shelf.full(&source),
            false => {
                let parents = chain_of(&shelf, &points, points.len() - 1);
                shelf.incremental(&source, &parents, changes(changed, disk.len(), *knowledge))
            }
        };
        points.push((backup, disk.clone()));
    }
    (shelf, points)
}

fn chain_of(shelf: &Shelf, points: &[(Shelved, Vec<u8>)], newest: usize) -> evsfs::archive::Chain {
    let newest_first: Vec<&Shelved> =
        points[..=newest].iter().rev().map(|(backup, _)| backup).collect();
    shelf.chain(&newest_first).unwrap()
}

fn check_all(shelf: &Shelf, points: &[(Shelved, Vec<u8>)]) {
    for (number, (_, disk)) in points.iter().enumerate() {
        let chain = chain_of(shelf, points, number);
        assert!(rig::content(&chain).unwrap() == *disk, "backup {number} differs");
        verify(&chain, &Unmetered).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// RULES P3: each backup is the disk as it was, whatever was known of the changes, and stays
    /// so when others of its chain are deleted.
    #[test]
    fn every_backup_is_the_disk_at_its_time(
        first_sectors in 1_usize..2000,
        rounds in rounds(),
        deletions in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (shelf, mut points) = back_up(first_sectors, &rounds);
        check_all(&shelf, &points);
        for deletion in deletions {
            if points.len() == 1 {
                break;
            }
            let doomed = deletion.index(points.len());
            if doomed + 1 < points.len() {
                let child = shelf.open(&points[doomed + 1].0);
                let parent = shelf.open(&points[doomed].0);
                let merged = merge_into_child(&child, &parent, &Unmetered).unwrap();
                points[doomed + 1].0.record = merged.record().clone();
                merged.tidy().unwrap();
            }
            let (gone, _) = points.remove(doomed);
            Archive::remove_files(&shelf.place(gone.id)).unwrap();
            check_all(&shelf, &points);
        }
        prop_assert_eq!(shelf.names().len(), 3 * points.len());
    }

    /// A full backup holds what is not zeros and nothing else.
    #[test]
    fn only_chunks_that_are_not_zeros_are_stored(
        first_sectors in 1_usize..2000,
        steps in prop::collection::vec(step(), 0..8),
    ) {
        let (_shelf, points) = back_up(first_sectors, &vec![(steps, Knowledge::None)]);
        let (backup, disk) = &points[0];
        let written = disk.chunks(CHUNK).filter(|chunk| chunk.iter().any(|byte| *byte != 0));
        prop_assert_eq!(backup.record.stored().get(), written.map(<[u8]>::len).sum::<usize>() as u64);
        prop_assert!(backup.record.parent().is_none());
    }

    /// An incremental backup of a disk that has not changed is empty.
    #[test]
    fn what_has_not_changed_is_not_stored_again(
        first_sectors in 1_usize..2000,
        steps in prop::collection::vec(step(), 0..8),
        knowledge in knowledge(),
    ) {
        let (shelf, points) = back_up(first_sectors, &vec![(steps, Knowledge::None)]);
        let disk = &points[0].1;
        let again = shelf.incremental(
            &rig::payload(disk),
            &chain_of(&shelf, &points, 0),
            changes(Vec::new(), disk.len(), knowledge),
        );
        prop_assert_eq!(again.record.stored().get(), 0);
        prop_assert_eq!(again.record.parent(), Some(points[0].0.id));
    }
}
