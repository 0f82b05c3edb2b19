//! Archives that somebody or something has changed.

use crate::rig::{self, CHUNK, Shelf, Shelved};
use evsfs::archive::{Archive, Chain, Changes, Unmetered, verify};
use evsfs::error::{Error, ErrorKind, Result};
use proptest::prelude::*;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A full backup and an incremental one of a disk of 9 and a half chunks, newest first.
fn two() -> (Shelf, [Shelved; 2]) {
    let shelf = Shelf::new();
    let mut disk = vec![0; 9 * CHUNK + CHUNK / 2];
    disk[..2 * CHUNK].fill(1);
    disk[5 * CHUNK..].fill(2);
    let full = shelf.full(&rig::payload(&disk));
    disk[CHUNK..2 * CHUNK].fill(3);
    disk[5 * CHUNK..6 * CHUNK].fill(0);
    let parents = shelf.chain(&[&full]).unwrap();
    let newest = shelf.incremental(&rig::payload(&disk), &parents, Changes::Unknown);
    (shelf, [newest, full])
}

/// What is done to a file; the second is that of another backup.
type Harm<'a> = &'a dyn Fn(&Path, &Path);

fn flip(file: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 0x10;
    file.write_all_at(&byte, at).unwrap();
}

fn open_and_verify(shelf: &Shelf, backups: &[Shelved; 2]) -> Result<Chain> {
    let members: Result<Vec<Archive>> = backups
        .iter()
        .map(|backup| Archive::open(&shelf.place(backup.id), backup.record.clone()))
        .collect();
    let chain = Chain::open(members?)?;
    verify(&chain, &Unmetered)?;
    Ok(chain)
}

fn assert_names(error: &Error, file: &Path) {
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert!(error.message().contains(file.to_str().unwrap()), "{error} names not {file:?}");
    assert!(error.suggested_remedy().is_some());
}

#[test]
fn every_file_of_every_backup_is_refused_by_name_when_it_is_cut_flipped_swapped_or_gone() {
    for number in 0..2 {
        for name in ["manifest.0", "data"] {
            let damages: [Harm<'_>; 5] = [
                &|file, _| std::fs::remove_file(file).unwrap(),
                &|file, _| {
                    let len = file.metadata().unwrap().len();
                    OpenOptions::new().write(true).open(file).unwrap().set_len(len - 1).unwrap();
                },
                &|file, _| {
                    let len = file.metadata().unwrap().len();
                    OpenOptions::new().write(true).open(file).unwrap().set_len(len + 1).unwrap();
                },
                // Byte 25 of a manifest is in its first entry, of a data file in its first chunk.
                &|file, _| flip(file, if name == "data" { CHUNK as u64 + 25 } else { 25 }),
                &|file, other| {
                    std::fs::copy(other, file).map(drop).unwrap();
                },
            ];
            for (how, damage) in damages.iter().enumerate() {
                let (shelf, backups) = two();
                let file = shelf.place(backups[number].id).join(name);
                let other = shelf.place(backups[1 - number].id).join(name);
                damage(&file, &other);
                let error = open_and_verify(&shelf, &backups).unwrap_err();
                assert_names(&error, &file);
                // Nothing is made of a chunk that is damaged.
                let restored =
                    shelf.chain(&[&backups[0], &backups[1]]).and_then(|chain| rig::content(&chain));
                if let Err(error) = restored {
                    assert_names(&error, &file);
                } else {
                    assert!(name == "data" && number == 1, "damage {how} of {name} {number}");
                }
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_a_manifest_is_refused_by_name() {
    let (shelf, backups) = two();
    for backup in &backups {
        let file = shelf.place(backup.id).join("manifest.0");
        for at in 0..file.metadata().unwrap().len() {
            flip(&file, at);
            let error = open_and_verify(&shelf, &backups).unwrap_err();
            if error.kind() != ErrorKind::Unsupported {
                assert_names(&error, &file);
            }
            flip(&file, at);
        }
    }
    open_and_verify(&shelf, &backups).unwrap();
}

#[test]
fn damaged_data_is_named_with_its_offset() {
    let (shelf, backups) = two();
    flip(&shelf.place(backups[1].id).join("data"), 7 * CHUNK as u64 + 99);
    let error = open_and_verify(&shelf, &backups).unwrap_err();
    assert!(error.message().contains(&format!("offset {}", 7 * CHUNK)), "{error}");
}

#[test]
fn a_chain_with_a_member_missing_doubled_foreign_or_in_another_order_is_refused() {
    let (shelf, [newest, full]) = two();
    let other = shelf.full(&rig::payload(&vec![1; 9 * CHUNK + CHUNK / 2]));
    let larger = shelf.full(&rig::payload(&vec![1; 10 * CHUNK]));
    let chains: [&[&Shelved]; 7] = [
        &[&newest],
        &[&newest, &other],
        &[&newest, &larger],
        &[&full, &newest],
        &[&newest, &full, &full],
        &[&newest, &newest, &full],
        &[&full, &other],
    ];
    for chain in chains {
        assert_eq!(shelf.chain(chain).unwrap_err().kind(), ErrorKind::Integrity);
    }
    assert!(shelf.chain(&[]).is_err());
    assert!(shelf.chain(&[&newest, &full]).is_ok());
}

#[test]
fn links_and_files_open_to_others_in_the_place_of_an_archives_are_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    for name in ["manifest.0", "data"] {
        let (shelf, backups) = two();
        let file = shelf.place(backups[1].id).join(name);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_names(&open_and_verify(&shelf, &backups).unwrap_err(), &file);

        let elsewhere = shelf.directory.path().join(name);
        std::fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert_names(&open_and_verify(&shelf, &backups).unwrap_err(), &file);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_the_place_of_a_manifest_are_refused_and_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        keeps_header in any::<bool>(),
    ) {
        let (shelf, backups) = two();
        let file = shelf.place(backups[0].id).join("manifest.0");
        let mut found = std::fs::read(&file).unwrap();
        let len = found.len();
        let kept = if keeps_header { 24 } else { 0 };
        found.truncate(kept);
        found.extend(bytes);
        found.resize(len, 0);
        std::fs::write(&file, found).unwrap();
        let error = open_and_verify(&shelf, &backups).unwrap_err();
        prop_assert!(matches!(error.kind(), ErrorKind::Integrity | ErrorKind::Unsupported));
    }
}
