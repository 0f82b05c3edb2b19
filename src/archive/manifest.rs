//! The form of a manifest: which chunks an archive holds, and their digests.
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | 8 | `EVSFSMAN` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | bytes of a chunk, 65536 |
//! | 16 | 8 | size of the disk in bytes |
//! | 24 | 48 each | entries, to the end of the file |
//!
//! and an entry:
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | 8 | number of the chunk |
//! | 8 | 1 | 1: the archive holds its data; 2: the chunk has become zeros |
//! | 9 | 7 | zeros |
//! | 16 | 32 | digest of the chunk for kind 1, zeros for kind 2 |
//!
//! Numbers are little-endian and unsigned. The digest is the SHA-256 of the chunk's 65536 sealed
//! bytes; those behind the disk's end count as zeros. Entries are in rising order of their chunks,
//! each chunk at most once, so that a chain of manifests is joined by reading each once from front
//! to back, and one chunk is found by halving. A chunk without an entry is as in the parent, or
//! never written when there is none; a full archive has no entries of kind 2.
//!
//! Length and SHA-256 of the whole file stand in the authenticated record, so a torn or edited
//! manifest is always found out: by its length before a byte is used, by its digest when the last
//! byte has been. Whatever was made of its entries until then is given up. A manifest is never
//! changed in place: the one that takes its place is another file, `manifest.<generation>`, and the
//! record says which counts.

use super::chunk::{CHUNK, ChunkIndex, Cut, Digest};
use crate::error::{Error, ErrorKind, Result};

const MAGIC: &[u8; 8] = b"EVSFSMAN";
const VERSION: u32 = 1;

const VERSION_AT: usize = MAGIC.len();
const CHUNK_AT: usize = VERSION_AT + size_of::<u32>();
const SIZE_AT: usize = CHUNK_AT + size_of::<u32>();
/// Bytes before the first entry.
pub(super) const HEADER_BYTES: usize = SIZE_AT + size_of::<u64>();

const KIND_AT: usize = size_of::<u64>();
const DIGEST_AT: usize = 2 * size_of::<u64>();
/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = DIGEST_AT + Digest::BYTES;

const KIND_DATA: u8 = 1;
const KIND_ZERO: u8 = 2;

/// What an archive says of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub index: ChunkIndex,
    pub content: Content,
}

/// What a chunk has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The archive holds it.
    Data(Digest),
    /// It is all zeros, where the parent has data.
    Zero,
}

impl Entry {
    pub(super) fn data(index: ChunkIndex, digest: Digest) -> Self {
        Entry { index, content: Content::Data(digest) }
    }

    pub(super) fn zero(index: ChunkIndex) -> Self {
        Entry { index, content: Content::Zero }
    }

    pub(super) fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..KIND_AT].copy_from_slice(&self.index.get().to_le_bytes());
        match self.content {
            Content::Data(digest) => {
                bytes[KIND_AT] = KIND_DATA;
                bytes[DIGEST_AT..].copy_from_slice(digest.as_bytes());
            }
            Content::Zero => bytes[KIND_AT] = KIND_ZERO,
        }
        bytes
    }

    /// The entry, or what is wrong with it.
    pub(super) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Result<Entry, &'static str> {
        let index = ChunkIndex::new(number(bytes, 0));
        let (kind, padding) = (bytes[KIND_AT], &bytes[KIND_AT + 1..DIGEST_AT]);
        if padding.iter().any(|byte| *byte != 0) {
            return Err("has padding that is not zero");
        }
        let mut digest = [0; Digest::BYTES];
        digest.copy_from_slice(&bytes[DIGEST_AT..]);
        match kind {
            KIND_DATA => Ok(Entry::data(index, Digest::new(digest))),
            KIND_ZERO if digest == [0; Digest::BYTES] => Ok(Entry::zero(index)),
            KIND_ZERO => Err("has a digest of zeros that is none"),
            _ => Err("is of an unknown kind"),
        }
    }
}

/// The first bytes of the manifest of a disk that is cut like this.
pub(super) fn header(cut: Cut) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..VERSION_AT].copy_from_slice(MAGIC);
    bytes[VERSION_AT..CHUNK_AT].copy_from_slice(&VERSION.to_le_bytes());
    // A constant of 2^16.
    bytes[CHUNK_AT..SIZE_AT].copy_from_slice(&(CHUNK.get() as u32).to_le_bytes());
    bytes[SIZE_AT..].copy_from_slice(&cut.size().get().to_le_bytes());
    bytes
}

/// Refuses a header that is not the one the record asks for.
///
/// # Errors
/// `unsupported` for a newer version; `integrity` for all else. Both name `place`.
pub(super) fn check_header(bytes: &[u8; HEADER_BYTES], cut: Cut, place: &str) -> Result<()> {
    if *bytes == header(cut) {
        return Ok(());
    }
    let version = number(bytes, VERSION_AT) as u32;
    if bytes.starts_with(MAGIC) && version > VERSION {
        let text = format!("{place} has version {version}, and this program knows {VERSION}");
        return Err(
            Error::new(ErrorKind::Unsupported, text).remedy("use the newer evsfs that wrote it")
        );
    }
    Err(super::damage::damaged(place, 0, "does not begin as the manifest of this disk"))
}

/// The 64-bit number at `at`. The widths above leave room for it.
fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; size_of::<u64>()];
    number.copy_from_slice(&bytes[at..at + size_of::<u64>()]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteLen;

    fn golden() -> (Cut, Vec<Entry>) {
        let entries = vec![
            Entry::data(ChunkIndex::ZERO, Digest::of_chunk(&[1; 4096])),
            Entry::zero(ChunkIndex::new(2)),
            Entry::data(ChunkIndex::new(15), Digest::of_chunk(&[2; 65536])),
        ];
        (Cut::of(ByteLen::MIB).unwrap(), entries)
    }

    /// Golden bytes, written by hand from the tables above with another implementation of SHA-256.
    #[test]
    fn a_manifest_has_these_bytes_for_ever() {
        let golden_bytes = include_bytes!("golden_manifest");
        let (cut, entries) = golden();
        let mut bytes = header(cut).to_vec();
        bytes.extend(entries.iter().flat_map(|entry| entry.encode()));
        assert_eq!(bytes, golden_bytes);
        check_header(bytes.first_chunk().unwrap(), cut, "a").unwrap();
        let decoded: Vec<Entry> = golden_bytes[HEADER_BYTES..]
            .as_chunks()
            .0
            .iter()
            .map(|bytes| Entry::decode(bytes).unwrap())
            .collect();
        assert_eq!(decoded, entries);
    }

    #[test]
    fn entries_that_no_writer_writes_are_refused() {
        for (at, value) in [(8, 0), (8, 3), (9, 1), (15, 128), (16, 1), (47, 1)] {
            let mut bytes = Entry::zero(ChunkIndex::new(5)).encode();
            bytes[at] = value;
            assert!(Entry::decode(&bytes).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_header_of_another_disk_or_version_is_refused() {
        let (cut, _) = golden();
        for at in 0..HEADER_BYTES {
            let mut bytes = header(cut);
            bytes[at] ^= 0x80;
            let error = check_header(&bytes, cut, "backups/a/manifest.0").unwrap_err();
            let newer = (VERSION_AT..CHUNK_AT).contains(&at);
            let kind = if newer { ErrorKind::Unsupported } else { ErrorKind::Integrity };
            assert_eq!(error.kind(), kind, "byte {at}");
            assert!(error.message().contains("backups/a/manifest.0"), "{error}");
        }
    }
}
