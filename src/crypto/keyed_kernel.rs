//! A kernel together with a disk's round keys, in the one form that this kernel needs.

use super::data_key::Dk;
use super::kernel::Kernel;
#[cfg(target_arch = "x86_64")]
use super::simd_vaes256::Vaes256;
#[cfg(target_arch = "x86_64")]
use super::simd_vaes512::Vaes512;
use super::xts_keys::XtsKeys;
use super::xts_tweaks::Run;
use super::{xts_batched, xts_portable};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{wipe_vector_registers, with_wiped_stack};
#[cfg(target_arch = "x86_64")]
use zeroize::Zeroizing;

/// Bytes of an AES block, the smallest data unit.
const BLOCK_BYTES: usize = 16;

/// The longest step of a fused kernel, and a multiple of the others.
#[cfg(target_arch = "x86_64")]
const STEP_BYTES: usize = 512;

/// What seals and opens the sectors of one disk.
pub(super) enum KeyedKernel {
    #[cfg(target_arch = "x86_64")]
    Vaes512(Vaes512),
    #[cfg(target_arch = "x86_64")]
    Vaes256(Vaes256),
    Batched(XtsKeys),
    Portable(XtsKeys),
}

impl KeyedKernel {
    /// Expands and thereby consumes a data key.
    ///
    /// # Errors
    /// `unsupported` when this processor cannot run the kernel; `quota` when memory cannot be
    /// locked.
    pub(super) fn new(kernel: Kernel, dk: Dk) -> Result<Self> {
        match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Vaes512 if kernel.is_available() => {
                Ok(KeyedKernel::Vaes512(Vaes512::expand(&dk)?))
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Vaes256 if kernel.is_available() => {
                Ok(KeyedKernel::Vaes256(Vaes256::expand(&dk)?))
            }
            Kernel::Vaes512 | Kernel::Vaes256 => {
                let message = format!("this processor cannot run the {} kernel", kernel.name());
                Err(Error::new(ErrorKind::Unsupported, message))
            }
            Kernel::Batched => Ok(KeyedKernel::Batched(XtsKeys::expand(dk)?)),
            Kernel::Portable => Ok(KeyedKernel::Portable(XtsKeys::expand(dk)?)),
        }
    }

    /// Seals a run of units: from `source` into as many bytes of `units`, or `units` in place.
    pub(super) fn seal(&self, run: Run, source: Option<&[u8]>, units: &mut [u8]) {
        self.leaving_no_keys(|| self.seal_run(run, source, units));
    }

    /// Opens a run of units in place.
    pub(super) fn open(&self, run: Run, units: &mut [u8]) {
        self.leaving_no_keys(|| self.open_run(run, units));
    }

    /// Wipes the vector registers, and the stack after work that may leave round keys there: more of
    /// them than the processor has registers for. The fused kernels leave none, which a test of
    /// `simd_keys` proves of optimised code; unoptimised code has everything on the stack.
    fn leaving_no_keys(&self, work: impl FnOnce()) {
        let is_clean = match self {
            #[cfg(target_arch = "x86_64")]
            KeyedKernel::Vaes512(_) | KeyedKernel::Vaes256(_) => !cfg!(debug_assertions),
            KeyedKernel::Batched(_) | KeyedKernel::Portable(_) => false,
        };
        if is_clean {
            work();
            wipe_vector_registers();
        } else {
            with_wiped_stack(work);
        }
    }

    fn seal_run(&self, run: Run, source: Option<&[u8]>, units: &mut [u8]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            KeyedKernel::Vaes512(kernel) => kernel.seal(run, source, units),
            #[cfg(target_arch = "x86_64")]
            KeyedKernel::Vaes256(kernel) => kernel.seal(run, source, units),
            KeyedKernel::Batched(keys) => xts_batched::seal(keys, run, source, units),
            KeyedKernel::Portable(keys) => {
                if let Some(source) = source {
                    units.copy_from_slice(source);
                }
                xts_portable::seal(keys, run, units);
            }
        }
    }

    fn open_run(&self, run: Run, units: &mut [u8]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            KeyedKernel::Vaes512(kernel) => kernel.open(run, units),
            #[cfg(target_arch = "x86_64")]
            KeyedKernel::Vaes256(kernel) => kernel.open(run, units),
            KeyedKernel::Batched(keys) => xts_batched::open(keys, run, units),
            KeyedKernel::Portable(keys) => xts_portable::open(keys, run, units),
        }
    }

    /// Seals one unit of any length under any tweak, in place.
    ///
    /// # Errors
    /// `unsupported` when the unit is shorter than a block, or is not whole blocks and the kernel
    /// does not steal ciphertext.
    pub(super) fn seal_unit(&self, tweak: u128, unit: &mut [u8]) -> Result<()> {
        self.on_unit(unit, |unit| self.seal(Run::of_one_unit(tweak, unit.len()), None, unit))
    }

    /// Opens one unit of any length under any tweak, in place.
    ///
    /// # Errors
    /// As `seal_unit`.
    pub(super) fn open_unit(&self, tweak: u128, unit: &mut [u8]) -> Result<()> {
        self.on_unit(unit, |unit| self.open(Run::of_one_unit(tweak, unit.len()), unit))
    }

    fn on_unit(&self, unit: &mut [u8], work: impl FnOnce(&mut [u8])) -> Result<()> {
        let steals_ciphertext = matches!(self, KeyedKernel::Portable(_));
        let whole_blocks = unit.len().is_multiple_of(BLOCK_BYTES);
        if unit.len() < BLOCK_BYTES || !(whole_blocks || steals_ciphertext) {
            let message = format!("this kernel has no data units of {} bytes", unit.len());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        match self {
            // Fused kernels work in steps, which every sector is a multiple of and few known answers
            // are. Blocks do not depend on those behind them, so they may stand in a longer unit.
            #[cfg(target_arch = "x86_64")]
            KeyedKernel::Vaes512(_) | KeyedKernel::Vaes256(_) => {
                let mut longer = Zeroizing::new(vec![0; unit.len().next_multiple_of(STEP_BYTES)]);
                longer[..unit.len()].copy_from_slice(unit);
                work(&mut longer);
                unit.copy_from_slice(&longer[..unit.len()]);
            }
            KeyedKernel::Batched(_) | KeyedKernel::Portable(_) => work(unit),
        }
        Ok(())
    }
}
