//! What a copy engine reads from.

use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;

/// The sealed bytes of a disk as of one point in time, read without any key: ciphertext of an
/// encrypted disk, content of an unencrypted one.
///
/// A copy goes forward: it asks [`next_data`](Self::next_data) where the next written range is,
/// reads it in pieces, and goes on from its end. What no range covers was never written.
pub trait SealedSource: Send + Sync {
    /// The size of the disk at that time; a positive multiple of the sector size.
    fn size(&self) -> ByteLen;

    /// The disk's sector size.
    fn sector_size(&self) -> SectorSize;

    /// The first range at or after `offset` that may have been written, or `None` when nothing is
    /// left. It is never empty, ends at the disk's end at the latest, and is made of whole sectors
    /// if `offset` is the start of one. It may hold zeros; what lies before it, from `offset` on,
    /// was never written (RULES D10).
    ///
    /// # Errors
    /// `invalid` for a position that the source has left behind; `io`, `detached`.
    fn next_data(&self, offset: ByteOffset) -> Result<Option<Range<ByteOffset>>>;

    /// Fills `into` with the sealed bytes at `offset`: whole sectors, as many as the caller likes.
    ///
    /// # Errors
    /// `invalid` for parts of sectors, and for a position that the source has left behind;
    /// `out-of-range` past the end; `io`, `detached`.
    fn read_sealed(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()>;
}

/// Refuses what no source reads.
pub(super) fn must_be_readable(
    sector: SectorSize,
    size: ByteLen,
    offset: ByteOffset,
    len: ByteLen,
) -> Result<()> {
    let (at, count) = (offset.get(), len.get());
    if !sector.is_aligned(at) || !sector.is_aligned(count) {
        let text = format!("{count} bytes at offset {at} are not whole sectors");
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    if offset.checked_add(len).is_none_or(|end| end > size.end()) {
        let text = format!("{count} bytes at offset {at} reach past the end of a disk of {size}");
        return Err(Error::new(ErrorKind::OutOfRange, text));
    }
    Ok(())
}
