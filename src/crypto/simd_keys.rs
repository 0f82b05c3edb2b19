//! AES-256 round keys as the SIMD kernels load them: plain arrays, one 16-byte key a round.
//!
//! The `aes` crate does not lend its round keys, so they are expanded here, by the instructions that
//! processors have for it (FIPS 197 section 5.2). The key schedule of FIPS 197 appendix A.3, and
//! that every kernel gives the bytes of the oracle, prove it.
#![allow(unsafe_code)]

use super::data_key::Dk;
use crate::error::Result;
use crate::sys::SecretBox;
use std::arch::x86_64::{
    __m128i, _mm_aesimc_si128, _mm_aeskeygenassist_si128, _mm_set_epi64x, _mm_setzero_si128,
    _mm_shuffle_epi32, _mm_slli_si128, _mm_xor_si128,
};

/// AES-256 has 14 rounds, and one key before the first.
pub(super) const ROUND_KEYS: usize = 15;

/// Round keys in the order of their use.
pub(super) type Schedule = [__m128i; ROUND_KEYS];

/// The round keys of a disk. They are key material as much as the data key is.
///
/// 128 bits each, not the width of a kernel's registers: a load that spreads a key over a register
/// costs what any load does, and so all kernels have one layout.
pub(super) struct RoundKeys {
    /// Of the data half, for sealing.
    pub(super) seal: Schedule,
    /// Of the data half, for opening (the equivalent inverse cipher, FIPS 197 section 5.3.5).
    pub(super) open: Schedule,
    /// Of the tweak half. Tweaks are only ever encrypted.
    pub(super) tweak: Schedule,
}

impl RoundKeys {
    /// Expands a data key into locked memory.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked.
    ///
    /// # Panics
    /// On a processor without AES instructions.
    pub(super) fn expand(dk: &Dk) -> Result<SecretBox<RoundKeys>> {
        assert!(is_x86_feature_detected!("aes"), "SIMD kernels run where there is AES");
        // The box wipes the stack that the schedules come by.
        // SAFETY: the processor has the feature.
        SecretBox::try_new(|| Ok(unsafe { RoundKeys::of(dk.expose()) }))
    }

    #[target_feature(enable = "aes")]
    fn of(key: &[u8; 64]) -> RoundKeys {
        let (halves, _) = key.as_chunks::<32>();
        let seal = schedule(&halves[0]);
        RoundKeys { open: inverse(&seal), tweak: schedule(&halves[1]), seal }
    }
}

/// FIPS 197 section 5.2 for keys of 256 bits.
#[target_feature(enable = "aes")]
fn schedule(key: &[u8; 32]) -> Schedule {
    let (words, _) = key.as_chunks::<8>();
    let half = |at: usize| {
        _mm_set_epi64x(i64::from_le_bytes(words[at + 1]), i64::from_le_bytes(words[at]))
    };
    let mut keys = [_mm_setzero_si128(); ROUND_KEYS];
    (keys[0], keys[1]) = (half(0), half(2));
    keys[2] = rotated::<0x01>(keys[0], keys[1]);
    keys[3] = plain(keys[1], keys[2]);
    keys[4] = rotated::<0x02>(keys[2], keys[3]);
    keys[5] = plain(keys[3], keys[4]);
    keys[6] = rotated::<0x04>(keys[4], keys[5]);
    keys[7] = plain(keys[5], keys[6]);
    keys[8] = rotated::<0x08>(keys[6], keys[7]);
    keys[9] = plain(keys[7], keys[8]);
    keys[10] = rotated::<0x10>(keys[8], keys[9]);
    keys[11] = plain(keys[9], keys[10]);
    keys[12] = rotated::<0x20>(keys[10], keys[11]);
    keys[13] = plain(keys[11], keys[12]);
    keys[14] = rotated::<0x40>(keys[12], keys[13]);
    keys
}

/// The key two after `key`, where the last word of the one between is rotated, substituted and given
/// a round constant.
#[target_feature(enable = "aes")]
fn rotated<const CONSTANT: i32>(key: __m128i, between: __m128i) -> __m128i {
    let word = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<CONSTANT>(between));
    _mm_xor_si128(running_xor(key), word)
}

/// The key two after `key`, where the last word of the one between is only substituted.
#[target_feature(enable = "aes")]
fn plain(key: __m128i, between: __m128i) -> __m128i {
    let word = _mm_shuffle_epi32::<0xaa>(_mm_aeskeygenassist_si128::<0>(between));
    _mm_xor_si128(running_xor(key), word)
}

/// Each word XOR all words before it.
#[target_feature(enable = "aes")]
fn running_xor(key: __m128i) -> __m128i {
    let pairs = _mm_xor_si128(key, _mm_slli_si128::<4>(key));
    _mm_xor_si128(pairs, _mm_slli_si128::<8>(pairs))
}

/// The schedule of the equivalent inverse cipher.
#[target_feature(enable = "aes")]
fn inverse(seal: &Schedule) -> Schedule {
    let mut keys = *seal;
    keys.reverse();
    for key in &mut keys[1..ROUND_KEYS - 1] {
        *key = _mm_aesimc_si128(*key);
    }
    keys
}

/// Which way blocks go through the cipher. A type, so that each way is compiled for itself.
pub(super) trait Direction {
    /// Whether plain becomes sealed.
    const SEALS: bool;
    /// The round keys of this way.
    fn schedule(keys: &RoundKeys) -> &Schedule;
}

/// Plain to sealed.
pub(super) enum Seal {}

/// Sealed to plain.
pub(super) enum Open {}

impl Direction for Seal {
    const SEALS: bool = true;

    fn schedule(keys: &RoundKeys) -> &Schedule {
        &keys.seal
    }
}

impl Direction for Open {
    const SEALS: bool = false;

    fn schedule(keys: &RoundKeys) -> &Schedule {
        &keys.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;
    use crate::crypto::from_hex;

    fn bytes_of(key: __m128i) -> [u8; 16] {
        // SAFETY: both are 16 bytes, of which every value is valid.
        unsafe { std::mem::transmute(key) }
    }

    fn expanded(key: &str) -> Option<SecretBox<RoundKeys>> {
        let key = from_hex(key).unwrap();
        let secret = Secret::fill(|bytes| {
            bytes[..32].copy_from_slice(&key);
            Ok(())
        });
        let has_aes = is_x86_feature_detected!("aes");
        has_aes.then(|| RoundKeys::expand(&Dk::from_secret(secret.unwrap()).unwrap()).unwrap())
    }

    /// FIPS 197 appendix A.3, all 60 words.
    #[test]
    fn the_key_schedule_is_that_of_fips_197() {
        let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
        let words = concat!(
            "603deb1015ca71be2b73aef0857d7781",
            "1f352c073b6108d72d9810a30914dff4",
            "9ba354118e6925afa51a8b5f2067fcde",
            "a8b09c1a93d194cdbe49846eb75d5b9a",
            "d59aecb85bf3c917fee94248de8ebe96",
            "b5a9328a2678a647983122292f6c79b3",
            "812c81addadf48ba24360af2fab8b464",
            "98c5bfc9bebd198e268c3ba709e04214",
            "68007bacb2df331696e939e46c518d80",
            "c814e20476a9fb8a5025c02d59c58239",
            "de1369676ccc5a71fa2563959674ee15",
            "5886ca5d2e2f31d77e0af1fa27cf73c3",
            "749c47ab18501ddae2757e4f7401905a",
            "cafaaae3e4d59b349adf6acebd10190d",
            "fe4890d1e6188d0b046df344706c631e",
        );
        let Some(keys) = expanded(key) else { return };
        assert_eq!(keys.seal.map(bytes_of).as_flattened(), from_hex(words).unwrap());
        assert_eq!(bytes_of(keys.open[0]), bytes_of(keys.seal[14]));
        assert_eq!(bytes_of(keys.open[14]), bytes_of(keys.seal[0]));
    }

    /// Runs `work` on a stack of its own, and returns what it leaves there and in vector registers.
    fn left_after(work: &mut (dyn FnMut() + Send)) -> Vec<u8> {
        type Work<'a> = &'a mut (dyn FnMut() + Send);

        extern "C" fn entry(work: *mut libc::c_void) -> *mut libc::c_void {
            // SAFETY: the caller waits for this thread and leaves the closure to it until then.
            let (work, registers) = unsafe { &mut *work.cast::<(Work<'_>, Vec<u8>)>() };
            work();
            *registers = crate::sys::vector_registers();
            std::ptr::null_mut()
        }

        let (mut work, mut stack) = ((work, Vec::new()), vec![0_u8; 1 << 20]);
        let shared: *mut (Work<'_>, Vec<u8>) = &raw mut work;
        // SAFETY: all of them are plain data, which the calls below fill.
        let (mut attributes, mut thread) = unsafe { std::mem::zeroed() };
        // SAFETY: the stack is longer than the least, is used by this thread alone, and outlives it,
        // as the closure does, because the thread is waited for.
        #[allow(clippy::multiple_unsafe_ops_per_block)]
        unsafe {
            assert_eq!(libc::pthread_attr_init(&raw mut attributes), 0);
            let (start, len) = (stack.as_mut_ptr().cast(), stack.len());
            assert_eq!(libc::pthread_attr_setstack(&raw mut attributes, start, len), 0);
            let (made, attributes) = (&raw mut thread, &raw const attributes);
            assert_eq!(libc::pthread_create(made, attributes, entry, shared.cast()), 0);
            assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
        }
        stack.append(&mut work.1);
        stack
    }

    fn holds_a_key(stack: &[u8], keys: &RoundKeys) -> bool {
        let keys = [keys.seal, keys.open, keys.tweak].map(|schedule| schedule.map(bytes_of));
        stack.windows(16).any(|window| keys.as_flattened().iter().any(|key| key == window))
    }

    /// Round keys are key material: only locked memory may hold them. The compiler decides about
    /// the stack, so it is looked at.
    #[test]
    #[cfg_attr(debug_assertions, ignore = "unoptimised code puts all it touches on the stack")]
    fn fused_kernels_leave_no_round_key_on_the_stack_or_in_registers() {
        use crate::crypto::Kernel;
        use crate::crypto::keyed_kernel::KeyedKernel;
        use crate::crypto::xts_tweaks::Run;
        use crate::units::{SectorIndex, SectorSize};

        let secret = Secret::<64>::random().unwrap();
        let dk = || {
            let copy = Secret::fill(|bytes| {
                *bytes = *secret.expose();
                Ok(())
            });
            Dk::from_secret(copy.unwrap()).unwrap()
        };
        for kernel in [Kernel::Vaes512, Kernel::Vaes256] {
            if !kernel.is_available() {
                continue;
            }
            let keys = RoundKeys::expand(&dk()).unwrap();
            let keyed = KeyedKernel::new(kernel, dk()).unwrap();
            let (plain, mut bytes) = (vec![7; 40 * 4096], vec![0; 40 * 4096]);
            let stack = left_after(&mut || {
                for size in SectorSize::ALL {
                    let run = Run::of_sectors(SectorIndex::new(9), size);
                    keyed.seal(run, Some(&plain), &mut bytes);
                    keyed.open(run, &mut bytes);
                    keyed.seal(run, None, &mut bytes);
                }
            });
            assert!(!holds_a_key(&stack, &keys), "{}", kernel.name());
            // Or the test would find nothing whatever is there.
            let stack = left_after(&mut || {
                std::hint::black_box(&keys.open.map(|key| key));
            });
            assert!(holds_a_key(&stack, &keys));
        }
    }
}
