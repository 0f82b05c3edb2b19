//! A copy of a point in time against what lay at rest when it began.

use super::rig::{Copied, Make, at, at_rest, content, copy, data, len, spill};
use super::tearing::TearingBacking;
use evsfs::backing::{Backing, FileBacking, MemoryBacking};
use evsfs::disk::{ChangedRegions, DetachedDisk, Disk, SealedSource, Snapshot};
use evsfs::error::ErrorKind;
use evsfs::units::ByteLen;
use proptest::prelude::*;
use std::sync::Arc;

/// Longer than the distance up to which a snapshot keeps what was read.
const SIZE: usize = (12 << 20) + 20 * 4096;
const REGION: usize = 64 * 1024;

#[derive(Debug, Clone)]
enum Step {
    Write { offset: usize, len: usize, seed: u64 },
    Discard { offset: usize, len: usize },
    Extend { sectors: usize },
    Begin,
    Copy { pieces: usize, piece: usize },
    GiveUp,
}

fn offset() -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 0..SIZE,
        2 => 0..6 * REGION,
        2 => (0..SIZE / REGION).prop_map(|region| region * REGION),
        1 => SIZE - 5000..SIZE + 90_000,
    ]
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 1..9000_usize,
        3 => (1..40_usize).prop_map(|sectors| sectors * 4096),
        1 => 1..2_000_000_usize,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (offset(), length(), 0..1000_u64)
            .prop_map(|(offset, len, seed)| Step::Write { offset, len, seed }),
        3 => (offset(), length()).prop_map(|(offset, len)| Step::Discard { offset, len }),
        1 => (1..30_usize).prop_map(|sectors| Step::Extend { sectors }),
        3 => Just(Step::Begin),
        6 => (1..20_usize, 1..700_000_usize)
            .prop_map(|(pieces, piece)| Step::Copy { pieces, piece }),
        1 => Just(Step::GiveUp),
    ]
}

/// A snapshot under way, and what it must give.
struct Running<'a> {
    snapshot: Snapshot<&'a Disk>,
    copied: Copied,
    wanted: Vec<u8>,
}

/// The state of a run: the last complete copy stands for the last backup.
struct Run<'a> {
    disk: &'a Disk,
    payload: &'a dyn Backing,
    running: Option<Running<'a>>,
    backup: Option<Vec<u8>>,
}

impl Run<'_> {
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Write { offset, len, seed } => {
                if offset < self.disk.size().to_usize().unwrap() {
                    self.disk.write_at(at(offset), &data(seed, len)).unwrap();
                }
            }
            Step::Discard { offset, len: length } => {
                self.disk.discard(at(offset), len(length)).unwrap();
            }
            Step::Extend { sectors } => {
                let more = len(sectors * self.disk.sector_size().bytes());
                self.disk.extend(self.disk.size().checked_add(more).unwrap()).unwrap();
            }
            Step::Begin if self.running.is_some() => {
                let again = Snapshot::begin(self.disk, spill().0).unwrap_err();
                assert_eq!(again.kind(), ErrorKind::InUse);
            }
            Step::Begin => self.begin(),
            Step::Copy { pieces, piece } => self.copy(pieces, piece),
            Step::GiveUp => drop(self.running.take()),
        }
    }

    fn begin(&mut self) {
        let snapshot = Snapshot::begin(self.disk, spill().0).unwrap();
        let wanted = at_rest(self.payload)[..snapshot.size().to_usize().unwrap()].to_vec();
        match (&self.backup, snapshot.changes()) {
            (None, changes) => assert!(changes.is_none()),
            (Some(backup), changes) => every_difference_is_in(changes.unwrap(), backup, &wanted),
        }
        let copied = Copied::new(&snapshot);
        self.running = Some(Running { snapshot, copied, wanted });
    }

    fn copy(&mut self, pieces: usize, piece: usize) {
        let Some(mut running) = self.running.take() else { return };
        for _ in 0..pieces {
            if !running.copied.step(&running.snapshot, piece).unwrap() {
                assert!(running.copied.bytes == running.wanted, "a copy of another point in time");
                running.snapshot.conclude();
                self.backup = Some(running.wanted);
                return;
            }
        }
        self.running = Some(running);
    }
}

fn every_difference_is_in(changes: &ChangedRegions, before: &[u8], now: &[u8]) {
    for (region, now) in now.chunks(REGION).enumerate() {
        let before = before.chunks(REGION).nth(region).unwrap_or(&[]);
        if before != now && now.iter().any(|byte| *byte != 0) {
            assert!(changes.contains(at(region * REGION)), "the change of region {region}");
        }
    }
}

fn run(payload: Arc<dyn Backing>, make: Make, steps: &[Step]) {
    let disk = make.open(Arc::clone(&payload), SIZE as u64);
    let mut run = Run { disk: &disk, payload: &*payload, running: None, backup: None };
    steps.iter().for_each(|step| run.apply(step));
    run.copy(usize::MAX, 1 << 20);
}

fn make() -> impl Strategy<Value = Make> {
    proptest::sample::select(Make::ALL.as_slice())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// RULES P3: a point in time also while the disk is written to.
    #[test]
    fn a_snapshot_of_a_disk_in_memory_is_what_lay_at_rest_when_it_began(
        make in make(), steps in proptest::collection::vec(step(), 1..40),
    ) {
        run(Arc::new(MemoryBacking::new(len(SIZE))), make, &steps);
    }

    #[test]
    fn a_snapshot_of_a_disk_in_a_file_is_what_lay_at_rest_when_it_began(
        make in make(), steps in proptest::collection::vec(step(), 1..40),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("payload");
        run(Arc::new(FileBacking::create(&path, len(SIZE)).unwrap()), make, &steps);
    }
}

/// RULES P3: no key is involved, and what is copied is the disk.
#[test]
fn a_copy_opens_with_the_key_of_its_disk() {
    for make in Make::ALL {
        let (disk, payload) = make.in_memory(SIZE as u64);
        disk.write_at(at(70_001), &data(3, 300_000)).unwrap();
        let wanted = content(&disk);
        let snapshot = Snapshot::begin(&disk, spill().0).unwrap();
        disk.write_at(at(65_536), &data(4, 100_000)).unwrap();
        disk.discard(at(200_000), len(100_000)).unwrap();
        let bytes = copy(&snapshot, 1 << 20).unwrap();
        let restored = MemoryBacking::new(len(SIZE));
        restored.write_at(at(0), &bytes).unwrap();
        assert!(content(&make.open(restored, SIZE as u64)) == wanted);
        drop(snapshot);
        drop(disk);
        let detached = DetachedDisk::open(Box::new(payload), len(SIZE), make.sector).unwrap();
        let now = copy(&detached, 100_000).unwrap();
        assert!(now != bytes && now[..65_536] == bytes[..65_536]);
    }
}

/// RULES D10: a hole is reported by nobody, whatever the size of the disk.
#[test]
fn a_huge_empty_disk_is_copied_and_trimmed_in_no_time() {
    let make = Make::ALL[1];
    let (disk, _) = make.in_memory(64 << 40);
    let places = [5 << 20, (3 << 40) + 12_288, (64 << 40) - 4096];
    for place in places {
        disk.write_at(at(place), &[place as u8 + 1; 4096]).unwrap();
    }
    let (scratch, saved) = spill();
    let snapshot = Snapshot::begin(&disk, scratch).unwrap();
    disk.discard(at(0), disk.size()).unwrap();
    assert_eq!(disk.seek_data(at(0)).unwrap(), None);
    // What was there, and no more: the regions' holes were not saved.
    assert!(saved.allocated().unwrap() <= len(places.len() * REGION));
    let (mut found, mut next) = (Vec::new(), at(0));
    while let Some(range) = snapshot.next_data(next).unwrap() {
        let mut bytes = vec![0; (range.end.get() - range.start.get()) as usize];
        snapshot.read_sealed(range.start, &mut bytes).unwrap();
        let sectors = bytes.chunks(4096).enumerate();
        let written = sectors.filter(|(_, sector)| sector.iter().any(|byte| *byte != 0));
        found.extend(written.map(|(n, _)| range.start.get() as usize + n * 4096));
        next = range.end;
        if next == disk.size().end() {
            break;
        }
    }
    assert_eq!(found, places);
}

#[test]
fn writers_put_nothing_aside_where_the_copy_has_been_or_where_nothing_was() {
    let make = Make::ALL[3];
    let (disk, _) = make.in_memory(64 << 20);
    disk.write_at(at(0), &data(1, 40 << 20)).unwrap();
    let (scratch, saved) = spill();
    let snapshot = Snapshot::begin(&disk, scratch).unwrap();
    let mut bytes = vec![0; 20 << 20];
    snapshot.read_sealed(at(0), &mut bytes).unwrap();
    disk.write_at(at(0), &data(2, 11 << 20)).unwrap();
    disk.write_at(at(50 << 20), &data(2, 5 << 20)).unwrap();
    assert_eq!(saved.allocated().unwrap(), ByteLen::ZERO);
    // Once for each region.
    for seed in 0..3 {
        disk.write_at(at(30 << 20), &data(seed, 10_000)).unwrap();
    }
    assert_eq!(saved.allocated().unwrap(), len(REGION));
    drop(snapshot);
    assert_eq!(Arc::strong_count(&saved), 1, "the spill is held after the end");
    disk.write_at(at(39 << 20), &data(3, 10_000)).unwrap();
    assert_eq!(saved.allocated().unwrap(), len(REGION));
}

/// A file system may have to walk through a whole file to say where data ends: on tmpfs every
/// hundredth write beside a copy took milliseconds.
#[test]
fn whoever_changes_a_disk_beside_a_copy_never_waits_for_the_end_of_data() {
    let payload = Arc::new(TearingBacking::new(len(1 << 20)));
    let disk = Make::ALL[1].open(Arc::clone(&payload), 1 << 20);
    disk.write_at(at(0), &data(1, 1 << 20)).unwrap();
    let _snapshot = Snapshot::begin(&disk, spill().0).unwrap();
    disk.write_at(at(70_001), &data(2, 5000)).unwrap();
    disk.discard(at(200_000), len(500_000)).unwrap();
    assert_eq!(payload.hole_seeks(), 0);
}

#[test]
fn a_snapshot_refuses_what_it_cannot_give() {
    let (disk, _) = Make::ALL[1].in_memory(32 << 20);
    disk.write_at(at(0), &data(1, 32 << 20)).unwrap();
    let snapshot = Snapshot::begin(&disk, spill().0).unwrap();
    disk.extend(len(40 << 20)).unwrap();
    let mut sector = [0; 4096];
    let read = |offset: usize, into: &mut [u8]| {
        snapshot.read_sealed(at(offset), into).map_err(|error| error.kind())
    };
    assert_eq!(read(512, &mut sector), Err(ErrorKind::Invalid));
    assert_eq!(read(0, &mut sector[..100]), Err(ErrorKind::Invalid));
    assert_eq!(read(32 << 20, &mut sector), Err(ErrorKind::OutOfRange));
    assert_eq!(read(usize::MAX - 4095, &mut sector), Err(ErrorKind::OutOfRange));
    assert_eq!(read(32 << 20, &mut []), Ok(()));
    assert_eq!(snapshot.next_data(at(32 << 20)).unwrap(), None);
    // Far behind is gone, a little behind is not.
    assert_eq!(read(20 << 20, &mut sector), Ok(()));
    assert_eq!(read(13 << 20, &mut sector), Ok(()));
    assert_eq!(read(0, &mut sector), Err(ErrorKind::Invalid));
    assert_eq!(snapshot.next_data(at(0)).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_detached_disk_is_checked_as_an_open_one_is() {
    let open = |payload: u64, size: u64| {
        let backing = Box::new(MemoryBacking::new(ByteLen::new(payload)));
        DetachedDisk::open(backing, ByteLen::new(size), Make::ALL[1].sector).map(drop)
    };
    open(1 << 20, 1 << 20).unwrap();
    assert_eq!(open(1 << 20, 1000).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(open(1 << 20, 2 << 20).unwrap_err().kind(), ErrorKind::Integrity);
}
