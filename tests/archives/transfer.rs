//! Exports, and streams that pretend to be some.

use crate::rig::{self, CHUNK, EndsAfter, Shelf, Shelved};
use evsfs::archive::{
    Archive, Chain, Changes, Meter, NewArchive, Unmetered, Unpacker, Written, pack_chain,
    pack_flat, verify,
};
use evsfs::crypto::{RecordKey, Secret};
use evsfs::error::{ErrorKind, Result};
use evsfs::id::BackupId;
use evsfs::records::{MemoryStore, Records};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

fn records(root: u8) -> Records {
    let root = Secret::fill(|bytes| {
        bytes.fill(root);
        Ok(())
    });
    Records::open(Arc::new(MemoryStore::new()), RecordKey::derive(&root.unwrap()).unwrap()).unwrap()
}

/// A disk of two and a half chunks that grows to five; two backups of it, newest first.
fn two() -> (Shelf, [Shelved; 2], Vec<u8>) {
    let shelf = Shelf::new();
    let mut disk = vec![0; 2 * CHUNK + CHUNK / 2];
    disk[CHUNK..].fill(1);
    let full = shelf.full(&rig::payload(&disk));
    disk.resize(5 * CHUNK, 0);
    disk[..100].fill(2);
    disk[CHUNK..2 * CHUNK].fill(0);
    let parents = shelf.chain(&[&full]).unwrap();
    let newest = shelf.incremental(&rig::payload(&disk), &parents, Changes::Unknown);
    (shelf, [newest, full], disk)
}

fn packed(chain: &Chain) -> Vec<u8> {
    let mut stream = Vec::new();
    let about: Vec<String> = (0..chain.members().len()).map(|n| format!("number {n}")).collect();
    pack_chain(chain, &about, &records(1), &mut stream, &Unmetered).unwrap();
    stream
}

/// What a service does with an export: nothing counts before its end has been seen.
fn unpack(shelf: &Shelf, stream: &[u8], root: u8, meter: &dyn Meter) -> Result<Vec<Shelved>> {
    let records = records(root);
    let mut unpacker = Unpacker::begin(stream, &records)?;
    let mut members: Vec<(BackupId, Written)> = Vec::new();
    while let Some(member) = unpacker.next_member::<String>()? {
        let id = BackupId::random();
        let parent = members.last().map(|(id, _)| *id);
        let new = NewArchive::create(&shelf.place(id))?;
        let (written, about) = member.store(parent, new, meter)?;
        assert!(about.starts_with("number "));
        members.push((id, written));
    }
    let keep = |(id, written): (BackupId, Written)| {
        let record = written.record().clone();
        written.keep().map(|_| Shelved { id, record })
    };
    members.into_iter().rev().map(keep).collect()
}

fn assert_refused(stream: &[u8]) {
    let shelf = Shelf::new();
    let error = unpack(&shelf, stream, 1, &Unmetered).unwrap_err();
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Integrity | ErrorKind::Unsupported), "{error}");
    assert!(error.suggested_remedy().is_some(), "{error}");
    assert!(shelf.names().is_empty(), "{error} leaves {:?}", shelf.names());
}

#[test]
fn a_chain_that_was_exported_and_imported_is_the_same_chain() {
    let (shelf, [newest, full], disk) = two();
    let stream = packed(&shelf.chain(&[&newest, &full]).unwrap());
    let elsewhere = Shelf::new();
    let imported = unpack(&elsewhere, &stream, 1, &Unmetered).unwrap();
    assert_eq!(imported.len(), 2);
    let chain = elsewhere.chain(&[&imported[0], &imported[1]]).unwrap();
    verify(&chain, &Unmetered).unwrap();
    assert!(rig::content(&chain).unwrap() == disk);
    assert_eq!(imported[0].record.parent(), Some(imported[1].id));
    let first = elsewhere.chain(&[&imported[1]]).unwrap();
    assert!(rig::content(&first).unwrap()[..] == disk_at_first(&shelf, &full)[..]);
}

fn disk_at_first(shelf: &Shelf, full: &Shelved) -> Vec<u8> {
    rig::content(&shelf.chain(&[full]).unwrap()).unwrap()
}

#[test]
fn a_chain_exported_flat_is_one_full_backup_of_the_same_disk() {
    let (shelf, [newest, full], disk) = two();
    let chain = shelf.chain(&[&newest, &full]).unwrap();
    let mut stream = Vec::new();
    let about = "number 0".to_owned();
    pack_flat(&chain, &about, &records(1), &mut stream, &Unmetered).unwrap();
    let elsewhere = Shelf::new();
    let imported = unpack(&elsewhere, &stream, 1, &Unmetered).unwrap();
    assert_eq!(imported.len(), 1);
    let flat = elsewhere.chain(&[&imported[0]]).unwrap();
    verify(&flat, &Unmetered).unwrap();
    assert!(rig::content(&flat).unwrap() == disk);
    assert_eq!(flat.content(), chain.content());
}

#[test]
fn an_encrypted_backup_is_exported_as_ciphertext_with_its_wrapped_key() {
    let shelf = Shelf::new();
    let sealing = rig::some_sealing();
    let secret = vec![0xc5; CHUNK];
    let backup = shelf.keep(|new| {
        evsfs::archive::write_full(&rig::payload(&secret), Some(sealing.clone()), new, &Unmetered)
    });
    let stream = packed(&shelf.chain(&[&backup]).unwrap());
    let imported = unpack(&Shelf::new(), &stream, 1, &Unmetered).unwrap();
    assert_eq!(imported[0].record.sealing(), Some(&sealing));
}

#[test]
fn a_stream_cut_anywhere_is_refused_and_leaves_nothing() {
    let (shelf, [newest, full], _) = two();
    let stream = packed(&shelf.chain(&[&newest, &full]).unwrap());
    let cuts = (0..1500).step_by(3).chain((1500..stream.len()).step_by(30_011));
    for len in cuts.chain([stream.len() - 1]) {
        assert_refused(&stream[..len]);
    }
    assert_refused(&[&stream[..], b"x"].concat());
}

#[test]
fn a_stream_with_any_byte_changed_is_refused_and_leaves_nothing() {
    let (shelf, [newest, full], _) = two();
    let mut stream = packed(&shelf.chain(&[&newest, &full]).unwrap());
    for at in (0..1500).step_by(3).chain((1500..stream.len()).step_by(30_011)) {
        stream[at] ^= 1 << (at % 8);
        assert_refused(&stream);
        stream[at] ^= 1 << (at % 8);
    }
}

#[test]
fn an_export_of_another_root_key_is_refused_saying_so() {
    let (shelf, [_, full], _) = two();
    let stream = packed(&shelf.chain(&[&full]).unwrap());
    let elsewhere = Shelf::new();
    let error = unpack(&elsewhere, &stream, 2, &Unmetered).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.message().contains("another root key"), "{error}");
    assert!(elsewhere.names().is_empty());
}

/// The second member of one export behind the first of another, both genuine; one left out; the
/// two exchanged.
#[test]
fn members_cannot_be_mixed_left_out_or_exchanged() {
    let (shelf, [newest, full], _) = two();
    let chain = shelf.chain(&[&newest, &full]).unwrap();
    let (one, other) = (packed(&chain), packed(&chain));
    // The first member is its record, manifest and data; the second follows.
    let record = u32::from_le_bytes(*one[48..].first_chunk().unwrap()) as usize;
    let first = 48 + 4 + record + (24 + 2 * 48) + CHUNK + CHUNK / 2;
    assert_eq!(one.len(), other.len());
    assert_refused(&[&one[..first], &other[first..]].concat());
    assert_refused(&[&one[..48], &other[48..]].concat());
    assert_refused(&one[..first]);
    let mut alone = one[..first].to_vec();
    alone[12] = 1;
    assert_refused(&alone);
    assert_refused(&[&one[..48], &one[first..], &one[48..first]].concat());
}

#[test]
fn an_import_ended_at_any_step_leaves_nothing() {
    let (shelf, [newest, full], _) = two();
    let stream = packed(&shelf.chain(&[&newest, &full]).unwrap());
    for steps in 0..3 {
        let elsewhere = Shelf::new();
        let error = unpack(&elsewhere, &stream, 1, &EndsAfter::new(steps)).unwrap_err();
        assert_eq!(error.message(), "ended by the test");
        assert!(elsewhere.names().is_empty());
    }
}

#[test]
fn a_damaged_backup_is_not_exported() {
    let (shelf, [newest, full], _) = two();
    let chain = shelf.chain(&[&newest, &full]).unwrap();
    let data = shelf.place(full.id).join("data");
    std::fs::write(&data, vec![9; 2 * CHUNK + CHUNK / 2]).unwrap();
    let about = ["number 0", "number 1"];
    let error = pack_chain(&chain, &about, &records(1), &mut Vec::new(), &Unmetered).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.message().contains(data.to_str().unwrap()), "{error}");
}

#[test]
fn a_sink_that_is_full_ends_the_export() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(rustix::io::Errno::NOSPC.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (shelf, [_, full], _) = two();
    let chain = shelf.chain(&[&full]).unwrap();
    let error = pack_flat(&chain, &"x", &records(1), &mut Full, &Unmetered).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    drop(chain);
    Archive::remove_files(&shelf.place(full.id)).unwrap();
}

static GENUINE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (shelf, [newest, full], _) = two();
    packed(&shelf.chain(&[&newest, &full]).unwrap())
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_behind_any_part_of_an_export_are_refused_and_never_panic(
        kept in prop_oneof![Just(0_usize), Just(8), Just(48), 0_usize..2000],
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        assert_refused(&[&GENUINE[..kept], &bytes[..]].concat());
    }
}

/// Golden bytes, made from the words of the format alone by another implementation: an export
/// written by any released version stays readable.
#[test]
fn an_export_of_version_1_is_read_for_ever() {
    let shelf = Shelf::new();
    let imported = unpack(&shelf, include_bytes!("golden_export"), 1, &Unmetered).unwrap();
    assert_eq!(imported.len(), 2);
    let chain = shelf.chain(&[&imported[0], &imported[1]]).unwrap();
    verify(&chain, &Unmetered).unwrap();
    let mut disk = vec![0; CHUNK + 512];
    disk[CHUNK..].fill(5);
    assert!(rig::content(&chain).unwrap() == disk);
    let sealing = imported[0].record.sealing();
    assert!(sealing.is_none());
}
