//! Sealing and opening runs of sectors.

use super::data_key::Dk;
use super::sector_buf::{Plain, Sealed, SectorBuf};
use super::xts_keys::XtsKeys;
use super::{xts_batched, xts_portable};
use crate::error::Result;
use crate::units::{SectorIndex, SectorSize};

/// How XTS is computed. All kernels give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Many blocks at once; the one that is used.
    Batched,
    /// Block by block; the oracle.
    Portable,
}

impl Kernel {
    /// Every kernel.
    pub const ALL: [Kernel; 2] = [Kernel::Batched, Kernel::Portable];

    /// The kernel's name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Kernel::Batched => "batched",
            Kernel::Portable => "portable",
        }
    }
}

/// A disk's cipher: XTS-AES-256 with `plain64` tweaks (INTERFACE section 6), or none at all.
///
/// Round keys live in locked memory and are wiped when this is dropped.
pub struct SectorCipher {
    sector_size: SectorSize,
    method: Method,
}

enum Method {
    Xts { keys: XtsKeys, kernel: Kernel },
    Null,
}

impl SectorCipher {
    /// The cipher of an encrypted disk. The data key is consumed, and wiped before this returns.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked.
    pub fn xts_aes_256(dk: Dk, sector_size: SectorSize, kernel: Kernel) -> Result<Self> {
        let keys = XtsKeys::expand(dk)?;
        Ok(SectorCipher { sector_size, method: Method::Xts { keys, kernel } })
    }

    /// The cipher of a disk that is not encrypted: sealing moves the bytes (RULES D13).
    pub const fn null(sector_size: SectorSize) -> Self {
        SectorCipher { sector_size, method: Method::Null }
    }

    /// The data unit.
    pub const fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    /// Whether sealed bytes differ from plain ones.
    pub const fn is_encrypting(&self) -> bool {
        matches!(self.method, Method::Xts { .. })
    }

    /// Opens a run of sectors in place. A sector of zeros was never written and stays zeros
    /// (RULES D10).
    pub fn open<'a>(
        &self,
        first: SectorIndex,
        sectors: SectorBuf<'a, Sealed>,
    ) -> SectorBuf<'a, Plain> {
        let bytes = sectors.into_bytes();
        if let Method::Xts { keys, kernel } = &self.method {
            let open = match kernel {
                Kernel::Batched => xts_batched::open,
                Kernel::Portable => xts_portable::open,
            };
            open(keys, self.sector_size.bytes(), self.tweak(first), self.tweak_step(), bytes);
        }
        SectorBuf::assume(bytes)
    }

    /// Seals a run of sectors in place.
    pub fn seal<'a>(
        &self,
        first: SectorIndex,
        sectors: SectorBuf<'a, Plain>,
    ) -> SectorBuf<'a, Sealed> {
        let bytes = sectors.into_bytes();
        if let Method::Xts { keys, kernel } = &self.method {
            let seal = match kernel {
                Kernel::Batched => xts_batched::seal_in_place,
                Kernel::Portable => xts_portable::seal,
            };
            seal(keys, self.sector_size.bytes(), self.tweak(first), self.tweak_step(), bytes);
        }
        SectorBuf::assume(bytes)
    }

    /// Seals the sectors of `plain` into `into`.
    ///
    /// # Panics
    /// When the two differ in length, or are not whole sectors.
    pub fn seal_from<'a>(
        &self,
        first: SectorIndex,
        plain: &[u8],
        into: &'a mut [u8],
    ) -> SectorBuf<'a, Sealed> {
        assert_eq!(plain.len(), into.len(), "sealing keeps the length");
        assert!(self.sector_size.is_aligned(plain.len() as u64), "a run has whole sectors");
        match &self.method {
            Method::Xts { keys, kernel: Kernel::Batched } => {
                let (size, step) = (self.sector_size.bytes(), self.tweak_step());
                xts_batched::seal(keys, size, self.tweak(first), step, plain, into);
                SectorBuf::assume(into)
            }
            Method::Xts { kernel: Kernel::Portable, .. } | Method::Null => {
                into.copy_from_slice(plain);
                self.seal(first, SectorBuf::assume(into))
            }
        }
    }

    fn tweak(&self, sector: SectorIndex) -> u128 {
        self.sector_size.tweak_of(sector)
    }

    fn tweak_step(&self) -> u128 {
        self.sector_size.tweak_of(SectorIndex::new(1))
    }
}

impl std::fmt::Debug for SectorCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.is_encrypting() { "aes-xts-plain64" } else { "null" };
        write!(f, "SectorCipher({name}, {} bytes)", self.sector_size.bytes())
    }
}

/// Whether a sealed sector is all zeros. Almost always answered by its first bytes.
pub(super) fn is_never_written(sector: &[u8]) -> bool {
    let (head, rest) = sector.split_at(sector.len().min(16));
    head.iter().all(|byte| *byte == 0) && rest.iter().all(|byte| *byte == 0)
}
