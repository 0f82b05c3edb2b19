//! Archives as sources of further copies.

use crate::rig::{self, CHUNK, Shelf, Shelved};
use evsfs::archive::{ChainSource, Changes, SealingSource, Unmetered, reseal, verify, write_full};
use evsfs::backing::Backing;
use evsfs::crypto::{Dk, Kernel, Secret, SectorCipher};
use evsfs::disk::SealedSource;
use evsfs::error::ErrorKind;
use evsfs::units::{ByteLen, ByteOffset, SectorSize};
use proptest::prelude::*;

/// A full and two incremental backups of a disk that grows, newest first, and the disk.
fn three() -> (Shelf, Vec<Shelved>, Vec<u8>) {
    let shelf = Shelf::new();
    let mut disk = vec![0; 7 * CHUNK + 1536];
    disk[CHUNK..3 * CHUNK].fill(1);
    disk[7 * CHUNK..].fill(2);
    let mut backups = vec![shelf.full(&rig::payload(&disk))];
    for change in [3, 0] {
        disk[2 * CHUNK..2 * CHUNK + 5000].fill(change);
        disk[CHUNK..2 * CHUNK].fill(change);
        disk.resize(disk.len() + CHUNK, 0);
        let chain = shelf.chain(&backups.iter().collect::<Vec<_>>()).unwrap();
        let next = shelf.incremental(&rig::payload(&disk), &chain, Changes::Unknown);
        backups.insert(0, next);
    }
    (shelf, backups, disk)
}

fn source(shelf: &Shelf, backups: &[Shelved]) -> ChainSource {
    ChainSource::new(shelf.chain(&backups.iter().collect::<Vec<_>>()).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_is_read_at_any_offset_in_any_order(
        reads in prop::collection::vec((0_usize..9 * CHUNK, 0_usize..3 * CHUNK), 1..40),
    ) {
        let (shelf, backups, disk) = three();
        let source = source(&shelf, &backups);
        for (at, len) in reads {
            let end = (at + len).min(disk.len());
            let mut bytes = vec![0xff; end - at];
            source.read_sealed(ByteOffset::new(at as u64), &mut bytes).unwrap();
            prop_assert!(bytes == disk[at..end]);
        }
    }
}

#[test]
fn data_of_a_chain_is_found_where_it_is_and_nowhere_else() {
    let (shelf, backups, disk) = three();
    let source = source(&shelf, &backups);
    let (mut at, mut covered) = (0, vec![false; disk.len()]);
    while let Some(range) = source.next_data(ByteOffset::new(at)).unwrap() {
        assert!(range.start.get() >= at && range.end > range.start);
        covered[range.start.get() as usize..range.end.get() as usize].fill(true);
        at = range.end.get();
    }
    for (number, chunk) in disk.chunks(CHUNK).enumerate() {
        let has_data = chunk.iter().any(|byte| *byte != 0);
        assert_eq!(covered[number * CHUNK], has_data, "chunk {number}");
    }
    let past = source.read_sealed(ByteOffset::new(disk.len() as u64 - 1), &mut [0; 2]);
    assert_eq!(past.unwrap_err().kind(), ErrorKind::OutOfRange);
    assert!(source.next_data(ByteOffset::new(disk.len() as u64)).unwrap().is_none());
}

#[test]
fn a_manifest_that_changes_under_an_open_source_is_refused() {
    use std::os::unix::fs::FileExt;
    let (shelf, backups, _) = three();
    let source = source(&shelf, &backups);
    let file = shelf.place(backups[1].id).join("manifest.0");
    let open = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    open.write_all_at(&[9], 24 + 20).unwrap();
    let error = source.read_sealed(ByteOffset::ZERO, &mut [0; 512]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.message().contains(file.to_str().unwrap()), "{error}");
}

fn cipher() -> SectorCipher {
    let secret = Secret::fill(|bytes| {
        bytes.copy_from_slice(&std::array::from_fn::<u8, 64, _>(|at| at as u8));
        Ok(())
    });
    let dk = Dk::from_secret(secret.unwrap()).unwrap();
    SectorCipher::xts_aes_256(dk, SectorSize::S512, Kernel::best()).unwrap()
}

/// RULES P5: `image copy --encrypted` makes an encrypted image of an unencrypted one.
#[test]
fn an_encrypted_archive_is_made_of_an_unencrypted_one() {
    let (shelf, backups, disk) = three();
    let sealed = SealingSource::new(source(&shelf, &backups), cipher()).unwrap();
    let copy = shelf.keep(|new| write_full(&sealed, Some(rig::some_sealing()), new, &Unmetered));
    let chain = shelf.chain(&[&copy]).unwrap();
    verify(&chain, &Unmetered).unwrap();
    let data = std::fs::read(shelf.place(copy.id).join("data")).unwrap();
    for (sealed, plain) in data.chunks(512).zip(disk.chunks(512)) {
        let is_written = plain.iter().any(|byte| *byte != 0);
        assert_eq!(sealed != plain, is_written);
    }
    let size = ByteLen::of(&disk);
    let (target, backing) = rig::disk(SectorCipher::null(SectorSize::S512), size);
    reseal(&chain, &cipher(), &target, &Unmetered).unwrap();
    assert!(rig::bytes(&backing) == disk);
    assert!(backing.allocated().unwrap() < size);
    let other = SectorCipher::null(SectorSize::S4096);
    assert!(SealingSource::new(source(&shelf, &backups), other).is_err());
}
