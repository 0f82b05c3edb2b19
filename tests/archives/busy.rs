//! Backups of a disk that is written to meanwhile.

use crate::rig::{self, CHUNK, Shelf, Shelved};
use evsfs::archive::{Changes, Unmetered, reseal, verify, write_full, write_incremental};
use evsfs::backing::MemoryBacking;
use evsfs::crypto::{Dk, Kernel, Secret, SectorCipher};
use evsfs::disk::{Disk, Snapshot};
use evsfs::units::{ByteLen, ByteOffset, SectorSize};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const CHUNKS: usize = 64;
const SIZE: usize = CHUNKS * CHUNK;

fn cipher() -> SectorCipher {
    let secret = Secret::fill(|bytes| {
        bytes.copy_from_slice(&std::array::from_fn::<u8, 64, _>(|at| at as u8));
        Ok(())
    });
    let dk = Dk::from_secret(secret.unwrap()).unwrap();
    SectorCipher::xts_aes_256(dk, SectorSize::S512, Kernel::best()).unwrap()
}

/// Writes, and sometimes discards, here and there until told to stop; the model has what the disk
/// has whenever its lock is free.
fn scribble(disk: &Disk, model: &Mutex<Vec<u8>>, seed: u64, stop: &AtomicBool) {
    let mut state = seed;
    while !stop.load(Ordering::Relaxed) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // A third of the disk stays as it is.
        let at = (state >> 33) as usize % (SIZE * 2 / 3);
        let len = ((state >> 20) as usize % 9000).min(SIZE - at);
        let byte = (state >> 40) as u8;
        let mut model = model.lock().unwrap();
        if byte < 32 {
            disk.discard(ByteOffset::new(at as u64), ByteLen::new(len as u64)).unwrap();
            model[at..at + len].fill(0);
        } else {
            disk.write_at(ByteOffset::new(at as u64), &vec![byte; len]).unwrap();
            model[at..at + len].fill(byte);
        }
        drop(model);
        std::thread::yield_now();
    }
}

/// RULES P3: a point in time also while the disk is attached and written to; the chain of backups
/// made of what the disk has noted is right too, and holds less than everything.
#[test]
fn backups_of_a_busy_disk_are_the_disk_at_the_moment_they_began() {
    let (disk, _) = rig::disk(cipher(), ByteLen::new(SIZE as u64));
    disk.write_at(ByteOffset::ZERO, &vec![9; SIZE]).unwrap();
    let model = Mutex::new(vec![9; SIZE]);
    let (shelf, stop, sealing) = (Shelf::new(), AtomicBool::new(false), rig::some_sealing());
    let mut points: Vec<(Shelved, Vec<u8>)> = Vec::new();
    std::thread::scope(|scope| {
        for seed in 1..3 {
            let (disk, model, stop) = (&disk, &model, &stop);
            scope.spawn(move || scribble(disk, model, seed, stop));
        }
        for number in 0..4 {
            let (snapshot, content) = {
                let model = model.lock().unwrap();
                let spill = Box::new(MemoryBacking::new(ByteLen::new(SIZE as u64)));
                (Snapshot::begin(&disk, spill).unwrap(), model.clone())
            };
            let sealing = Some(sealing.clone());
            let backup = shelf.keep(|new| match number {
                0 => write_full(&snapshot, sealing, new, &Unmetered),
                _ => {
                    let parents = chain(&shelf, &points);
                    let changes = Changes::noted(snapshot.changes());
                    write_incremental(&snapshot, &parents, changes, sealing, new, &Unmetered)
                }
            });
            snapshot.conclude();
            points.push((backup, content));
        }
        stop.store(true, Ordering::Relaxed);
    });
    for number in 0..points.len() {
        let chain = chain(&shelf, &points[..=number]);
        verify(&chain, &Unmetered).unwrap();
        let (target, backing) = rig::disk(SectorCipher::null(SectorSize::S512), chain.size());
        reseal(&chain, &cipher(), &target, &Unmetered).unwrap();
        assert!(rig::bytes(&backing) == points[number].1, "backup {number}");
        let stored = points[number].0.record.stored().get() as usize;
        assert!(number == 0 || stored <= SIZE * 2 / 3 + CHUNK, "{stored}");
    }
}

fn chain(shelf: &Shelf, points: &[(Shelved, Vec<u8>)]) -> evsfs::archive::Chain {
    shelf.chain(&points.iter().rev().map(|(backup, _)| backup).collect::<Vec<_>>()).unwrap()
}
