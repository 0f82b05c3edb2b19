//! Snapshots of a disk that several threads write to: each holds a prefix of what each thread did,
//! and the prefixes fit together.

use super::rig::{Make, at, at_rest, content, copy, data, len, spill};
use super::tearing::TearingBacking;
use evsfs::backing::{Backing, MemoryBacking};
use evsfs::disk::{ChangedRegions, Disk, SealedSource, Snapshot};
use evsfs::units::ByteLen;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

const SECTOR: usize = 4096;
const REGION: usize = 64 * 1024;
const SECTORS: usize = 3072;
const SIZE: usize = SECTORS * SECTOR;
const WRITERS: usize = 3;
/// Sectors of one writer, side by side with those of the others.
const OWN: usize = SECTORS / WRITERS;

/// What one writer has done. Step `n` goes to a place that only `n` decides; every fifth step
/// discards the place instead of writing it.
struct Progress {
    issued: AtomicU64,
    acknowledged: AtomicU64,
}

fn place(writer: usize, step: u64) -> usize {
    // Jumps about, and comes back to a place after few steps more often than not.
    let spot = (step * step * 7 + step % 3 * 401) as usize % OWN;
    (spot * WRITERS + writer) * SECTOR
}

fn discards(step: u64) -> bool {
    step.is_multiple_of(5)
}

/// Sectors hold: the step, then how far each writer had been acknowledged before it was issued.
fn numbers(sector: &[u8]) -> Vec<u64> {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    sector.chunks(8).take(1 + WRITERS).map(number).collect()
}

fn write_steps(disk: &Disk, writer: usize, progress: &[Progress], done: &AtomicBool) {
    let mine = &progress[writer];
    for step in 1.. {
        if done.load(Ordering::SeqCst) {
            return;
        }
        let seen = progress.iter().map(|other| other.acknowledged.load(Ordering::SeqCst));
        let mut bytes: Vec<u8> =
            [step].into_iter().chain(seen).flat_map(u64::to_le_bytes).collect();
        // All of the sector says so, so that a torn one is seen.
        bytes.resize(SECTOR, step as u8);
        mine.issued.store(step, Ordering::SeqCst);
        let offset = place(writer, step);
        match discards(step) {
            true => disk.discard(at(offset), len(SECTOR)).unwrap(),
            false => assert_eq!(disk.write_at(at(offset), &bytes).unwrap(), SECTOR),
        }
        mine.acknowledged.store(step, Ordering::SeqCst);
    }
}

/// How many steps, at least and at most so many, leave the sectors of a writer as they were found:
/// the number of the step in each, 0 for none. The most that do, where the last ones discarded what
/// was empty.
fn prefix_of(writer: usize, least: u64, most: u64, found: &[u64]) -> Option<u64> {
    let mut state = vec![0; OWN];
    let mut apply = |step: u64| {
        state[place(writer, step) / SECTOR / WRITERS] = if discards(step) { 0 } else { step };
        step >= least && state == found
    };
    let nothing = (least == 0 && found.iter().all(|step| *step == 0)).then_some(0);
    (1..=most).filter(|step| apply(*step)).last().or(nothing)
}

/// Each writer's part of the disk is the work of a prefix of its steps, and each prefix holds what
/// was acknowledged before anything in the others was issued.
fn check_prefixes(bytes: &[u8], begun_after: &[u64], begun_before: &[u64]) {
    let mut prefixes = Vec::new();
    for writer in 0..WRITERS {
        let sectors: Vec<&[u8]> =
            (0..OWN).map(|spot| &bytes[(spot * WRITERS + writer) * SECTOR..][..SECTOR]).collect();
        for sector in &sectors {
            let step = numbers(sector)[0];
            let rest = &sector[8 * (1 + WRITERS)..];
            assert!(rest.iter().all(|byte| *byte == step as u8), "a torn sector");
        }
        let found: Vec<u64> = sectors.iter().map(|sector| numbers(sector)[0]).collect();
        let (least, most) = (begun_after[writer], begun_before[writer]);
        // Discards leave no number, so the prefix is looked for.
        let prefix = prefix_of(writer, least, most, &found).unwrap_or_else(|| {
            panic!("writer {writer}: no prefix of {least} to {most} steps gives this state")
        });
        prefixes.push((prefix, sectors));
    }
    for (_, sectors) in &prefixes {
        for sector in sectors {
            for (writer, seen) in numbers(sector)[1..].iter().enumerate() {
                assert!(*seen <= prefixes[writer].0, "a write is in, what came before it is not");
            }
        }
    }
}

fn differing_regions(before: &[u8], now: &[u8]) -> impl Iterator<Item = usize> {
    let (before, now) = (before.chunks(REGION), now.chunks(REGION));
    before.zip(now).enumerate().filter(|(_, (before, now))| before != now).map(|(n, _)| n)
}

/// A snapshot that was taken, to be looked at later.
struct Taken {
    sealed: Vec<u8>,
    changes: Option<ChangedRegions>,
    // Steps of each writer that were acknowledged before it began.
    least: Vec<u64>,
    // Steps that were issued when it had begun.
    most: Vec<u64>,
}

fn take(disk: &Disk, progress: &[Progress]) -> Taken {
    let now = |number: fn(&Progress) -> &AtomicU64| -> Vec<u64> {
        progress.iter().map(|progress| number(progress).load(Ordering::SeqCst)).collect()
    };
    let least = now(|progress| &progress.acknowledged);
    let snapshot = Snapshot::begin(disk, spill().0).unwrap();
    let most = now(|progress| &progress.issued);
    let bytes = copy(&snapshot, 300_000).unwrap();
    let changes = snapshot.changes().map(|changes| changes.to_bytes());
    snapshot.conclude();
    let changes = changes.map(|bytes| ChangedRegions::from_bytes(&bytes).unwrap());
    Taken { sealed: bytes[..SIZE].to_vec(), changes, least, most }
}

fn snapshots_of_a_busy_disk(make: Make, payload: impl Backing + 'static, rounds: usize) {
    let disk = make.open(payload, SIZE as u64);
    let new = || Progress { issued: AtomicU64::new(0), acknowledged: AtomicU64::new(0) };
    let progress: Vec<Progress> = std::iter::repeat_with(new).take(WRITERS).collect();
    let done = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (disk, progress, done) = (&disk, &progress, &done);
            scope.spawn(move || write_steps(disk, writer, progress, done));
        }
        // Ends the writers also when something fails.
        let _stop = Stop(&done);
        let mut taken = Vec::new();
        for round in 0..rounds {
            taken.push(take(&disk, &progress));
            if round == 1 {
                disk.extend(ByteLen::new(SIZE as u64 + (1 << 20))).unwrap();
            }
        }
        taken
    });
    let mut before: Option<&Taken> = None;
    for now in &taken {
        let restored = MemoryBacking::new(len(SIZE));
        restored.write_at(at(0), &now.sealed).unwrap();
        let plain = content(&make.open(restored, SIZE as u64));
        check_prefixes(&plain, &now.least, &now.most);
        if let Some(before) = before {
            let changes = now.changes.as_ref().unwrap();
            for region in differing_regions(&before.sealed, &now.sealed) {
                assert!(changes.contains(at(region * REGION)), "the change of region {region}");
            }
        }
        before = Some(now);
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// RULES P3: what was acknowledged before the snapshot began is in, what was issued after it had
/// begun is not, and nothing is in without what came before it.
#[test]
fn a_snapshot_of_a_busy_disk_holds_a_prefix_of_what_was_done() {
    for make in Make::ALL.into_iter().filter(|make| make.sector.bytes() == SECTOR) {
        snapshots_of_a_busy_disk(make, MemoryBacking::new(len(SIZE)), 6);
    }
}

#[test]
fn a_snapshot_of_a_medium_that_tears_holds_a_prefix_too() {
    let make = Make::ALL[3];
    snapshots_of_a_busy_disk(make, TearingBacking::new(len(SIZE)), 4);
}

/// Several readers of neighbouring pieces get what one would get. None of them stays behind the others
/// by as much as a snapshot leaves behind, however long it is kept waiting: that would be refused.
#[test]
fn a_snapshot_may_be_read_by_several_threads_side_by_side() {
    const PIECE: usize = 256 * 1024;
    const NEIGHBOURS: usize = 24;
    let make = Make::ALL[3];
    let (disk, payload) = make.in_memory(SIZE as u64);
    disk.write_at(at(0), &data(1, SIZE)).unwrap();
    let wanted = at_rest(&*payload);
    let snapshot = Arc::new(Snapshot::begin(&disk, spill().0).unwrap());
    let pieces: Vec<(usize, &[u8])> = wanted.chunks(PIECE).enumerate().collect();
    for neighbours in pieces.chunks(NEIGHBOURS) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut bytes = vec![0; PIECE];
                    while let Some((piece, wanted)) =
                        neighbours.get(next.fetch_add(1, Ordering::SeqCst))
                    {
                        let bytes = &mut bytes[..wanted.len()];
                        snapshot.read_sealed(at(piece * PIECE), bytes).unwrap();
                        assert!(bytes == *wanted, "piece {piece}");
                        disk.write_at(at((piece * 37 * PIECE) % SIZE), &[9; 20_000]).unwrap();
                    }
                });
            }
        });
    }
}
