//! Sealing and opening runs of sectors.

use super::data_key::Dk;
use super::sector_buf::{Plain, Sealed, SectorBuf};
use super::xts_keys::XtsKeys;
use super::xts_tweaks::Run;
use super::{xts_batched, xts_portable};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{SectorIndex, SectorSize};

/// Bytes of an AES block, the smallest data unit.
const BLOCK_BYTES: usize = 16;

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

    fn seal(self, keys: &XtsKeys, run: Run, source: Option<&[u8]>, units: &mut [u8]) {
        match self {
            Kernel::Batched => xts_batched::seal(keys, run, source, units),
            Kernel::Portable => {
                if let Some(source) = source {
                    units.copy_from_slice(source);
                }
                xts_portable::seal(keys, run, units);
            }
        }
    }

    fn open(self, keys: &XtsKeys, run: Run, units: &mut [u8]) {
        match self {
            Kernel::Batched => xts_batched::open(keys, run, units),
            Kernel::Portable => xts_portable::open(keys, run, units),
        }
    }

    fn run_of_unit(self, tweak: u128, unit: &[u8]) -> Result<Run> {
        let steals_ciphertext = match self {
            Kernel::Batched => false,
            Kernel::Portable => true,
        };
        let whole_blocks = unit.len().is_multiple_of(BLOCK_BYTES);
        if unit.len() >= BLOCK_BYTES && (whole_blocks || steals_ciphertext) {
            return Ok(Run::of_one_unit(tweak, unit.len()));
        }
        let (name, len) = (self.name(), unit.len());
        let message = format!("the {name} kernel has no data units of {len} bytes");
        Err(Error::new(ErrorKind::Unsupported, message))
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
        self.expect_whole_sectors(bytes);
        if let Method::Xts { keys, kernel } = &self.method {
            let run = Run::of_sectors(first, self.sector_size);
            for (position, written) in written_runs(bytes, self.sector_size) {
                kernel.open(keys, run.after(position), written);
            }
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
        self.expect_whole_sectors(bytes);
        if let Method::Xts { keys, kernel } = &self.method {
            kernel.seal(keys, Run::of_sectors(first, self.sector_size), None, bytes);
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
        self.expect_whole_sectors(into);
        match &self.method {
            Method::Xts { keys, kernel } => {
                kernel.seal(keys, Run::of_sectors(first, self.sector_size), Some(plain), into);
            }
            Method::Null => into.copy_from_slice(plain),
        }
        SectorBuf::assume(into)
    }

    /// Seals one data unit of any length under any 128-bit tweak, in place. Published known answers
    /// are mostly not sectors; this is how a kernel is proved against them. Disks never use it.
    ///
    /// # Errors
    /// `unsupported` when the unit is shorter than a block, or is not whole blocks and the kernel
    /// does not steal ciphertext.
    pub fn seal_unit(&self, tweak: u128, unit: &mut [u8]) -> Result<()> {
        if let Method::Xts { keys, kernel } = &self.method {
            kernel.seal(keys, kernel.run_of_unit(tweak, unit)?, None, unit);
        }
        Ok(())
    }

    /// Opens one data unit, undoing [`seal_unit`](Self::seal_unit). Zeros are opened like all else.
    ///
    /// # Errors
    /// As `seal_unit`.
    pub fn open_unit(&self, tweak: u128, unit: &mut [u8]) -> Result<()> {
        if let Method::Xts { keys, kernel } = &self.method {
            kernel.open(keys, kernel.run_of_unit(tweak, unit)?, unit);
        }
        Ok(())
    }

    fn expect_whole_sectors(&self, bytes: &[u8]) {
        assert!(self.sector_size.is_aligned(bytes.len() as u64), "a run has whole sectors");
    }
}

impl std::fmt::Debug for SectorCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.is_encrypting() { "aes-xts-plain64" } else { "null" };
        write!(f, "SectorCipher({name}, {} bytes)", self.sector_size.bytes())
    }
}

/// The longest runs of sectors that are not all zeros, each with the position of its first.
fn written_runs(
    mut bytes: &mut [u8],
    size: SectorSize,
) -> impl Iterator<Item = (usize, &mut [u8])> {
    let mut position = 0;
    std::iter::from_fn(move || {
        let holes = leading(bytes, size, true);
        let (_, rest) = std::mem::take(&mut bytes).split_at_mut(holes * size.bytes());
        let written = leading(rest, size, false);
        let (run, rest) = rest.split_at_mut(written * size.bytes());
        let at = position + holes;
        position = at + written;
        bytes = rest;
        (written != 0).then_some((at, run))
    })
}

/// How many sectors at the start are holes, or are none.
fn leading(bytes: &[u8], size: SectorSize, holes: bool) -> usize {
    bytes.chunks_exact(size.bytes()).take_while(|sector| is_zero(sector) == holes).count()
}

/// Whether all bytes are zero. Sealed data is found out by its first word, all but certainly; holes
/// are read in strides that the compiler vectorises.
fn is_zero(sector: &[u8]) -> bool {
    const STRIDE: usize = 128;
    let (words, _) = sector.as_chunks::<8>();
    if words.first().is_some_and(|word| u64::from_le_bytes(*word) != 0) {
        return false;
    }
    let (strides, _) = sector.as_chunks::<STRIDE>();
    strides.iter().all(|stride| stride.iter().fold(0, |all, byte| all | byte) == 0)
}
