//! Sealing and opening runs of sectors.

use super::data_key::Dk;
use super::kernel::Kernel;
use super::keyed_kernel::KeyedKernel;
use super::sector_buf::{Plain, Sealed, SectorBuf};
use super::xts_tweaks::Run;
use crate::error::Result;
use crate::units::{SectorIndex, SectorSize};

/// A disk's cipher: XTS-AES-256 with `plain64` tweaks (INTERFACE section 6), or none at all.
///
/// Round keys live in locked memory and are wiped when this is dropped.
pub struct SectorCipher {
    sector_size: SectorSize,
    method: Method,
}

enum Method {
    Xts(KeyedKernel),
    Null,
}

impl SectorCipher {
    /// The cipher of an encrypted disk. The data key is consumed, and wiped before this returns.
    ///
    /// # Errors
    /// `unsupported` when this processor cannot run the kernel; `quota` when memory cannot be
    /// locked.
    pub fn xts_aes_256(dk: Dk, sector_size: SectorSize, kernel: Kernel) -> Result<Self> {
        let method = Method::Xts(KeyedKernel::new(kernel, dk)?);
        Ok(SectorCipher { sector_size, method })
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
        matches!(self.method, Method::Xts(_))
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
        if let Method::Xts(kernel) = &self.method {
            let run = Run::of_sectors(first, self.sector_size);
            for (position, written) in written_runs(bytes, self.sector_size) {
                kernel.open(run.after(position), written);
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
        if let Method::Xts(kernel) = &self.method {
            kernel.seal(Run::of_sectors(first, self.sector_size), None, bytes);
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
            Method::Xts(kernel) => {
                kernel.seal(Run::of_sectors(first, self.sector_size), Some(plain), into);
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
        if let Method::Xts(kernel) = &self.method {
            kernel.seal_unit(tweak, unit)?;
        }
        Ok(())
    }

    /// Opens one data unit, undoing [`seal_unit`](Self::seal_unit). Zeros are opened like all else.
    ///
    /// # Errors
    /// As `seal_unit`.
    pub fn open_unit(&self, tweak: u128, unit: &mut [u8]) -> Result<()> {
        if let Method::Xts(kernel) = &self.method {
            kernel.open_unit(tweak, unit)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;
    use crate::error::ErrorKind;

    /// Near 0, where tweaks carry from byte to byte, where they outgrow 64 bits, and at the end.
    const FIRST_SECTORS: [u64; 6] = [0, 250, u32::MAX as u64 - 2, 1 << 37, 1 << 61, u64::MAX];

    fn dk() -> Dk {
        let secret = Secret::fill(|bytes| {
            bytes.copy_from_slice(&std::array::from_fn::<u8, 64, _>(|at| at as u8 * 3 + 1));
            Ok(())
        });
        Dk::from_secret(secret.unwrap()).unwrap()
    }

    fn cipher(size: SectorSize, kernel: Kernel) -> SectorCipher {
        SectorCipher::xts_aes_256(dk(), size, kernel).unwrap()
    }

    /// All but the oracle.
    fn faster_kernels() -> impl Iterator<Item = Kernel> {
        Kernel::available().filter(|kernel| *kernel != Kernel::Portable)
    }

    fn random(bytes: usize) -> Vec<u8> {
        let mut random = vec![0; bytes];
        getrandom::fill(&mut random).unwrap();
        random
    }

    fn sealed(cipher: &SectorCipher, first: SectorIndex, plain: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xee; plain.len()];
        cipher.seal_from(first, plain, &mut bytes);
        bytes
    }

    fn opened(cipher: &SectorCipher, first: SectorIndex, sealed: &[u8]) -> Vec<u8> {
        let mut bytes = sealed.to_vec();
        cipher.open(first, SectorBuf::to_load(&mut bytes, cipher.sector_size()));
        bytes
    }

    #[test]
    fn threads_may_share_a_cipher() {
        fn shared<T: Send + Sync>() {}
        shared::<SectorCipher>();
    }

    #[test]
    fn kernels_agree_on_runs_of_1_to_300_sectors_of_512() {
        kernels_agree_on_runs_of_1_to_300(SectorSize::S512);
    }

    #[test]
    fn kernels_agree_on_runs_of_1_to_300_sectors_of_4096() {
        kernels_agree_on_runs_of_1_to_300(SectorSize::S4096);
    }

    // Runs from one first sector are the starts of the longest, so the oracle seals only that one.
    fn kernels_agree_on_runs_of_1_to_300(size: SectorSize) {
        let first = SectorIndex::new(7);
        let plain = random(300 * size.bytes());
        let expected = sealed(&cipher(size, Kernel::Portable), first, &plain);
        for kernel in faster_kernels() {
            let (name, cipher) = (kernel.name(), cipher(size, kernel));
            for run in 1..=300 {
                let bytes = run * size.bytes();
                let (plain, expected) = (&plain[..bytes], &expected[..bytes]);
                let mut bytes = sealed(&cipher, first, plain);
                assert!(bytes == expected, "{name} sealing {run} sectors");
                // Steps end at the same places when they are opened, and alike in long sectors.
                if size == SectorSize::S4096 && run > 40 && run % 8 != 0 {
                    continue;
                }
                let open = cipher.open(first, SectorBuf::to_load(&mut bytes, size));
                assert!(open.as_plain() == plain, "{name} opening {run} sectors");
                let again = cipher.seal(first, open);
                assert!(again.as_sealed() == expected, "{name} sealing {run} sectors in place");
            }
        }
    }

    #[test]
    fn kernels_agree_up_to_the_last_sector_number() {
        for size in SectorSize::ALL {
            for first in FIRST_SECTORS.map(SectorIndex::new) {
                let plain = random(67 * size.bytes());
                let expected = sealed(&cipher(size, Kernel::Portable), first, &plain);
                for kernel in faster_kernels() {
                    let (name, cipher) = (kernel.name(), cipher(size, kernel));
                    assert!(sealed(&cipher, first, &plain) == expected, "{name} from {first:?}");
                    assert!(opened(&cipher, first, &expected) == plain, "{name} from {first:?}");
                }
            }
        }
    }

    /// Units of every length that a kernel takes, where a step ends anywhere.
    #[test]
    fn kernels_agree_on_units_of_1_to_100_blocks() {
        let oracle = cipher(SectorSize::S512, Kernel::Portable);
        for kernel in faster_kernels() {
            let cipher = cipher(SectorSize::S512, kernel);
            for (blocks, tweak) in (1..=100).zip([0, 1 << 64, u128::MAX].into_iter().cycle()) {
                let plain = random(blocks * 16);
                let (mut unit, mut expected) = (plain.clone(), plain.clone());
                cipher.seal_unit(tweak, &mut unit).unwrap();
                oracle.seal_unit(tweak, &mut expected).unwrap();
                assert!(unit == expected, "{} sealing {blocks} blocks", kernel.name());
                cipher.open_unit(tweak, &mut unit).unwrap();
                assert!(unit == plain, "{} opening {blocks} blocks", kernel.name());
            }
        }
    }

    #[test]
    fn a_kernel_that_the_processor_cannot_run_is_refused() {
        for kernel in Kernel::ALL.into_iter().filter(|kernel| !kernel.is_available()) {
            let refused = SectorCipher::xts_aes_256(dk(), SectorSize::S512, kernel).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unsupported);
        }
    }

    #[test]
    fn buffers_may_start_at_any_address() {
        let first = SectorIndex::new(3);
        for size in SectorSize::ALL {
            let bytes = 5 * size.bytes();
            let plain = random(bytes + 64);
            for kernel in Kernel::available() {
                let cipher = cipher(size, kernel);
                for (from, to) in (0..64).zip((0..64).rev()) {
                    let plain = &plain[from..][..bytes];
                    let mut room = vec![0xee; bytes + 64];
                    cipher.seal_from(first, plain, &mut room[to..][..bytes]);
                    let (before, rest) = room.split_at_mut(to);
                    let (inside, after) = rest.split_at_mut(bytes);
                    assert!(before.iter().chain(&*after).all(|byte| *byte == 0xee));
                    let open = cipher.open(first, SectorBuf::to_load(inside, size));
                    assert!(open.as_plain() == plain, "from {from} to {to}");
                }
            }
        }
    }

    /// A sector must not depend on the run it was sealed in.
    #[test]
    fn a_run_is_its_sectors_one_by_one() {
        for size in SectorSize::ALL {
            for kernel in Kernel::available() {
                let cipher = cipher(size, kernel);
                let plain = random(70 * size.bytes());
                let together = sealed(&cipher, SectorIndex::new(100), &plain);
                for (at, sector) in plain.chunks(size.bytes()).enumerate() {
                    let alone = sealed(&cipher, SectorIndex::new(100 + at as u64), sector);
                    assert!(alone == together[at * size.bytes()..][..size.bytes()], "{at}");
                }
            }
        }
    }

    /// RULES D10: never-written sectors read as zeros, wherever they lie among written ones.
    #[test]
    fn holes_stay_zeros_and_do_not_disturb_their_neighbours() {
        let first = SectorIndex::new(40);
        for size in SectorSize::ALL {
            for kernel in Kernel::available() {
                let cipher = cipher(size, kernel);
                for pattern in 0_u8..=255 {
                    let mut plain = random(8 * size.bytes());
                    let mut payload = sealed(&cipher, first, &plain);
                    for at in (0..8).filter(|at| pattern >> at & 1 == 1) {
                        plain[at * size.bytes()..][..size.bytes()].fill(0);
                        payload[at * size.bytes()..][..size.bytes()].fill(0);
                    }
                    assert!(opened(&cipher, first, &payload) == plain, "holes {pattern:08b}");
                }
            }
        }
    }

    /// Zeros that a user wrote are data: they seal to noise, and come back.
    #[test]
    fn written_zeros_are_sealed() {
        for size in SectorSize::ALL {
            for kernel in Kernel::available() {
                let cipher = cipher(size, kernel);
                let zeros = vec![0; 3 * size.bytes()];
                let payload = sealed(&cipher, SectorIndex::new(0), &zeros);
                assert!(payload.chunks(size.bytes()).all(|sector| !is_zero(sector)));
                assert!(opened(&cipher, SectorIndex::new(0), &payload) == zeros);
            }
        }
    }

    #[test]
    fn one_byte_anywhere_makes_a_sector_written() {
        for size in SectorSize::ALL {
            let mut sector = vec![0; size.bytes()];
            assert!(is_zero(&sector));
            for at in 0..sector.len() {
                sector[at] = 1;
                assert!(!is_zero(&sector), "byte {at}");
                sector[at] = 0;
            }
        }
    }

    /// RULES D13.
    #[test]
    fn the_null_cipher_moves_bytes() {
        for size in SectorSize::ALL {
            let (null, plain) = (SectorCipher::null(size), random(3 * size.bytes()));
            let first = SectorIndex::new(5);
            assert!(!null.is_encrypting());
            assert_eq!(sealed(&null, first, &plain), plain);
            assert_eq!(opened(&null, first, &plain), plain);
        }
    }

    #[test]
    fn no_sectors_are_no_work() {
        for kernel in Kernel::available() {
            let cipher = cipher(SectorSize::S4096, kernel);
            assert!(sealed(&cipher, SectorIndex::new(0), &[]).is_empty());
            assert!(opened(&cipher, SectorIndex::new(0), &[]).is_empty());
        }
    }

    #[test]
    fn units_without_a_whole_block_are_refused() {
        for kernel in Kernel::available() {
            let cipher = cipher(SectorSize::S512, kernel);
            for len in [0, 1, 15] {
                let refused = cipher.seal_unit(0, &mut vec![0; len]).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Unsupported);
            }
        }
    }

    #[test]
    #[should_panic(expected = "a run has whole sectors")]
    fn a_buffer_of_smaller_sectors_is_a_bug() {
        let mut bytes = [0; 512];
        let smaller = SectorBuf::to_load(&mut bytes, SectorSize::S512);
        cipher(SectorSize::S4096, Kernel::Batched).open(SectorIndex::new(0), smaller);
    }

    #[test]
    fn a_cipher_prints_no_key() {
        let shown = format!("{:?}", cipher(SectorSize::S512, Kernel::Batched));
        assert_eq!(shown, "SectorCipher(aes-xts-plain64, 512 bytes)");
    }
}
