//! Sectors: the data units of XTS.

use super::bytes::{ByteLen, ByteOffset};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of the unit in which tweaks count, whatever the disk's sector size (INTERFACE section 6).
pub const UNITS_OF_512: u64 = 512;

/// The data unit of a disk: 512 or 4096 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SectorSize {
    /// 512 bytes, for software that insists.
    S512,
    /// 4096 bytes, the default.
    S4096,
}

/// The number of a sector, counted in the disk's own sectors from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectorIndex(u64);

/// A number of sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectorCount(u64);

impl SectorSize {
    /// Both sizes.
    pub const ALL: [SectorSize; 2] = [SectorSize::S512, SectorSize::S4096];

    /// The size as an index into memory.
    pub const fn bytes(self) -> usize {
        match self {
            SectorSize::S512 => 512,
            SectorSize::S4096 => 4096,
        }
    }

    /// The size as a length.
    pub const fn len(self) -> ByteLen {
        ByteLen::new(self.bytes() as u64)
    }

    /// The size from its number of bytes.
    ///
    /// # Errors
    /// `invalid` for anything but 512 and 4096.
    pub fn from_bytes(bytes: u64) -> Result<Self> {
        match bytes {
            512 => Ok(SectorSize::S512),
            4096 => Ok(SectorSize::S4096),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                format!("sector size {bytes} is neither 512 nor 4096"),
            )),
        }
    }

    /// The sector that holds a byte.
    pub const fn sector_at(self, offset: ByteOffset) -> SectorIndex {
        SectorIndex(offset.get() / self.bytes() as u64)
    }

    /// The first byte of a sector, or `None` past 2^64.
    pub fn offset_of(self, sector: SectorIndex) -> Option<ByteOffset> {
        sector.0.checked_mul(self.bytes() as u64).map(ByteOffset::new)
    }

    /// Whether a position is the start of a sector.
    pub const fn is_aligned(self, bytes: u64) -> bool {
        bytes.is_multiple_of(self.bytes() as u64)
    }

    /// The XTS tweak of a sector: its offset in units of 512 bytes, so sector 1 of a 4096-byte
    /// disk has tweak 8 (`plain64` of dm-crypt, INTERFACE section 6).
    pub const fn tweak_of(self, sector: SectorIndex) -> u128 {
        sector.0 as u128 * (self.bytes() as u128 / UNITS_OF_512 as u128)
    }
}

impl SectorIndex {
    /// Sector `index` of a disk.
    pub const fn new(index: u64) -> Self {
        SectorIndex(index)
    }

    /// The index as a plain number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sector `count` further on, or `None` past 2^64.
    pub fn checked_add(self, count: SectorCount) -> Option<SectorIndex> {
        self.0.checked_add(count.0).map(SectorIndex)
    }
}

impl SectorCount {
    /// A number of sectors.
    pub const fn new(count: u64) -> Self {
        SectorCount(count)
    }

    /// The count as a plain number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{ByteOffset, SectorIndex, SectorSize};

    #[test]
    fn tweaks_count_512_byte_units_at_both_sector_sizes() {
        assert_eq!(SectorSize::S4096.tweak_of(SectorIndex::new(1)), 8);
        assert_eq!(SectorSize::S512.tweak_of(SectorIndex::new(1)), 1);
        assert_eq!(
            SectorSize::S4096.tweak_of(SectorIndex::new(u64::MAX)),
            u128::from(u64::MAX) * 8
        );
    }

    #[test]
    fn a_byte_lies_in_the_sector_whose_offset_is_at_or_before_it() {
        for size in SectorSize::ALL {
            let sector = size.sector_at(ByteOffset::new(10_000));
            let start = size.offset_of(sector).unwrap().get();
            assert!(start <= 10_000 && 10_000 < start + size.bytes() as u64);
        }
    }
}
