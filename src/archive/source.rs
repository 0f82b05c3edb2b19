//! Where the sealed bytes of a copy come from.

use crate::error::Result;
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;

/// The payload of a disk as it was at one moment, in sealed bytes: no key is involved.
pub trait SealedSource: Send + Sync {
    /// The disk's size at that moment.
    fn size(&self) -> ByteLen;

    /// The disk's sector size.
    fn sector_size(&self) -> SectorSize;

    /// The next range at or after `offset` that may have been written, or `None` when there is none
    /// before the end.
    ///
    /// # Errors
    /// `io` of the medium; `detached` when the disk has gone.
    fn next_data(&self, offset: ByteOffset) -> Result<Option<Range<ByteOffset>>>;

    /// Fills `into` with the sealed bytes at `offset`, all of them before [`size`](Self::size).
    /// Forward order is the fast one.
    ///
    /// # Errors
    /// `io` of the medium; `detached` when the disk has gone.
    fn read_sealed(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()>;
}
