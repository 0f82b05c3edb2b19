//! The kernel for processors with AES and carry-less multiplication on 512-bit registers.
//!
//! A step is 32 blocks, 512 bytes, in eight registers of four; their masks lie in eight others. Masks
//! and rounds are fused: a block is loaded once, and stored once where it belongs. The masks of a
//! unit's first step all grow from one encrypted tweak by shifts of 0 to 31 bits; those of the next
//! step are all times alpha to the power 32. What is shifted out at the top comes back times
//! x^7 + x^2 + x + 1, by carry-less multiplication.
//!
//! JUSTIFICATION: intrinsics are safe, but entering the functions that have them is not, nor are loads
//! and stores. What it buys on an AMD EPYC (Zen 4), one core, GB/s sealing from one buffer into
//! another, `cargo bench --bench sector_kernels`:
//!
//! | sectors, buffer | this | the `aes` crate in batches | OpenSSL 4.0.3, one unit of the same length |
//! |---|---|---|---|
//! | 4096, 1 MiB | 12.8 | 7.1 | 13.0 |
//! | 4096, 4 KiB | 10.6 | 7.3 | - |
//! | 512, 1 MiB | 11.8 | 4.6 | - |
//! | 512, 4 KiB | 10.6 | 4.2 | - |
//!
//! Round keys are loaded from locked memory in every step, which is free: loads have ports of their
//! own. Left to itself the compiler loads them once and spills them to the stack, where they would
//! stay; [`black_box`] makes it forget them. A test looks at the stack. What goes over it are masks,
//! which tell no key (`xts_batched.rs`).
#![allow(unsafe_code)]

use super::data_key::Dk;
use super::simd_keys::{Direction, Open, ROUND_KEYS, RoundKeys, Schedule, Seal};
use super::xts_tweaks::Run;
use crate::error::Result;
use crate::sys::SecretBox;
use std::arch::x86_64::{
    __m128i, __m512i, _mm_set_epi64x, _mm512_add_epi64, _mm512_aesdec_epi128,
    _mm512_aesdeclast_epi128, _mm512_aesenc_epi128, _mm512_aesenclast_epi128,
    _mm512_broadcast_i32x4, _mm512_bslli_epi128, _mm512_bsrli_epi128, _mm512_clmulepi64_epi128,
    _mm512_loadu_si512, _mm512_set_epi64, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_shldv_epi64, _mm512_srlv_epi64, _mm512_storeu_si512, _mm512_sub_epi64, _mm512_xor_si512,
};
use std::hint::black_box;

/// Registers of blocks that pass through the rounds together: enough to hide the latency of a round.
const VECTORS: usize = 8;
const VECTOR_BYTES: usize = 64;
/// What units are multiples of; every sector is.
const STEP_BYTES: usize = VECTORS * VECTOR_BYTES;

/// Units whose tweaks are encrypted together.
const BATCH_UNITS: usize = 16;

type Step = [__m512i; VECTORS];

/// Whether this processor, and the system it runs, have what the kernel takes. Asked once: the
/// answer is kept by the standard library.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
}

/// The kernel with a disk's keys. Where there is one, [`is_supported`] was true.
pub(super) struct Vaes512 {
    keys: SecretBox<RoundKeys>,
}

impl Vaes512 {
    /// Expands a data key.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked.
    ///
    /// # Panics
    /// When the kernel is not supported.
    pub(super) fn expand(dk: &Dk) -> Result<Self> {
        assert!(is_supported(), "a kernel gets keys where it can run");
        Ok(Vaes512 { keys: RoundKeys::expand(dk)? })
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

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,vaes,vpclmulqdq")]
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
#[target_feature(enable = "avx512f,vaes")]
fn first_masks(schedule: &Schedule, run: Run) -> [[u8; 16]; BATCH_UNITS] {
    // Or the keys would be loaded once for all batches, and spilled.
    let schedule = black_box(schedule);
    let mut blocks = [_mm512_setzero_si512(); BATCH_UNITS / 4];
    for (number, block) in blocks.iter_mut().enumerate() {
        let tweak = |at: usize| {
            let tweak = run.tweak(4 * number + at);
            ((tweak >> 64) as i64, tweak as i64)
        };
        let [(h0, l0), (h1, l1), (h2, l2), (h3, l3)] = [tweak(0), tweak(1), tweak(2), tweak(3)];
        *block = _mm512_set_epi64(h3, l3, h2, l2, h1, l1, h0, l0);
    }
    let key = _mm512_broadcast_i32x4(schedule[0]);
    for block in &mut blocks {
        *block = _mm512_xor_si512(*block, key);
    }
    for key in &schedule[1..ROUND_KEYS - 1] {
        let key = _mm512_broadcast_i32x4(*key);
        for block in &mut blocks {
            *block = _mm512_aesenc_epi128(*block, key);
        }
    }
    let key = _mm512_broadcast_i32x4(schedule[ROUND_KEYS - 1]);
    let mut masks = [[0; 16]; BATCH_UNITS];
    let (vectors, _) = masks.as_flattened_mut().as_chunks_mut::<VECTOR_BYTES>();
    for (to, block) in vectors.iter_mut().zip(blocks) {
        store(to, _mm512_aesenclast_epi128(block, key));
    }
    masks
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,vaes,vpclmulqdq")]
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
#[target_feature(enable = "avx512f,vaes")]
fn rounds<D: Direction>(schedule: &Schedule, masks: &Step, mut blocks: Step) -> Step {
    let schedule = black_box(schedule);
    let key = _mm512_broadcast_i32x4(schedule[0]);
    for (block, mask) in blocks.iter_mut().zip(masks) {
        *block = _mm512_xor_si512(*block, _mm512_xor_si512(*mask, key));
    }
    for key in &schedule[1..ROUND_KEYS - 1] {
        let key = _mm512_broadcast_i32x4(*key);
        for block in &mut blocks {
            *block = if D::SEALS {
                _mm512_aesenc_epi128(*block, key)
            } else {
                _mm512_aesdec_epi128(*block, key)
            };
        }
    }
    let key = _mm512_broadcast_i32x4(schedule[ROUND_KEYS - 1]);
    for (block, mask) in blocks.iter_mut().zip(masks) {
        let key = _mm512_xor_si512(*mask, key);
        *block = if D::SEALS {
            _mm512_aesenclast_epi128(*block, key)
        } else {
            _mm512_aesdeclast_epi128(*block, key)
        };
    }
    blocks
}

/// The masks of a unit's first step: `first` times alpha to the powers 0 to 31.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,vpclmulqdq")]
fn first_row(first: &[u8; 16]) -> Step {
    // Low half first, in each of the four places: the mask, zero and its low half, its high half.
    let whole = _mm512_broadcast_i32x4(load_block(first));
    let below = _mm512_bslli_epi128::<8>(whole);
    let high = _mm512_bsrli_epi128::<8>(whole);
    let mut powers = _mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0);
    let mut row = [_mm512_setzero_si512(); VECTORS];
    for masks in &mut row {
        let shifted = _mm512_shldv_epi64(whole, below, powers);
        // A shift by 64 gives zero, as it should for the power 0.
        let out = _mm512_srlv_epi64(high, _mm512_sub_epi64(_mm512_set1_epi64(64), powers));
        *masks = _mm512_xor_si512(shifted, folded(out));
        powers = _mm512_add_epi64(powers, _mm512_set1_epi64(4));
    }
    row
}

/// The masks of the step after the one with these.
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
fn next_row([a, b, c, d, e, f, g, h]: Step) -> Step {
    // Spelled out: in a loop the compiler would keep them in memory.
    [
        times_alpha_to_32(a),
        times_alpha_to_32(b),
        times_alpha_to_32(c),
        times_alpha_to_32(d),
        times_alpha_to_32(e),
        times_alpha_to_32(f),
        times_alpha_to_32(g),
        times_alpha_to_32(h),
    ]
}

#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
fn times_alpha_to_32(masks: __m512i) -> __m512i {
    let shifted = _mm512_bslli_epi128::<4>(masks);
    _mm512_xor_si512(shifted, folded(_mm512_bsrli_epi128::<12>(masks)))
}

/// What the bits that were shifted out at the top are worth below (the low half of each place).
#[target_feature(enable = "avx512f,vpclmulqdq")]
fn folded(out: __m512i) -> __m512i {
    _mm512_clmulepi64_epi128::<0>(out, _mm512_set1_epi64(0x87))
}

#[target_feature(enable = "avx512f")]
fn load_step(from: &[u8; STEP_BYTES]) -> Step {
    let mut blocks = [_mm512_setzero_si512(); VECTORS];
    for (block, from) in blocks.iter_mut().zip(from.as_chunks().0) {
        *block = load(from);
    }
    blocks
}

#[target_feature(enable = "avx512f")]
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

#[target_feature(enable = "avx512f")]
fn load(from: &[u8; VECTOR_BYTES]) -> __m512i {
    // SAFETY: 64 bytes that may be read, at any address.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store(to: &mut [u8; VECTOR_BYTES], value: __m512i) {
    // SAFETY: 64 bytes that may be written, at any address.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}
