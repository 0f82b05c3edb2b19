//! What bytes from outside are read by, and what must hold whatever they are. `fuzz/` throws bytes at
//! these functions as `tests/hostile` does; none may panic, and what is refused says why.
#![allow(dead_code)]

use evsfs::archive::{Archive, ArchiveRecord, Chain, NewArchive, Unmetered, Unpacker, verify};
use evsfs::cli::ImageSource;
use evsfs::config::Config;
use evsfs::crypto::{EncryptionContext, RecordKey, Secret, WrappingKey, to_hex};
use evsfs::error::{Error, Result};
use evsfs::fs::{grammar, json};
use evsfs::id::{BackupId, DiskId, KeyId};
use evsfs::records::{MemoryStore, RecordPath, Records};
use evsfs::service::Command;
use evsfs::units::SectorSize;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// What became of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// They mean what the genuine ones mean, or they are a valid request.
    Taken,
    /// They are refused with a reason.
    Refused,
}

/// Looks at the outcome of a reader whose refusals must be fit to show.
fn judged<T>(result: Result<T>) -> Outcome {
    match result {
        Ok(_) => Outcome::Taken,
        Err(error) => {
            assert_fit_to_show(&error);
            Outcome::Refused
        }
    }
}

fn assert_fit_to_show(error: &Error) {
    let message = error.message();
    assert!(!message.is_empty() && message.len() < 16 * 1024, "{message:?}");
    assert!(!error.kind().name().is_empty());
    assert_ne!(error.kind(), evsfs::error::ErrorKind::Internal, "{error}");
    let control = |text: &str| text.contains(|c: char| c.is_control());
    assert!(!control(message), "{message:?} would change a terminal");
    assert!(error.suggested_remedy().is_some_and(|remedy| !remedy.is_empty()), "{message}: no fix");
}

/// An operation, a blank, and what is written to the control file that asks for it.
pub fn command(bytes: &[u8]) -> Outcome {
    judged(grammar::line(bytes).and_then(|line| {
        let (operation, words) = line.split_once(' ').unwrap_or((line, ""));
        Command::from_request(operation, grammar::words(words)?)
    }))
}

/// A line written to `control`.
pub fn request(bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else { return Outcome::Refused };
    judged(json::command(text))
}

/// What `record` holds.
pub const RECORD: &str = "name = \"db\"\nsize = 1048576\nkeys = [\"a\", \"b\"]\n";

/// Records under a root key that everybody knows.
pub fn records() -> Records {
    let root = Secret::fill(|bytes| {
        bytes.fill(1);
        Ok(())
    });
    let key = RecordKey::derive(&root.unwrap()).unwrap();
    Records::open(Arc::new(MemoryStore::new()), key).unwrap()
}

static RECORDS: LazyLock<Records> = LazyLock::new(records);

pub fn record_path() -> RecordPath {
    RecordPath::parse("disks/x/record").unwrap()
}

/// A sealed document.
pub fn record(bytes: &[u8]) -> Outcome {
    let found = RECORDS.unseal::<toml::Table>(&record_path(), "here", bytes);
    if let Ok(found) = &found {
        assert_eq!(*found, toml::from_str(RECORD).unwrap(), "an edited record was believed");
    }
    judged(found)
}

/// The data key that `wrapped_dk` holds.
pub const DK: [u8; 64] = [0x42; 64];

pub fn wrapping() -> (WrappingKey, Vec<u8>) {
    let secret = Secret::fill(|bytes| {
        bytes.fill(2);
        Ok(())
    });
    let key = WrappingKey::from_secret(&secret.unwrap()).unwrap();
    let disk = DiskId::parse("00000000-0000-4000-8000-000000000002").unwrap();
    let cmk = KeyId::parse("00000000-0000-4000-8000-000000000001").unwrap();
    let context = EncryptionContext::for_disk(disk, cmk, 1, SectorSize::S4096);
    (key, context.to_associated_data())
}

static WRAPPING: LazyLock<(WrappingKey, Vec<u8>)> = LazyLock::new(wrapping);

/// A wrapped data key.
pub fn wrapped_dk(bytes: &[u8]) -> Outcome {
    let mut dk = [0; 64];
    let opened = WRAPPING.0.unwrap_into(&WRAPPING.1, bytes, &mut dk);
    if opened.is_ok() {
        assert_eq!(dk, DK, "an edited data key was opened");
    }
    match opened {
        Ok(()) => Outcome::Taken,
        // Its remedy is for the callee above, which knows the disk.
        Err(_) => Outcome::Refused,
    }
}

fn scratch() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("evsfs-hostile-").tempdir().unwrap();
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(directory.path(), private).unwrap();
    directory
}

/// A manifest whose digest is in the record, so that nothing but its reader stands in the way.
pub fn manifest(bytes: &[u8]) -> Outcome {
    use sha2::Digest;
    let directory = scratch();
    let stored = 2 * 65536;
    let record: ArchiveRecord = serde_json::from_value(serde_json::json!({
        "size": 1 << 20, "sector_size": 512, "chunk": 65536,
        "manifest": {"generation": 0, "len": bytes.len(), "stored": stored,
                     "sha256": to_hex(&sha2::Sha256::digest(bytes))},
    }))
    .unwrap();
    std::fs::write(directory.path().join("manifest.0"), bytes).unwrap();
    let data = std::fs::File::create(directory.path().join("data")).unwrap();
    data.set_len(1 << 20).unwrap();
    data.write_all_at(&[1; 64], 65536).unwrap();
    data.write_all_at(&[2; 64], 5 * 65536).unwrap();
    for file in ["manifest.0", "data"] {
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(directory.path().join(file), private).unwrap();
    }
    let verified = Archive::open(directory.path(), record)
        .and_then(|archive| Chain::open(vec![archive]))
        .and_then(|chain| verify(&chain, &Unmetered));
    judged(verified)
}

/// An export of one backup.
pub fn export(bytes: &[u8]) -> Outcome {
    let directory = scratch();
    judged(unpack(directory.path(), bytes))
}

fn unpack(directory: &Path, bytes: &[u8]) -> Result<()> {
    let mut unpacker = Unpacker::begin(bytes, &RECORDS)?;
    let mut last: Option<BackupId> = None;
    while let Some(member) = unpacker.next_member::<String>()? {
        let id = BackupId::random();
        let new = NewArchive::create(&directory.join(id.to_string()))?;
        let (written, about) = member.store(last, new, &Unmetered)?;
        assert!(about.starts_with("number "), "{about}");
        written.keep()?;
        last = Some(id);
    }
    Ok(())
}

/// A `mount.toml`.
pub fn config(bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else { return Outcome::Refused };
    judged(Config::parse(text, Path::new("/etc/evsfs/mount.toml")))
}

/// A file that is to become an image, raw or qcow2.
pub fn qcow2(bytes: &[u8]) -> Outcome {
    let directory = scratch();
    let path = directory.path().join("image");
    std::fs::write(&path, bytes).unwrap();
    judged(read_image(&path))
}

/// Reads all that may be data, as an import does, up to 32 MiB of it.
fn read_image(path: &Path) -> Result<()> {
    let mut source = ImageSource::open(path)?;
    let mut buffer = vec![0; 65536];
    let (mut at, mut left) = (0, 512);
    while let Some(range) = source.next_data(at)? {
        assert!(at <= range.start && range.start < range.end && range.end <= source.size());
        let mut from = range.start;
        while from < range.end {
            let len = (range.end - from).min(65536);
            source.read(from, &mut buffer[..usize::try_from(len).unwrap()])?;
            from += len;
            left -= 1;
            if left == 0 {
                return Ok(());
            }
        }
        at = range.end;
    }
    Ok(())
}
