//! One open disk.

use crate::hold;
use crate::torn::{TornBacking, bytes_of};
use evsfs::backing::MemoryBacking;
use evsfs::crypto::{Dk, Kernel, Secret, SectorBuf, SectorCipher};
use evsfs::disk::{Access, Disk, SealedSource, Snapshot};
use evsfs::error::{ErrorKind, Result};
use evsfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use evsfs::sync::thread;
use evsfs::units::{ByteLen, ByteOffset, SectorSize};
use std::sync::Arc;

const MIB: u64 = 1 << 20;
const SECTOR: usize = 512;

fn cipher() -> SectorCipher {
    let key = Secret::fill(|bytes: &mut [u8; 64]| {
        bytes.iter_mut().zip(1..).for_each(|(byte, number)| *byte = number);
        Ok(())
    });
    let dk = Dk::from_secret(key.unwrap()).unwrap();
    SectorCipher::xts_aes_256(dk, SectorSize::S512, Kernel::Portable).unwrap()
}

/// What sealed sectors at `offset` hold.
fn opened(offset: usize, sealed: &[u8]) -> Vec<u8> {
    let mut bytes = sealed.to_vec();
    let first = SectorSize::S512.sector_at(at(offset));
    cipher().open(first, SectorBuf::to_load(&mut bytes, SectorSize::S512));
    bytes
}

fn disk() -> (Arc<Disk>, Arc<TornBacking>) {
    let payload = Arc::new(TornBacking::new(MIB));
    let opened =
        Disk::open(Box::new(payload.clone()), cipher(), ByteLen::new(MIB), Access::ReadWrite);
    (Arc::new(opened.unwrap()), payload)
}

fn at(offset: usize) -> ByteOffset {
    ByteOffset::new(offset as u64)
}

fn read(disk: &Disk, offset: usize, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0xEE; len];
    let count = disk.read_at(at(offset), &mut bytes)?;
    assert_eq!(count, len);
    Ok(bytes)
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

/// A change of the first four sectors.
#[derive(Debug, Clone, Copy)]
enum Change {
    Fill(usize, usize, u8),
    Discard(usize, usize),
}

impl Change {
    fn make(self, disk: &Disk) {
        match self {
            Change::Fill(from, to, byte) => {
                assert_eq!(disk.write_at(at(from), &vec![byte; to - from]).unwrap(), to - from);
            }
            Change::Discard(from, to) => {
                disk.discard(at(from), ByteLen::new((to - from) as u64)).unwrap();
            }
        }
    }

    fn make_in(self, bytes: &mut [u8]) {
        let (range, byte) = match self {
            Change::Fill(from, to, byte) => (from..to, byte),
            Change::Discard(from, to) => (from..to, 0),
        };
        bytes[range].fill(byte);
    }
}

/// What a sector can hold: after any of the changes, in any order.
fn possible(changes: &[Change], sector: usize) -> Vec<Vec<u8>> {
    fn go(rest: &[Change], bytes: &[u8], sector: usize, all: &mut Vec<Vec<u8>>) {
        all.push(bytes[sector * SECTOR..(sector + 1) * SECTOR].to_vec());
        for index in 0..rest.len() {
            let (mut bytes, mut rest) = (bytes.to_vec(), rest.to_vec());
            rest.remove(index).make_in(&mut bytes);
            go(&rest, &bytes, sector, all);
        }
    }
    let mut all = Vec::new();
    go(changes, &[0; 4 * SECTOR], sector, &mut all);
    all
}

/// Writes of whole sectors and of parts of them, discards and reads of the same sectors: a sector
/// is always as it was before or after each change, never noise and never half of one.
#[test]
fn a_sector_is_never_seen_between_two_states() {
    hold("a sector is never seen between two states", 1500, || {
        let changes = [
            Change::Fill(0, 3 * SECTOR, 0x11),
            Change::Fill(SECTOR - 100, 2 * SECTOR + 30, 0x22),
            Change::Discard(SECTOR, 3 * SECTOR),
        ];
        let (disk, _payload) = disk();
        let makers = changes.map(|change| {
            let disk = disk.clone();
            thread::spawn(move || change.make(&disk))
        });
        let seen = read(&disk, 0, 4 * SECTOR).unwrap();
        makers.into_iter().for_each(|maker| maker.join().unwrap());
        let last = read(&disk, 0, 4 * SECTOR).unwrap();
        for (sector, (seen, last)) in seen.chunks(SECTOR).zip(last.chunks(SECTOR)).enumerate() {
            let possible = possible(&changes, sector);
            assert!(possible.iter().any(|bytes| bytes == seen), "sector {sector} was {seen:?}");
            assert!(possible.iter().any(|bytes| bytes == last), "sector {sector} is {last:?}");
        }
    });
}

/// RULES P3: a copy of a disk that is written to is of one moment, and the next copy of what has
/// changed since, laid over it, is too.
#[test]
fn a_snapshot_is_one_moment_and_the_next_one_knows_what_changed() {
    /// Numbers that are written in this order, each in a region of its own.
    const PLACES: [usize; 2] = [0, 128 << 10];
    fn copy(disk: &Arc<Disk>, copied: &mut [u8]) {
        let spill = Box::new(MemoryBacking::new(ByteLen::ZERO));
        let snapshot = Snapshot::begin(disk.clone(), spill).unwrap();
        for place in PLACES {
            let changed = snapshot.changes().is_none_or(|changes| changes.contains(at(place)));
            if changed {
                snapshot.read_sealed(at(place), &mut copied[place..place + SECTOR]).unwrap();
            }
        }
        snapshot.conclude();
    }
    hold("a snapshot is one moment", 1500, || {
        let (disk, _payload) = disk();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let writer = {
            let (disk, acknowledged) = (disk.clone(), acknowledged.clone());
            thread::spawn(move || {
                for step in 1_u64..=3 {
                    for place in PLACES {
                        let mut sector = vec![0x77; SECTOR];
                        sector[..8].copy_from_slice(&step.to_le_bytes());
                        assert_eq!(disk.write_at(at(place), &sector).unwrap(), SECTOR);
                    }
                    acknowledged.store(step, Ordering::SeqCst);
                }
            })
        };
        let mut copied = vec![0; MIB as usize];
        for _ in 0..2 {
            let before = acknowledged.load(Ordering::SeqCst);
            copy(&disk, &mut copied);
            let [first, second] =
                PLACES.map(|place| number(&opened(place, &copied[place..place + SECTOR])));
            assert!(second <= first && first <= second + 1, "{first} before {second}");
            assert!(second >= before, "{before} was acknowledged before it began, not {second}");
        }
        writer.join().unwrap();
    });
}

/// RULES D8: when a disk's life has ended under its writers, nothing changes at rest any more, what
/// was acknowledged lies there, and all that comes later is refused.
#[test]
fn nothing_changes_at_rest_once_the_disk_is_revoked() {
    hold("nothing changes once the disk is revoked", 1500, || {
        let (disk, payload) = disk();
        let is_over = Arc::new(AtomicBool::new(false));
        let writers = [1_usize, 2].map(|writer| {
            let (disk, is_over) = (disk.clone(), is_over.clone());
            thread::spawn(move || {
                let mut acknowledged = 0;
                for step in 1_u8..=3 {
                    let late = is_over.load(Ordering::SeqCst);
                    match disk.write_at(at(writer * SECTOR), &[step; SECTOR]) {
                        Ok(count) => {
                            assert!(!late, "written after the end");
                            assert_eq!(count, SECTOR);
                            acknowledged = step;
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Detached);
                            break;
                        }
                    }
                }
                acknowledged
            })
        });
        let flusher = {
            let disk = disk.clone();
            thread::spawn(move || disk.flush().map_err(|error| error.kind()))
        };
        disk.revoke();
        is_over.store(true, Ordering::SeqCst);
        let left = payload.bytes();
        let flushed = flusher.join().unwrap();
        assert!(matches!(flushed, Ok(()) | Err(ErrorKind::Detached)), "{flushed:?}");
        for (writer, handle) in (1..).zip(writers) {
            let step = handle.join().unwrap();
            let range = writer * SECTOR..(writer + 1) * SECTOR;
            assert_eq!(
                opened(range.start, &left[range.clone()]),
                vec![step; SECTOR],
                "writer {writer}"
            );
        }
        assert!(payload.bytes() == left, "changed after the end");
        assert_eq!(read(&disk, 0, SECTOR).unwrap_err().kind(), ErrorKind::Detached);
    });
}

/// RULES S1, and that flushes are shared: each covers all that its caller wrote before.
#[test]
fn an_fsync_covers_what_was_written_before_it() {
    hold("an fsync covers what was written before it", 1500, || {
        let (disk, payload) = disk();
        let writers = [0_usize, 1, 2].map(|writer| {
            let (disk, payload) = (disk.clone(), payload.clone());
            thread::spawn(move || {
                for step in 1_u8..=2 {
                    disk.write_at(at(writer * SECTOR), &[step; SECTOR]).unwrap();
                    disk.flush().unwrap();
                    let range = writer * SECTOR..(writer + 1) * SECTOR;
                    let sector = opened(range.start, &payload.durable_bytes()[range.clone()]);
                    assert_eq!(sector, vec![step; SECTOR], "writer {writer}, step {step}");
                }
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

/// RULES D11: who sees the new size can use it, and what is there reads as zeros or as written.
#[test]
fn a_disk_grows_under_its_users() {
    hold("a disk grows under its users", 1000, || {
        let (disk, payload) = disk();
        let grower = {
            let disk = disk.clone();
            thread::spawn(move || disk.extend(ByteLen::new(2 * MIB)).unwrap())
        };
        let writer = {
            let disk = disk.clone();
            // Over the old end.
            thread::spawn(move || {
                let end = MIB as usize;
                let count = disk.write_at(at(end - SECTOR), &[5; 2 * SECTOR]);
                match disk.size().get() {
                    MIB => assert!(count.is_err() || count.unwrap() == SECTOR),
                    _ => assert!(matches!(count, Ok(SECTOR) | Ok(1024))),
                }
            })
        };
        if disk.size().get() > MIB {
            let sector = read(&disk, MIB as usize, SECTOR).unwrap();
            assert!(sector == [0; SECTOR] || sector == [5; SECTOR], "{sector:?}");
        }
        grower.join().unwrap();
        writer.join().unwrap();
        assert_eq!(disk.size().get(), 2 * MIB);
        assert_eq!(bytes_of(&*payload).len() as u64, 2 * MIB);
    });
}

/// Sentences D14, D15: what is acknowledged is durable once the disk is suspended, a flush meanwhile says
/// the truth, and whoever tries again loses nothing, also when the disk is taken away in between.
#[test]
fn a_suspension_loses_nothing_and_ends_with_the_disk() {
    hold("a suspension loses nothing", 1500, || {
        let (disk, payload) = disk();
        let writers = [0_usize, 1].map(|writer| {
            let (disk, payload) = (disk.clone(), payload.clone());
            thread::spawn(move || {
                for step in 1_u8..=2 {
                    loop {
                        match disk.write_at(at(writer * SECTOR), &[step; SECTOR]) {
                            Ok(_) => break,
                            Err(error) if error.kind() == ErrorKind::Suspended => {
                                thread::yield_now();
                            }
                            Err(error) => return assert_eq!(error.kind(), ErrorKind::Detached),
                        }
                    }
                    if let Err(error) = disk.flush() {
                        return assert_eq!(error.kind(), ErrorKind::Detached);
                    }
                    let range = writer * SECTOR..(writer + 1) * SECTOR;
                    let sector = opened(range.start, &payload.durable_bytes()[range.clone()]);
                    assert_eq!(sector, [step; SECTOR], "not durable");
                }
            })
        });
        let suspender = {
            let disk = disk.clone();
            thread::spawn(move || {
                let changed = disk.suspend().and_then(|()| disk.resume(cipher()));
                if let Err(error) = changed {
                    assert_eq!(error.kind(), ErrorKind::Detached);
                }
            })
        };
        let revoker = {
            let disk = disk.clone();
            thread::spawn(move || disk.revoke())
        };
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        suspender.join().unwrap();
        revoker.join().unwrap();
        assert!(disk.is_revoked() && !disk.is_suspended());
        // Nobody holds the payload any more.
        drop(disk);
        assert_eq!(Arc::strong_count(&payload), 1);
    });
}
