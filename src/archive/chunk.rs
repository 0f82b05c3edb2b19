//! The pieces a disk is cut into.

use crate::crypto::{from_hex, to_hex};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::ops::Range;

/// Bytes of a chunk: the grain of digests and of incremental copies. A multiple of every sector
/// size, and the region whose changes an open disk tracks.
pub const CHUNK: ByteLen = ByteLen::new(64 * 1024);

/// [`CHUNK`] as an index into memory.
pub(super) const CHUNK_BYTES: usize = CHUNK.get() as usize;

/// Bytes of a block: what a data file holds or leaves out inside a chunk.
pub(super) const BLOCK_BYTES: usize = 4096;

/// The largest disk (RULES D11).
const MAX_SIZE: ByteLen = ByteLen::new(64 * ByteLen::TIB.get());

/// The number of a chunk, counted from the start of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkIndex(u64);

impl ChunkIndex {
    /// The first chunk.
    pub const ZERO: ChunkIndex = ChunkIndex(0);

    /// The chunk with this number.
    pub const fn new(index: u64) -> Self {
        ChunkIndex(index)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The chunk that holds the byte at `offset`.
    pub const fn holding(offset: ByteOffset) -> Self {
        ChunkIndex(offset.get() / CHUNK.get())
    }

    /// The chunk behind this one.
    pub const fn next(self) -> Self {
        ChunkIndex(self.0.saturating_add(1))
    }

    /// Where the chunk starts on the disk.
    pub const fn start(self) -> ByteOffset {
        ByteOffset::new(self.0.saturating_mul(CHUNK.get()))
    }
}

/// The chunks that touch a range of bytes.
pub(super) fn touched(range: &Range<ByteOffset>) -> Range<ChunkIndex> {
    let past = ChunkIndex(range.end.get().div_ceil(CHUNK.get()));
    ChunkIndex::holding(range.start)..past
}

/// How a disk of one size is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    size: ByteLen,
}

impl Cut {
    /// # Errors
    /// `out-of-range` for more than 64 TiB (RULES D11), so that no product below overflows.
    pub(super) fn of(size: ByteLen) -> Result<Self> {
        if size <= MAX_SIZE {
            return Ok(Cut { size });
        }
        Err(Error::new(
            ErrorKind::OutOfRange,
            format!("a disk of {size} is larger than {MAX_SIZE}"),
        ))
    }

    pub(super) fn size(self) -> ByteLen {
        self.size
    }

    /// How many chunks there are; the last may be short.
    pub(super) fn count(self) -> u64 {
        self.size.get().div_ceil(CHUNK.get())
    }

    /// The chunk past the last.
    pub(super) fn end(self) -> ChunkIndex {
        ChunkIndex(self.count())
    }

    /// The bytes of a chunk that lie on the disk.
    pub(super) fn len_of(self, index: ChunkIndex) -> usize {
        self.size.get().saturating_sub(index.start().get()).min(CHUNK.get()) as usize
    }
}

/// The SHA-256 of a chunk's sealed bytes, or of a manifest.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; Digest::BYTES]);

impl Digest {
    /// Bytes of a digest.
    pub const BYTES: usize = 32;

    /// The digest with these bytes.
    pub const fn new(bytes: [u8; Digest::BYTES]) -> Self {
        Digest(bytes)
    }

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; Digest::BYTES] {
        &self.0
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest of a chunk. What the last chunk of a disk lacks counts as zeros, so that the
    /// digest stays right when the disk grows.
    pub(super) fn of_chunk(bytes: &[u8]) -> Digest {
        static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];
        let mut hash = Sha256::new();
        hash.update(bytes);
        hash.update(&ZEROS[..CHUNK_BYTES.saturating_sub(bytes.len())]);
        Digest(hash.finalize().into())
    }
}

impl From<Sha256> for Digest {
    fn from(hash: Sha256) -> Self {
        Digest(hash.finalize().into())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        to_hex(&digest.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        from_hex(&text)?.try_into().map(Digest).map_err(|_| {
            Error::new(ErrorKind::Invalid, format!("a digest has {} bytes", Digest::BYTES))
        })
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// Whether all bytes are zero. Sealed data is found out by its first word, all but certainly.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    if words.first().is_some_and(|word| u64::from_le_bytes(*word) != 0) {
        return false;
    }
    let (strides, odd) = words.as_chunks::<16>();
    strides
        .iter()
        .all(|stride| stride.iter().fold(0, |all, word| all | u64::from_le_bytes(*word)) == 0)
        && odd.iter().all(|word| *word == [0; 8])
        && rest.iter().all(|byte| *byte == 0)
}

/// The longest runs of units of `unit` bytes that are not all zeros, as ranges of bytes.
pub(super) fn written_runs(bytes: &[u8], unit: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let unit_at = |at: usize| &bytes[at..bytes.len().min(at + unit)];
        while at < bytes.len() && is_zero(unit_at(at)) {
            at += unit;
        }
        let start = at;
        while at < bytes.len() && !is_zero(unit_at(at)) {
            at += unit;
        }
        (start < bytes.len()).then(|| start..at.min(bytes.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_chunk_is_as_long_as_what_is_left_of_the_disk() {
        let cut = Cut::of(ByteLen::new(2 * CHUNK.get() + 512)).unwrap();
        assert_eq!((cut.count(), cut.end()), (3, ChunkIndex::new(3)));
        let lengths: Vec<usize> = (0..4).map(|at| cut.len_of(ChunkIndex::new(at))).collect();
        assert_eq!(lengths, [CHUNK_BYTES, CHUNK_BYTES, 512, 0]);
        assert!(Cut::of(MAX_SIZE).is_ok());
        assert!(Cut::of(ByteLen::new(MAX_SIZE.get() + 1)).is_err());
    }

    #[test]
    fn a_range_touches_every_chunk_it_has_a_byte_of() {
        let range = |start, end| ByteOffset::new(start)..ByteOffset::new(end);
        let chunks = |start, end| ChunkIndex::new(start)..ChunkIndex::new(end);
        assert_eq!(touched(&range(0, 1)), chunks(0, 1));
        assert_eq!(touched(&range(65535, 65537)), chunks(0, 2));
        assert_eq!(touched(&range(65536, 131_072)), chunks(1, 2));
    }

    #[test]
    fn a_short_chunk_has_the_digest_of_one_filled_up_with_zeros() {
        let mut whole = vec![0; CHUNK_BYTES];
        whole[..512].fill(7);
        assert_eq!(Digest::of_chunk(&[7; 512]), Digest::of_chunk(&whole));
        assert_ne!(Digest::of_chunk(&[7; 513]), Digest::of_chunk(&whole));
    }

    /// FIPS 180-4, computed by another implementation: 64 KiB of zeros.
    #[test]
    fn the_digest_is_sha_256() {
        let text = String::from(Digest::of_chunk(&[]));
        assert_eq!(text, "de2f256064a0af797747c2b97505dc0b9f3df0de4f489eac731c23ae9ca9cc31");
        assert_eq!(Digest::try_from(text).unwrap(), Digest::of_chunk(&[]));
        assert!(Digest::try_from("00".to_owned()).is_err());
    }

    #[test]
    fn one_byte_anywhere_is_not_zero() {
        let mut bytes = vec![0; 1000];
        assert!(is_zero(&bytes) && is_zero(&[]));
        for at in 0..bytes.len() {
            bytes[at] = 1;
            assert!(!is_zero(&bytes), "{at}");
            bytes[at] = 0;
        }
    }

    #[test]
    fn written_runs_are_the_longest_ones() {
        let mut bytes = vec![0; 10 * 512 + 100];
        let runs = |bytes: &[u8]| written_runs(bytes, 512).collect::<Vec<_>>();
        assert!(runs(&bytes).is_empty() && runs(&[]).is_empty());
        bytes[512] = 1;
        bytes[1535] = 1;
        bytes[5219] = 1;
        assert_eq!(runs(&bytes), [512..1536, 5120..5220]);
    }
}
