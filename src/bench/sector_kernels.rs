//! Speed of the sector kernels, as `cryptsetup benchmark` shows that of the kernel's ciphers.

use super::interrupt::Interrupt;
use crate::crypto::{Dk, Kernel, Sealed, SectorBuf, SectorCipher};
use crate::error::Result;
use crate::units::{SectorIndex, SectorSize};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

/// Bytes sealed and opened again and again: as `cryptsetup benchmark` does it, and small enough to
/// stay in the first levels of cache, so that the cipher is measured and not the memory.
const BUFFER: usize = 64 << 10;
/// Of so many rounds the median counts.
const ROUNDS: usize = 5;

/// How fast one kernel is with one size of sectors, on one core.
#[derive(Debug, Clone, Copy)]
pub struct KernelSpeed {
    /// The kernel.
    pub kernel: Kernel,
    /// The data unit.
    pub sector: SectorSize,
    /// Bytes a second sealed from plaintext into another buffer: the path of writes.
    pub seal: f64,
    /// Bytes a second opened in place: the path of reads.
    pub open: f64,
}

/// Measures every kernel this processor can run; each figure takes `time`.
///
/// # Errors
/// `io` when it was interrupted, or without memory that can be locked.
pub fn kernel_speeds(time: Duration, interrupt: &Interrupt) -> Result<Vec<KernelSpeed>> {
    let mut speeds = Vec::new();
    for sector in SectorSize::ALL {
        for kernel in Kernel::available() {
            let cipher = SectorCipher::xts_aes_256(Dk::generate()?, sector, kernel)?;
            let (plain, mut buffer) = (vec![0x5a; BUFFER], vec![0x5a; BUFFER]);
            let first = SectorIndex::new(0);
            let seal = median_speed(time, interrupt, || {
                let buffer = black_box(&mut buffer);
                black_box(cipher.seal_from(first, black_box(&plain), buffer).as_sealed());
            })?;
            let open = median_speed(time, interrupt, || {
                let sealed = SectorBuf::<Sealed>::to_load(black_box(&mut buffer), sector);
                black_box(cipher.open(first, sealed).as_plain());
            })?;
            speeds.push(KernelSpeed { kernel, sector, seal, open });
        }
    }
    Ok(speeds)
}

/// Bytes a second of `work` on one buffer.
fn median_speed(time: Duration, interrupt: &Interrupt, mut work: impl FnMut()) -> Result<f64> {
    let round = time / ROUNDS as u32;
    let mut rounds = [0.0; ROUNDS];
    for speed in &mut rounds {
        interrupt.check()?;
        let start = time_on_core();
        let mut done = 0_u32;
        *speed = loop {
            // Several between two looks at the clock, so that the clock does not count.
            (0..16).for_each(|_| work());
            done += 16;
            let passed = time_on_core().saturating_sub(start);
            if passed >= round {
                break f64::from(done) * BUFFER as f64 / passed.as_secs_f64();
            }
        };
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[ROUNDS / 2])
}

/// What this thread has worked: other work on the machine is not held against the kernel.
fn time_on_core() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_measured_with_both_sector_sizes() {
        let speeds = kernel_speeds(Duration::from_micros(10), &Interrupt::default()).unwrap();
        assert_eq!(speeds.len(), 2 * Kernel::available().count());
        assert!(speeds.iter().all(|speed| speed.seal > 0.0 && speed.open > 0.0));
    }
}
