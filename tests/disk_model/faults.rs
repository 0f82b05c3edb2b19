//! The nth operation of the backing fails, for every n.

use super::rig::{Make, at, content, covering, data, len};
use evsfs::backing::{Damage, FaultBacking, MemoryBacking, Operation};
use evsfs::disk::{Disk, MAX_REQUEST};
use evsfs::error::{ErrorKind, Result};
use evsfs::units::ByteLen;
use rustix::io::Errno;
use std::ops::Range;
use std::sync::Arc;

const SIZE: usize = 256 * 1024;

type Payload = Arc<FaultBacking<MemoryBacking>>;

fn faulty(make: Make) -> (Disk, Payload) {
    let payload = Arc::new(FaultBacking::new(MemoryBacking::new(len(SIZE))));
    (make.open(Arc::clone(&payload), SIZE as u64), payload)
}

/// A change, as the model sees it.
enum Step {
    Write(usize, Vec<u8>),
    Discard(Range<usize>),
    Read(Range<usize>),
    Extend(usize),
    Flush,
    Seek,
}

fn steps() -> Vec<Step> {
    vec![
        Step::Write(100, data(1, 20_000)),
        Step::Write(8192, data(2, 8192)),
        Step::Read(5..9000),
        Step::Write(65_530, data(3, 10)),
        Step::Write(100_001, data(4, 70_000)),
        Step::Flush,
        Step::Discard(9000..30_000),
        Step::Seek,
        Step::Extend(SIZE + 65_536),
        Step::Write(SIZE + 1, data(5, 5000)),
        Step::Discard(SIZE + 4000..SIZE + 4100),
        Step::Read(0..SIZE),
        Step::Flush,
    ]
}

/// Runs a step; on success the model follows.
fn run(disk: &Disk, model: &mut Vec<u8>, step: &Step) -> Result<()> {
    match step {
        Step::Write(offset, bytes) => {
            disk.write_at(at(*offset), bytes)?;
            model[*offset..][..bytes.len()].copy_from_slice(bytes);
        }
        Step::Discard(range) => {
            disk.discard(at(range.start), len(range.len()))?;
            model[range.clone()].fill(0);
        }
        Step::Read(range) => {
            disk.read_at(at(range.start), &mut vec![0; range.len()])?;
        }
        Step::Extend(size) => {
            disk.extend(len(*size))?;
            model.resize(*size, 0);
        }
        Step::Flush => disk.flush()?,
        Step::Seek => {
            disk.seek_data(at(100))?;
            disk.seek_hole(at(100))?;
            disk.allocated()?;
        }
    }
    Ok(())
}

fn changed(make: Make, step: &Step) -> Range<usize> {
    match step {
        Step::Write(offset, bytes) => covering(make.sector, *offset..offset + bytes.len()),
        Step::Discard(range) => covering(make.sector, range.clone()),
        _ => 0..0,
    }
}

/// RULES S2: an error reaches its caller, and the disk goes on.
#[test]
fn a_fault_at_any_moment_reaches_the_caller_and_spares_other_sectors() {
    let steps = steps();
    for make in Make::ALL {
        let (disk, payload) = faulty(make);
        let mut model = vec![0; SIZE];
        for step in &steps {
            run(&disk, &mut model, step).unwrap();
        }
        let operations = payload.operations();
        assert!(operations > 20, "{operations} operations are too few to be a test");
        for nth in 0..operations {
            fail_nth(make, nth, &steps);
        }
    }
}

fn fail_nth(make: Make, nth: u64, steps: &[Step]) {
    let (disk, payload) = faulty(make);
    payload.fail_after(nth, Errno::IO, Damage::HalfWritten);
    let mut model = vec![0; SIZE];
    let mut errors = 0;
    for step in steps {
        if let Err(error) = run(&disk, &mut model, step) {
            assert_eq!(error.kind(), ErrorKind::Io, "{make:?} nth {nth}");
            errors += 1;
            let mut now = content(&disk);
            let changed = changed(make, step);
            // The sectors of the failed request hold anything; take it, everything else is as it was.
            model[changed.clone()].copy_from_slice(&now[changed.clone()]);
            assert!(now == model, "{make:?} nth {nth}: a sector outside {changed:?} changed");
            // Asked again, it works.
            run(&disk, &mut model, step).unwrap();
            now = content(&disk);
            assert!(now == model, "{make:?} nth {nth}: the second try");
        }
    }
    assert_eq!(errors, 1, "{make:?} nth {nth}");
}

/// A request longer than one piece fails as a whole; no count hides the error.
#[test]
fn a_fault_in_the_second_piece_of_a_long_request_reaches_the_caller() {
    for make in Make::ALL {
        let payload = Arc::new(FaultBacking::new(MemoryBacking::new(len(2 * MAX_REQUEST))));
        let disk = make.open(Arc::clone(&payload), 2 * MAX_REQUEST as u64);
        let mut bytes = data(1, MAX_REQUEST + 4096);
        payload.fail_operation_after(Operation::Write, 1, Errno::IO);
        assert_eq!(disk.write_at(at(0), &bytes).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(disk.write_at(at(0), &bytes).unwrap(), bytes.len());
        payload.fail_operation_after(Operation::Read, 1, Errno::IO);
        assert_eq!(disk.read_at(at(0), &mut bytes).unwrap_err().kind(), ErrorKind::Io);
    }
}

#[test]
fn a_full_medium_is_told_as_such() {
    let (disk, payload) = faulty(Make::ALL[0]);
    payload.fail_operation_after(Operation::Write, 0, Errno::NOSPC);
    assert_eq!(disk.write_at(at(0), &[1; 512]).unwrap_err().kind(), ErrorKind::NoSpace);
    payload.fail_operation_after(Operation::SetLen, 0, Errno::NOSPC);
    let error = disk.extend(len(2 * SIZE)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(disk.size(), len(SIZE));
    disk.extend(len(2 * SIZE)).unwrap();
}

/// RULES S2: fsync reports a failure at least once to every open file.
#[test]
fn a_failed_flush_is_told_once_to_every_open_file_and_to_no_later_one() {
    let (disk, payload) = faulty(Make::ALL[1]);
    let (first, second, idle) = (disk.flush_cursor(), disk.flush_cursor(), disk.flush_cursor());
    disk.flush_for(&first).unwrap();
    assert!(!disk.has_failed_to_flush());
    payload.fail_operation_after(Operation::Flush, 0, Errno::NOSPC);
    assert_eq!(disk.flush_for(&first).unwrap_err().kind(), ErrorKind::NoSpace);
    disk.flush_for(&first).unwrap();
    assert!(disk.has_failed_to_flush(), "what was written before is lost all the same");
    let late = disk.flush_cursor();
    disk.flush_for(&late).unwrap();
    assert_eq!(disk.flush_for(&second).unwrap_err().kind(), ErrorKind::NoSpace);
    disk.flush_for(&second).unwrap();
    payload.fail_operation_after(Operation::Flush, 0, Errno::IO);
    assert_eq!(disk.flush().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(disk.flush_for(&idle).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(disk.flush_for(&first).unwrap_err().kind(), ErrorKind::Io);
    disk.flush_for(&idle).unwrap();
}

/// A payload cut behind the disk's back gives EIO and never zeros.
#[test]
fn a_payload_that_ends_early_is_an_error_for_reads_and_patches() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap().join("payload");
    let backing = evsfs::backing::FileBacking::create(&path, ByteLen::MIB).unwrap();
    let disk = Make::ALL[1].open(backing, 1 << 20);
    disk.write_at(at(0), &data(1, 1 << 20)).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(500_000).unwrap();
    let mut bytes = vec![0; 8192];
    assert_eq!(disk.read_at(at(498_000), &mut bytes).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(disk.write_at(at(600_000), b"part").unwrap_err().kind(), ErrorKind::Io);
    disk.read_at(at(100_000), &mut bytes).unwrap();
}
