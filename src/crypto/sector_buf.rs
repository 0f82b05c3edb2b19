//! Runs of whole sectors whose type says whether they are plain or sealed.

use crate::units::SectorSize;
use std::marker::PhantomData;

/// The sectors hold what the user sees.
#[derive(Debug)]
pub enum Plain {}

/// The sectors hold what lies at rest.
#[derive(Debug)]
pub enum Sealed {}

/// Borrowed memory of whole sectors in one of two states. Opening and sealing move it from one to
/// the other, so that neither can be taken for the other.
#[derive(Debug)]
pub struct SectorBuf<'a, S> {
    bytes: &'a mut [u8],
    _state: PhantomData<S>,
}

impl<'a, S> SectorBuf<'a, S> {
    pub(super) fn assume(bytes: &'a mut [u8]) -> Self {
        SectorBuf { bytes, _state: PhantomData }
    }

    pub(super) fn into_bytes(self) -> &'a mut [u8] {
        self.bytes
    }
}

impl<'a> SectorBuf<'a, Sealed> {
    /// Memory about to be filled with sealed sectors from a backing.
    ///
    /// # Panics
    /// When the memory is not a whole number of sectors.
    pub fn to_load(bytes: &'a mut [u8], sector_size: SectorSize) -> Self {
        assert!(sector_size.is_aligned(bytes.len() as u64), "a run has whole sectors");
        SectorBuf::assume(bytes)
    }

    /// The memory, for the read that fills it.
    pub fn load_target(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// What lies at rest.
    pub fn as_sealed(&self) -> &[u8] {
        self.bytes
    }
}

impl SectorBuf<'_, Plain> {
    /// What the user sees.
    pub fn as_plain(&self) -> &[u8] {
        self.bytes
    }

    /// What the user sees, to be changed.
    pub fn as_plain_mut(&mut self) -> &mut [u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Sealed, SectorBuf};
    use crate::units::SectorSize;

    #[test]
    fn a_buffer_holds_whole_sectors_or_none() {
        let mut bytes = [7_u8; 1024];
        assert!(SectorBuf::<Sealed>::to_load(&mut [], SectorSize::S512).as_sealed().is_empty());
        let mut buffer = SectorBuf::<Sealed>::to_load(&mut bytes, SectorSize::S512);
        buffer.load_target().fill(9);
        assert_eq!(buffer.as_sealed(), [9; 1024]);
    }

    #[test]
    #[should_panic(expected = "a run has whole sectors")]
    fn part_of_a_sector_is_a_bug() {
        SectorBuf::<Sealed>::to_load(&mut [0; 1024], SectorSize::S4096);
    }
}
