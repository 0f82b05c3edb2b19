//! Many threads at one disk.

use super::rig::{Make, at, content, data, len};
use super::tearing::TearingBacking;
use evsfs::backing::{Backing, FileBacking};
use evsfs::disk::Disk;
use evsfs::error::ErrorKind;
use evsfs::units::ByteLen;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SIZE: u64 = 1 << 20;

/// Every kind of disk, on a medium that tears whatever overlaps and on a file.
fn on_each_medium(test: impl Fn(Make, Arc<dyn Backing>)) {
    for make in Make::ALL {
        test(make, Arc::new(TearingBacking::new(ByteLen::new(SIZE))));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("payload");
        test(make, Arc::new(FileBacking::create(&path, ByteLen::new(SIZE)).unwrap()));
    }
}

#[test]
fn partial_writers_of_one_sector_lose_nothing_of_each_other() {
    const SLICE: usize = 61;
    on_each_medium(|make, backing| {
        let disk = make.open(backing, SIZE);
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let disk = &disk;
                scope.spawn(move || {
                    for round in 1..=20 {
                        let place = at(8192 + writer * SLICE);
                        disk.write_at(place, &[(writer * 20 + round) as u8; SLICE]).unwrap();
                        // Head and tail of a longer write, into sectors of others.
                        let place = at(64_000 + writer * 5000);
                        disk.write_at(place, &[round as u8; 5000]).unwrap();
                    }
                });
            }
        });
        let bytes = content(&disk);
        for writer in 0..8 {
            let slice = &bytes[8192 + writer * SLICE..][..SLICE];
            assert!(slice.iter().all(|byte| *byte as usize == writer * 20 + 20), "{make:?}");
        }
        assert!(bytes[64_000..104_000].iter().all(|byte| *byte == 20), "{make:?}");
    });
}

/// A patch of a sector that is discarded meanwhile comes wholly before or wholly after it: the old
/// neighbours of the patch never come back.
#[test]
fn discarding_the_whole_disk_and_patching_one_sector_do_not_mix() {
    // More regions than there are guards.
    const LARGE: u64 = 64 << 20;
    for make in Make::ALL {
        for round in 0..20 {
            let disk = make.open(TearingBacking::new(ByteLen::new(LARGE)), LARGE);
            let start = at(60_000_000 / 4096 * 4096);
            disk.write_at(start, &[0xaa; 4096]).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| disk.write_at(at(start.get() as usize + 100), &[0xbb; 10]).unwrap());
                scope.spawn(|| disk.discard(at(round), ByteLen::new(LARGE)).unwrap());
            });
            let found = disk.read_with(start, 4096, <[u8]>::to_vec).unwrap();
            let mut patched = vec![0; 4096];
            patched[100..110].fill(0xbb);
            assert!(found == patched || found == [0; 4096], "{make:?}");
        }
    }
}

/// A reader sees a sector as it was before a write or after it, never noise between two seals.
#[test]
fn a_reader_never_sees_a_sector_between_two_states() {
    on_each_medium(|make, backing| {
        let disk = make.open(backing, SIZE);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..100_u8 {
                    disk.write_at(at(0), &[round + 1; 16_384]).unwrap();
                    disk.write_at(at(3), &[round + 1; 9000]).unwrap();
                    disk.discard(at(0), len(8192)).unwrap();
                }
                done.store(true, Ordering::SeqCst);
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        let whole = |bytes: &[u8]| {
                            let size = make.sector.bytes();
                            bytes.chunks(size).all(|sector| sector.iter().all(|b| *b == sector[0]))
                        };
                        // Sector 0 and the one with the end of the second write are mixed on purpose.
                        assert!(disk.read_with(at(4096), 4096, whole).unwrap(), "{make:?}");
                        assert!(disk.read_with(at(12_288), 4096, whole).unwrap(), "{make:?}");
                    }
                });
            }
        });
    });
}

/// RULES D11: grow also while attached.
#[test]
fn a_disk_grows_while_it_is_written_and_read() {
    for make in Make::ALL {
        let (disk, _) = make.in_memory(SIZE);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let (disk, done) = (&disk, &done);
                scope.spawn(move || {
                    let mut round = 0;
                    while !done.load(Ordering::SeqCst) {
                        let bytes = data(round, 3000);
                        let place = at(writer * 500_000 + round as usize % 100_000);
                        disk.write_at(place, &bytes).unwrap();
                        assert!(disk.read_with(place, 3000, |found| found == bytes).unwrap());
                        round += 777;
                    }
                });
            }
            for step in 1..=64 {
                let grown = ByteLen::new(SIZE + step * 4096);
                disk.extend(grown).unwrap();
                let last = at(grown.to_usize().unwrap() - 1);
                assert_eq!(disk.read_with(last, 1, <[u8]>::to_vec).unwrap(), [0]);
                disk.write_at(last, &[1]).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(disk.size(), ByteLen::new(SIZE + 64 * 4096));
    }
}

/// RULES D8: later I/O fails at once, nobody hangs, and key and payload are gone when the verb
/// returns, while handles are still there.
#[test]
fn revoking_ends_all_io_and_lets_go_of_the_payload() {
    for make in Make::ALL {
        let (disk, payload) = make.in_memory(SIZE);
        let disk = Arc::new(disk);
        let workers: Vec<_> = (0..4_usize)
            .map(|worker| {
                let disk = Arc::clone(&disk);
                std::thread::spawn(move || {
                    loop {
                        let place = at(worker * 200_000 + 7);
                        let result = match worker {
                            0 => disk.write_at(place, &[1; 9000]).map(|_| ()),
                            1 => disk.read_with(place, 9000, |_| ()),
                            2 => disk.discard(place, len(9000)),
                            _ => disk.flush(),
                        };
                        if let Err(error) = result {
                            return error.kind();
                        }
                    }
                })
            })
            .collect();
        std::thread::yield_now();
        disk.revoke();
        assert_eq!(Arc::strong_count(&payload), 1, "the disk still holds its payload");
        for worker in workers {
            assert_eq!(worker.join().unwrap(), ErrorKind::Detached);
        }
        every_operation_is_detached(&disk);
        disk.revoke();
    }
}

fn every_operation_is_detached(disk: &Disk) {
    let beyond = at(2 * SIZE as usize);
    let refusals = [
        disk.read_at(at(0), &mut [0; 10]).map(|_| ()),
        disk.read_at(beyond, &mut [0; 10]).map(|_| ()),
        disk.read_with(at(0), 10, |_| ()),
        disk.write_at(at(0), b"x").map(|_| ()),
        disk.write_at(beyond, b"x").map(|_| ()),
        disk.discard(at(0), len(1)),
        disk.discard(beyond, len(1)),
        disk.allocate(at(0), len(1)),
        disk.seek_data(at(0)).map(|_| ()),
        disk.seek_hole(at(0)).map(|_| ()),
        disk.extend(ByteLen::new(2 * SIZE)),
        disk.allocated().map(|_| ()),
        disk.flush(),
        disk.flush_for(&disk.flush_cursor()),
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().kind(), ErrorKind::Detached);
    }
}
