//! A snapshot in trouble: its spill fails, its payload fails, its disk goes.

use super::rig::{Copied, Make, at, at_rest, content, copy, data, len, spill};
use evsfs::backing::{Damage, FaultBacking, MemoryBacking, Operation};
use evsfs::disk::{Disk, SealedSource, Snapshot};
use evsfs::error::ErrorKind;
use evsfs::units::ByteLen;
use rustix::io::Errno;
use std::sync::Arc;

const SIZE: usize = 512 * 1024;

type Faulty = Arc<FaultBacking<MemoryBacking>>;

fn faulty(size: usize) -> Faulty {
    Arc::new(FaultBacking::new(MemoryBacking::new(len(size))))
}

/// Writes and discards of all kinds, and what the disk holds afterwards.
fn overwrite(disk: &Disk, model: &mut [u8]) {
    for (seed, (offset, length)) in
        [(0, 4096), (100, 20_000), (65_530, 10), (131_072, 200_000), (SIZE - 9, 9)]
            .iter()
            .enumerate()
    {
        let bytes = data(seed as u64 + 50, *length);
        assert_eq!(disk.write_at(at(*offset), &bytes).unwrap(), *length);
        model[*offset..][..*length].copy_from_slice(&bytes);
        let gone = (*offset + 70_000).min(SIZE - 300)..SIZE - 299;
        disk.discard(at(gone.start), len(gone.len())).unwrap();
        model[gone].fill(0);
    }
}

/// RULES P3, S2: the nth operation of the spill fails, for every n. The disk never notices, and the
/// copy is right or refused.
#[test]
fn a_spill_that_fails_at_any_moment_spoils_the_copy_and_not_the_disk() {
    for make in Make::ALL {
        let operations = with_failing_spill(make, None);
        assert!(operations > 10, "{operations} operations are too few to be a test");
        for nth in 0..operations {
            with_failing_spill(make, Some(nth));
        }
    }
}

fn with_failing_spill(make: Make, nth: Option<u64>) -> u64 {
    let (disk, payload) = make.in_memory(SIZE as u64);
    disk.write_at(at(0), &data(1, SIZE)).unwrap();
    let mut model = content(&disk);
    let wanted = at_rest(&*payload);
    let scratch = faulty(0);
    if let Some(nth) = nth {
        scratch.fail_after(nth, Errno::NOSPC, Damage::HalfWritten);
    }
    let snapshot = match Snapshot::begin(&disk, Box::new(Arc::clone(&scratch))) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NoSpace);
            // Nothing is left of it.
            drop(Snapshot::begin(&disk, spill().0).unwrap());
            return scratch.operations();
        }
    };
    overwrite(&disk, &mut model);
    match (copy(&snapshot, 50_000), nth) {
        (Ok(bytes), None) => assert!(bytes == wanted),
        (Ok(_), Some(nth)) => panic!("{make:?}: the failed operation {nth} was not told"),
        (Err(error), _) => assert_eq!(error.kind(), ErrorKind::NoSpace, "{make:?} nth {nth:?}"),
    }
    assert!(content(&disk) == model, "{make:?} nth {nth:?}");
    drop(snapshot);
    let again = Snapshot::begin(&disk, spill().0).unwrap();
    assert!(again.changes().is_none(), "a copy that failed counts as a backup");
    assert!(copy(&again, 50_000).unwrap() == at_rest(&*payload));
    scratch.operations()
}

/// A sector that cannot be read may be overwritten, also while it is to be copied.
#[test]
fn a_payload_that_cannot_be_read_spoils_the_copy_and_not_the_writer() {
    let make = Make::ALL[1];
    for operation in [Operation::Read, Operation::Seek] {
        let payload = faulty(SIZE);
        let disk = make.open(Arc::clone(&payload), SIZE as u64);
        disk.write_at(at(0), &data(1, SIZE)).unwrap();
        let snapshot = Snapshot::begin(&disk, spill().0).unwrap();
        payload.fail_operation_after(operation, 0, Errno::IO);
        disk.write_at(at(65_536), &data(2, 65_536)).unwrap();
        for _ in 0..2 {
            assert_eq!(copy(&snapshot, 50_000).unwrap_err().kind(), ErrorKind::Io);
        }
        assert!(content(&disk)[65_536..131_072] == data(2, 65_536));
    }
}

/// A failed read of the copy is the copy's own, and may be tried again.
#[test]
fn a_copy_goes_on_after_a_read_that_failed() {
    for make in Make::ALL {
        let payload = faulty(SIZE);
        let disk = make.open(Arc::clone(&payload), SIZE as u64);
        disk.write_at(at(0), &data(1, SIZE)).unwrap();
        let wanted = at_rest(payload.inner());
        let scratch = faulty(0);
        let snapshot = Snapshot::begin(&disk, Box::new(Arc::clone(&scratch))).unwrap();
        disk.write_at(at(65_536), &data(2, 65_536)).unwrap();
        payload.fail_operation_after(Operation::Read, 1, Errno::IO);
        scratch.fail_operation_after(Operation::Read, 0, Errno::IO);
        let mut copied = Copied::new(&snapshot);
        let mut errors = 0;
        loop {
            match copied.step(&snapshot, 4096) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Io);
                    errors += 1;
                }
            }
        }
        assert_eq!(errors, 2);
        assert!(copied.bytes == wanted, "{make:?}");
    }
}

/// RULES D8: a forced detach does not wait for a copy, and leaves it nothing of the disk.
#[test]
fn revoking_ends_a_snapshot_and_lets_go_of_the_payload() {
    for make in Make::ALL {
        let (disk, payload) = make.in_memory(SIZE as u64);
        disk.write_at(at(0), &data(1, SIZE)).unwrap();
        let disk = Arc::new(disk);
        let (scratch, saved) = spill();
        let snapshot = Snapshot::begin(Arc::clone(&disk), scratch).unwrap();
        disk.write_at(at(0), &data(2, 4096)).unwrap();
        disk.revoke();
        assert_eq!(Arc::strong_count(&payload), 1, "the snapshot holds the payload");
        let read = snapshot.read_sealed(at(0), &mut [0; 4096]).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::Detached);
        assert_eq!(snapshot.next_data(at(0)).unwrap_err().kind(), ErrorKind::Detached);
        drop(snapshot);
        assert_eq!(Arc::strong_count(&saved), 1);
        let late = Snapshot::begin(Arc::clone(&disk), spill().0).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Detached);
    }
}

#[test]
fn revoking_in_the_middle_of_copies_and_writes_hangs_nobody() {
    for make in Make::ALL {
        let (disk, payload) = make.in_memory(SIZE as u64);
        let disk = Arc::new(disk);
        disk.write_at(at(0), &data(1, SIZE)).unwrap();
        std::thread::scope(|scope| {
            let copier = scope.spawn(|| {
                loop {
                    let copied = Snapshot::begin(Arc::clone(&disk), spill().0)
                        .and_then(|snapshot| copy(&snapshot, 30_000));
                    if let Err(error) = copied {
                        return error.kind();
                    }
                }
            });
            let writer = scope.spawn(|| {
                loop {
                    if let Err(error) = disk.write_at(at(70_000), &data(2, 90_000)) {
                        return error.kind();
                    }
                }
            });
            (0..100).for_each(|_| std::thread::yield_now());
            disk.revoke();
            assert_eq!(Arc::strong_count(&payload), 1);
            assert_eq!(copier.join().unwrap(), ErrorKind::Detached);
            assert_eq!(writer.join().unwrap(), ErrorKind::Detached);
        });
        assert_eq!(disk.size(), ByteLen::new(SIZE as u64));
    }
}
