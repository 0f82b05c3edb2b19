//! A disk that nobody has attached, read without its key.

use super::open::must_be_whole_sectors;
use super::payload::Payload;
use super::sealed_source::{SealedSource, must_be_readable};
use crate::backing::Backing;
use crate::error::Result;
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;

/// The payload of a detached disk. It does not change, because whoever holds a payload holds it
/// alone (RULES S3), and this has no method that changes it.
pub struct DetachedDisk {
    payload: Payload,
    size: ByteLen,
    sector: SectorSize,
}

impl DetachedDisk {
    /// Reads a disk of `size` bytes over its payload.
    ///
    /// # Errors
    /// `invalid` (EVS.1010) when the size is not a positive multiple of the sector size;
    /// `integrity` when the payload is shorter than the disk.
    pub fn open(backing: Box<dyn Backing>, size: ByteLen, sector: SectorSize) -> Result<Self> {
        must_be_whole_sectors(size, sector)?;
        Ok(DetachedDisk { payload: Payload::new(backing, sector, size)?, size, sector })
    }
}

impl SealedSource for DetachedDisk {
    fn size(&self) -> ByteLen {
        self.size
    }

    fn sector_size(&self) -> SectorSize {
        self.sector
    }

    fn next_data(&self, offset: ByteOffset) -> Result<Option<Range<ByteOffset>>> {
        self.payload.next_data(offset, self.size.end())
    }

    fn read_sealed(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        must_be_readable(self.sector, self.size, offset, ByteLen::of(into))?;
        self.payload.load(self.sector.sector_at(offset), into).map(drop)
    }
}

impl std::fmt::Debug for DetachedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DetachedDisk({}, {:?})", self.size, self.sector)
    }
}
