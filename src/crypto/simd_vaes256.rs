//! The kernel for processors with AES and carry-less multiplication on 256-bit registers, but without
//! AVX-512: AMD Zen 3, Intel from Alder Lake on.
//!
//! As `simd_vaes512.rs`, which explains it, with half of everything: a step is 16 blocks, 256 bytes, in
//! eight registers of two, and there is no shift across two registers. The sixteen registers do not
//! hold blocks and masks together, so masks of a step go over the stack; round keys do not.
//!
//! JUSTIFICATION: as there. On an AMD EPYC (Zen 4), one core, GB/s sealing from one buffer into
//! another: 10.7 with sectors of 4096 and 10.0 with 512, at 1 MiB, where the `aes` crate in batches
//! (on 512-bit registers) does 7.1 and 4.6.
#![allow(unsafe_code)]

use super::data_key::Dk;
use super::simd_keys::{Direction, Open, ROUND_KEYS, RoundKeys, Schedule, Seal};
use super::xts_tweaks::Run;
use crate::error::Result;
use crate::sys::SecretBox;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_set_epi64x, _mm256_add_epi64, _mm256_aesdec_epi128,
    _mm256_aesdeclast_epi128, _mm256_aesenc_epi128, _mm256_aesenclast_epi128,
    _mm256_broadcastsi128_si256, _mm256_bslli_epi128, _mm256_bsrli_epi128,
    _mm256_clmulepi64_epi128, _mm256_loadu_si256, _mm256_set_epi64x, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_sllv_epi64, _mm256_srlv_epi64, _mm256_storeu_si256,
    _mm256_sub_epi64, _mm256_xor_si256,
};
use std::hint::black_box;

/// Registers of blocks that pass through the rounds together: enough to hide the latency of a round.
const VECTORS: usize = 8;
const VECTOR_BYTES: usize = 32;
/// What units are multiples of; every sector is.
const STEP_BYTES: usize = VECTORS * VECTOR_BYTES;

/// Units whose tweaks are encrypted together.
const BATCH_UNITS: usize = 16;

type Step = [__m256i; VECTORS];

/// Whether this processor, and the system it runs, have what the kernel takes. Asked once: the
/// answer is kept by the standard library.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
}

/// The kernel with a disk's keys. Where there is one, [`is_supported`] was true.
pub(super) struct Vaes256 {
    keys: SecretBox<RoundKeys>,
}

impl Vaes256 {
    /// Expands a data key.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked.
    ///
    /// # Panics
    /// When the kernel is not supported.
    pub(super) fn expand(dk: &Dk) -> Result<Self> {
        assert!(is_supported(), "a kernel gets keys where it can run");
        Ok(Vaes256 { keys: RoundKeys::expand(dk)? })
    }

    /// Seals units of whole steps: from `source` into as many bytes of `units`, or `units` in place.
    pub(super) fn seal(&self, run: Run, source: Option<&[u8]>, units: &mut [u8]) {
        // SAFETY: the processor has the features, or `expand` would not have returned.
        unsafe { pass::<Seal>(&self.keys, run, source, units) }
    }

    /// Opens units of whole steps in place.
    pub(super) fn open(&self, run: Run, units: &mut [u8]) {
        // SAFETY: as in `seal`.
        unsafe { pass::<Open>(&self.keys, run, None, units) }
    }
}

#[target_feature(enable = "avx2,vaes,vpclmulqdq")]
fn pass<D: Direction>(keys: &RoundKeys, run: Run, source: Option<&[u8]>, units: &mut [u8]) {
    let unit_bytes = run.unit_bytes();
    assert!(unit_bytes.is_multiple_of(STEP_BYTES), "units have whole steps");
    for (number, batch) in units.chunks_mut(BATCH_UNITS * unit_bytes).enumerate() {
        let first = number * BATCH_UNITS;
        let masks = first_masks(&keys.tweak, run.after(first));
        for (at, unit) in batch.chunks_mut(unit_bytes).enumerate() {
            let source = source.map(|source| &source[(first + at) * unit_bytes..][..unit.len()]);
            pass_unit::<D>(D::schedule(keys), &masks[at], source, unit);
        }
    }
}

/// The encrypted tweaks of a batch's units, whether it is full or not.
#[target_feature(enable = "avx2,vaes")]
fn first_masks(schedule: &Schedule, run: Run) -> [[u8; 16]; BATCH_UNITS] {
    // Or the keys would be loaded once for all batches, and spilled.
    let schedule = black_box(schedule);
    let mut blocks = [_mm256_setzero_si256(); BATCH_UNITS / 2];
    for (number, block) in blocks.iter_mut().enumerate() {
        let tweak = |at: usize| {
            let tweak = run.tweak(2 * number + at);
            ((tweak >> 64) as i64, tweak as i64)
        };
        let [(h0, l0), (h1, l1)] = [tweak(0), tweak(1)];
        *block = _mm256_set_epi64x(h1, l1, h0, l0);
    }
    let key = _mm256_broadcastsi128_si256(schedule[0]);
    for block in &mut blocks {
        *block = _mm256_xor_si256(*block, key);
    }
    for key in &schedule[1..ROUND_KEYS - 1] {
        let key = _mm256_broadcastsi128_si256(*key);
        for block in &mut blocks {
            *block = _mm256_aesenc_epi128(*block, key);
        }
    }
    let key = _mm256_broadcastsi128_si256(schedule[ROUND_KEYS - 1]);
    let mut masks = [[0; 16]; BATCH_UNITS];
    let (vectors, _) = masks.as_flattened_mut().as_chunks_mut::<VECTOR_BYTES>();
    for (to, block) in vectors.iter_mut().zip(blocks) {
        store(to, _mm256_aesenclast_epi128(block, key));
    }
    masks
}

#[target_feature(enable = "avx2,vaes,vpclmulqdq")]
fn pass_unit<D: Direction>(
    schedule: &Schedule,
    first_mask: &[u8; 16],
    source: Option<&[u8]>,
    unit: &mut [u8],
) {
    let mut masks = first_row(first_mask);
    let (steps, _) = unit.as_chunks_mut::<STEP_BYTES>();
    for (at, step) in steps.iter_mut().enumerate() {
        if at != 0 {
            masks = next_row(masks);
        }
        match source {
            Some(source) => {
                let blocks = load_step(&source.as_chunks().0[at]);
                store_step(step, rounds::<D>(schedule, &masks, blocks));
            }
            None => {
                let blocks = load_step(step);
                store_step(step, rounds::<D>(schedule, &masks, blocks));
            }
        }
    }
}

/// XOR, cipher, XOR. The XORs are with the first and the last round key as well, which saves one
/// each and leaves the masks off the path from load to store.
#[target_feature(enable = "avx2,vaes")]
fn rounds<D: Direction>(schedule: &Schedule, masks: &Step, mut blocks: Step) -> Step {
    let schedule = black_box(schedule);
    let key = _mm256_broadcastsi128_si256(schedule[0]);
    for (block, mask) in blocks.iter_mut().zip(masks) {
        *block = _mm256_xor_si256(*block, _mm256_xor_si256(*mask, key));
    }
    for key in &schedule[1..ROUND_KEYS - 1] {
        let key = _mm256_broadcastsi128_si256(*key);
        for block in &mut blocks {
            *block = if D::SEALS {
                _mm256_aesenc_epi128(*block, key)
            } else {
                _mm256_aesdec_epi128(*block, key)
            };
        }
    }
    let key = _mm256_broadcastsi128_si256(schedule[ROUND_KEYS - 1]);
    for (block, mask) in blocks.iter_mut().zip(masks) {
        let key = _mm256_xor_si256(*mask, key);
        *block = if D::SEALS {
            _mm256_aesenclast_epi128(*block, key)
        } else {
            _mm256_aesdeclast_epi128(*block, key)
        };
    }
    blocks
}

/// The masks of a unit's first step: `first` times alpha to the powers 0 to 15.
#[target_feature(enable = "avx2,vpclmulqdq")]
fn first_row(first: &[u8; 16]) -> Step {
    // Low half first, in each of the two places: the mask, zero and its low half, its high half.
    let whole = _mm256_broadcastsi128_si256(load_block(first));
    let below = _mm256_bslli_epi128::<8>(whole);
    let high = _mm256_bsrli_epi128::<8>(whole);
    let mut powers = _mm256_set_epi64x(1, 1, 0, 0);
    let mut row = [_mm256_setzero_si256(); VECTORS];
    for masks in &mut row {
        // A shift by 64 gives zero, as it should for the power 0.
        let rest = _mm256_sub_epi64(_mm256_set1_epi64x(64), powers);
        let shifted = _mm256_sllv_epi64(whole, powers);
        let carried = _mm256_srlv_epi64(below, rest);
        let out = folded(_mm256_srlv_epi64(high, rest));
        *masks = _mm256_xor_si256(_mm256_xor_si256(shifted, carried), out);
        powers = _mm256_add_epi64(powers, _mm256_set1_epi64x(2));
    }
    row
}

/// The masks of the step after the one with these.
#[target_feature(enable = "avx2,vpclmulqdq")]
fn next_row([a, b, c, d, e, f, g, h]: Step) -> Step {
    // Spelled out: in a loop the compiler would keep them in memory.
    [
        times_alpha_to_16(a),
        times_alpha_to_16(b),
        times_alpha_to_16(c),
        times_alpha_to_16(d),
        times_alpha_to_16(e),
        times_alpha_to_16(f),
        times_alpha_to_16(g),
        times_alpha_to_16(h),
    ]
}

#[target_feature(enable = "avx2,vpclmulqdq")]
fn times_alpha_to_16(masks: __m256i) -> __m256i {
    let shifted = _mm256_bslli_epi128::<2>(masks);
    _mm256_xor_si256(shifted, folded(_mm256_bsrli_epi128::<14>(masks)))
}

/// What the bits that were shifted out at the top are worth below (the low half of each place).
#[target_feature(enable = "avx2,vpclmulqdq")]
fn folded(out: __m256i) -> __m256i {
    _mm256_clmulepi64_epi128::<0>(out, _mm256_set1_epi64x(0x87))
}

#[target_feature(enable = "avx2")]
fn load_step(from: &[u8; STEP_BYTES]) -> Step {
    let mut blocks = [_mm256_setzero_si256(); VECTORS];
    for (block, from) in blocks.iter_mut().zip(from.as_chunks().0) {
        *block = load(from);
    }
    blocks
}

#[target_feature(enable = "avx2")]
fn store_step(to: &mut [u8; STEP_BYTES], blocks: Step) {
    for (to, block) in to.as_chunks_mut().0.iter_mut().zip(blocks) {
        store(to, block);
    }
}

#[target_feature(enable = "sse2")]
fn load_block(from: &[u8; 16]) -> __m128i {
    let (halves, _) = from.as_chunks();
    _mm_set_epi64x(i64::from_le_bytes(halves[1]), i64::from_le_bytes(halves[0]))
}

#[target_feature(enable = "avx2")]
fn load(from: &[u8; VECTOR_BYTES]) -> __m256i {
    // SAFETY: 32 bytes that may be read, at any address.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store(to: &mut [u8; VECTOR_BYTES], value: __m256i) {
    // SAFETY: 32 bytes that may be written, at any address.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
}
