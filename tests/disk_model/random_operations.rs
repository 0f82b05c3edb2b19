//! Random operations on a disk and on a vector.

use super::rig::{Make, at, content, data, len};
use evsfs::backing::{Backing, FileBacking, MemoryBacking};
use evsfs::disk::{Access, Disk, MAX_REQUEST};
use evsfs::error::ErrorKind;
use evsfs::units::ByteOffset;
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// Longer than a request, and not a multiple of one.
const SIZE: usize = MAX_REQUEST + 5 * 64 * 1024;

#[derive(Debug, Clone)]
enum Step {
    Write { offset: usize, len: usize, seed: u64 },
    Read { offset: usize, len: usize },
    Discard { offset: usize, len: usize },
    Zero { offset: usize, len: usize },
    Extend { sectors: usize },
    Seek { offset: usize },
    Flush,
    Reopen,
}

fn offset() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0..SIZE + 1000,
        2 => (0..SIZE / 512).prop_map(|sector| sector * 512),
        2 => (0..SIZE / 65_536).prop_map(|region| region * 65_536),
        1 => SIZE - 5000..SIZE + 5000,
    ]
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0..9000_usize,
        2 => (1..40_usize).prop_map(|sectors| sectors * 4096),
        1 => 0..SIZE + 9000,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (offset(), length(), 0..1000_u64)
            .prop_map(|(offset, len, seed)| Step::Write { offset, len, seed }),
        4 => (offset(), length()).prop_map(|(offset, len)| Step::Read { offset, len }),
        2 => (offset(), length()).prop_map(|(offset, len)| Step::Discard { offset, len }),
        1 => (offset(), length()).prop_map(|(offset, len)| Step::Zero { offset, len }),
        1 => (1..30_usize).prop_map(|sectors| Step::Extend { sectors }),
        1 => offset().prop_map(|offset| Step::Seek { offset }),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

/// A payload that outlives its disk.
enum Store {
    Memory(Arc<MemoryBacking>),
    File { path: PathBuf, _directory: tempfile::TempDir },
}

impl Store {
    fn memory() -> Store {
        Store::Memory(Arc::new(MemoryBacking::new(len(SIZE))))
    }

    fn file() -> Store {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("payload");
        drop(FileBacking::create(&path, len(SIZE)).unwrap());
        Store::File { path, _directory: directory }
    }

    fn open(&self, make: Make, size: usize) -> Disk {
        let backing: Arc<dyn Backing> = match self {
            Store::Memory(payload) => payload.clone(),
            Store::File { path, .. } => {
                Arc::new(FileBacking::open(path, Access::ReadWrite).unwrap())
            }
        };
        make.open(backing, size as u64)
    }
}

fn run(store: &Store, make: Make, steps: &[Step]) {
    let mut model = vec![0; SIZE];
    let mut disk = Some(store.open(make, SIZE));
    for step in steps {
        if matches!(step, Step::Reopen) {
            // The first one lets go of the payload before the second takes it.
            drop(disk.take());
            disk = Some(store.open(make, model.len()));
        }
        apply(disk.as_ref().unwrap(), &mut model, step);
    }
    let disk = disk.unwrap();
    assert!(content(&disk) == model);
}

fn apply(disk: &Disk, model: &mut Vec<u8>, step: &Step) {
    let size = model.len();
    let clamp = |offset: usize, len: usize| offset.min(size)..(offset + len).min(size);
    match *step {
        Step::Write { offset, len, seed } => {
            let bytes = data(seed, len);
            let range = clamp(offset, len);
            match disk.write_at(at(offset), &bytes) {
                Ok(count) => {
                    assert_eq!(count, range.len());
                    model[range].copy_from_slice(&bytes[..count]);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NoSpace);
                    assert!(offset >= size && len > 0);
                }
            }
        }
        Step::Read { offset, len } => {
            let wanted = &model[clamp(offset, len)];
            let mut found = vec![0xee; len];
            let count = disk.read_at(at(offset), &mut found).unwrap();
            assert!(found[..count] == *wanted, "read of {len} at {offset}");
            if wanted.len() <= MAX_REQUEST {
                let same = disk.read_with(at(offset), len, |bytes| bytes == wanted).unwrap();
                assert!(same, "lent read of {len} at {offset}");
            }
        }
        Step::Discard { offset, len: length } => {
            disk.discard(at(offset), len(length)).unwrap();
            model[clamp(offset, length)].fill(0);
        }
        Step::Zero { offset, len: length } => {
            disk.zero_range(at(offset), len(length)).unwrap();
            model[clamp(offset, length)].fill(0);
        }
        Step::Extend { sectors } => {
            let grown = size + sectors * disk.sector_size().bytes();
            disk.extend(len(grown)).unwrap();
            model.resize(grown, 0);
            assert_eq!(disk.size(), len(grown));
        }
        Step::Seek { offset } => seek(disk, model, offset),
        Step::Flush => disk.flush().unwrap(),
        Step::Reopen => {}
    }
}

/// Whatever is called a hole reads as zeros.
fn seek(disk: &Disk, model: &[u8], offset: usize) {
    let start = ByteOffset::new(offset as u64);
    if offset >= model.len() {
        assert_eq!(disk.seek_data(start).unwrap_err().kind(), ErrorKind::OutOfRange);
        assert_eq!(disk.seek_hole(start).unwrap_err().kind(), ErrorKind::OutOfRange);
        return;
    }
    let data = disk.seek_data(start).unwrap().map_or(model.len(), |data| data.get() as usize);
    assert!(model[offset..data].iter().all(|byte| *byte == 0));
    let hole = disk.seek_hole(start).unwrap().get() as usize;
    assert!(hole >= offset && hole <= model.len());
    assert!(hole == offset || data == offset, "neither data nor hole at {offset}");
}

fn make() -> impl Strategy<Value = Make> {
    proptest::sample::select(Make::ALL.as_slice())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_disk_in_memory_behaves_as_a_vector(
        make in make(), steps in proptest::collection::vec(step(), 1..30),
    ) {
        run(&Store::memory(), make, &steps);
    }

    #[test]
    fn a_disk_in_a_file_behaves_as_a_vector(
        make in make(), steps in proptest::collection::vec(step(), 1..30),
    ) {
        run(&Store::file(), make, &steps);
    }
}
