//! Where data is and where it is not.

use super::open::Disk;
use super::payload::Payload;
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};

impl Disk {
    /// The first position at or after `offset` that may hold data (`SEEK_DATA`), or `None` when
    /// none is left, which lseek(2) answers with ENXIO too. True at the backing's grain, 4 KiB on
    /// common filesystems; a block device calls everything data.
    ///
    /// # Errors
    /// `out-of-range` when `offset` lies at or past the end (ENXIO for lseek(2)); `io`, `detached`.
    pub fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        let end = self.end_after(offset)?;
        let found = self.look_at_payload(|payload| payload.seek_data(offset))?;
        Ok(found.filter(|data| *data < end))
    }

    /// The first position at or after `offset` that lies in a hole (`SEEK_HOLE`); the end of the
    /// disk is one.
    ///
    /// # Errors
    /// As [`seek_data`](Self::seek_data).
    pub fn seek_hole(&self, offset: ByteOffset) -> Result<ByteOffset> {
        let end = self.end_after(offset)?;
        let found = self.look_at_payload(|payload| payload.seek_hole(offset))?;
        Ok(found.map_or(end, |hole| hole.min(end)))
    }

    /// The space the payload really uses.
    ///
    /// # Errors
    /// `io` of the backing; `detached`.
    pub fn allocated(&self) -> Result<ByteLen> {
        self.look_at_payload(Payload::allocated)
    }

    fn end_after(&self, offset: ByteOffset) -> Result<ByteOffset> {
        let end = self.size().end();
        if offset < end {
            return Ok(end);
        }
        let (at, size) = (offset.get(), self.size());
        let text = format!("offset {at} lies past the end of a disk of {size}");
        Err(Error::new(ErrorKind::OutOfRange, text))
    }
}
