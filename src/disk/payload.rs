//! Sealed sectors at rest.

use crate::backing::{Backing, ReadableFile};
use crate::crypto::{Sealed, SectorBuf};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset, SectorIndex, SectorSize};
use std::ops::Range;

/// A backing seen as sectors. The only caller of [`Backing::write_at`], and it takes sealed sectors
/// only, so that plaintext cannot reach the medium by mistake.
pub(super) struct Payload {
    backing: Box<dyn Backing>,
    sector: SectorSize,
}

impl Payload {
    /// # Errors
    /// `integrity` when the backing is shorter than the disk.
    pub(super) fn new(
        backing: Box<dyn Backing>,
        sector: SectorSize,
        disk_size: ByteLen,
    ) -> Result<Self> {
        let found = backing.len();
        if found < disk_size {
            let (found, wanted) = (found.get(), disk_size.get());
            return Err(Error::new(
                ErrorKind::Integrity,
                format!("the payload has {found} bytes where the disk has {wanted}: it was cut"),
            ));
        }
        Ok(Payload { backing, sector })
    }

    /// Reads as many sectors as `into` holds.
    pub(super) fn load<'a>(
        &self,
        first: SectorIndex,
        into: &'a mut [u8],
    ) -> Result<SectorBuf<'a, Sealed>> {
        let mut sectors = SectorBuf::<Sealed>::to_load(into, self.sector);
        self.backing.read_at(self.offset_of(first)?, sectors.load_target())?;
        Ok(sectors)
    }

    /// Writes sealed sectors.
    pub(super) fn store(&self, first: SectorIndex, sectors: &SectorBuf<'_, Sealed>) -> Result<()> {
        self.backing.write_at(self.offset_of(first)?, sectors.as_sealed())
    }

    /// Makes whole sectors never written.
    pub(super) fn discard(&self, first: SectorIndex, len: ByteLen) -> Result<()> {
        self.backing.discard(self.offset_of(first)?, len)
    }

    /// Makes room for a disk of `size` bytes that had `old_size`; the new part is never written.
    pub(super) fn grow(&self, old_size: ByteLen, size: ByteLen) -> Result<()> {
        if self.backing.len() < size {
            self.backing.set_len(size)?;
        }
        // What lies behind the old end may be a device's earlier life.
        let new = size.checked_sub(old_size).unwrap_or(ByteLen::ZERO);
        self.backing.discard(old_size.end(), new)
    }

    pub(super) fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.backing.seek_data(offset)
    }

    pub(super) fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.backing.seek_hole(offset)
    }

    /// The next range at or after `offset` and before `end` that may hold data, widened to whole
    /// sectors but not to before `offset`. `end` is the end of a sector.
    pub(super) fn next_data(
        &self,
        offset: ByteOffset,
        end: ByteOffset,
    ) -> Result<Option<Range<ByteOffset>>> {
        let Some(data) = self.backing.seek_data(offset)?.filter(|data| *data < end) else {
            return Ok(None);
        };
        let hole = self.backing.seek_hole(data)?.map_or(end, |hole| hole.min(end));
        let (data, size) = (data.get(), self.sector.len().get());
        let start = offset.max(ByteOffset::new(data - data % size));
        // Somebody may have discarded the data between the two looks: then one sector of it is
        // reported, so that the caller gets on.
        let stop = hole.get().max(data + 1).next_multiple_of(size);
        Ok(Some(start..end.min(ByteOffset::new(stop))))
    }

    pub(super) fn flush(&self) -> Result<()> {
        self.backing.flush()
    }

    pub(super) fn len(&self) -> ByteLen {
        self.backing.len()
    }

    pub(super) fn readable_file(&self) -> Result<Option<ReadableFile>> {
        self.backing.readable_file()
    }

    pub(super) fn allocated(&self) -> Result<ByteLen> {
        self.backing.allocated()
    }

    fn offset_of(&self, sector: SectorIndex) -> Result<ByteOffset> {
        self.sector.offset_of(sector).ok_or_else(|| {
            let number = sector.get();
            Error::new(ErrorKind::OutOfRange, format!("sector {number} lies past 2^64 bytes"))
        })
    }
}
