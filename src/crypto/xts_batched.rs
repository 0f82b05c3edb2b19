//! The kernel for any processor: many blocks at a time through the `aes` crate.
//!
//! `aes` picks VAES, AES-NI, ARMv8 or software at run time and hands its backend to a closure. All
//! that belongs to the inner loop (growing the masks, both XORs) is done inside that closure, so it
//! is compiled with the backend's instruction set and vectorised without a line of `unsafe`.
//!
//! Work goes in batches of up to 64 units: first their tweaks are encrypted together, then their
//! blocks go through in tiles of 64, which is what the widest backend takes at once and 1 KiB, so
//! that a tile stays in the first-level cache between its three passes.
//!
//! The masks stay behind on the stack. They tell no key, being single AES outputs, and what they
//! would help to open lies as plaintext in the very buffer that is being worked on.

use super::xts_keys::XtsKeys;
use super::xts_tweaks::{Mask, Run, fill_row, mask_of, times_alpha_to_64};
use aes::Block;
use aes::cipher::consts::U16;
use aes::cipher::{
    Array, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
};

const BLOCK_BYTES: usize = 16;

/// Blocks that pass through the cipher together.
const TILE_BLOCKS: usize = 64;
const TILE_BYTES: usize = TILE_BLOCKS * BLOCK_BYTES;

/// Units whose tweaks are encrypted together.
const BATCH_UNITS: usize = 64;

/// Seals whole-block units: from `source` into as many bytes of `units`, or `units` in place.
pub(super) fn seal(keys: &XtsKeys, run: Run, source: Option<&[u8]>, units: &mut [u8]) {
    let batch_bytes = BATCH_UNITS * run.unit_bytes();
    for (number, units) in units.chunks_mut(batch_bytes).enumerate() {
        let mut masks = [Block::default(); BATCH_UNITS];
        let first_masks = first_masks(keys, run.after(number * BATCH_UNITS), units, &mut masks);
        let source = source.map(|source| &source[number * batch_bytes..][..units.len()]);
        let batch = Batch { first_masks, unit_bytes: run.unit_bytes(), source, units };
        keys.data().encrypt_with_backend(batch);
    }
}

/// Opens whole-block units in place.
pub(super) fn open(keys: &XtsKeys, run: Run, units: &mut [u8]) {
    let batch_bytes = BATCH_UNITS * run.unit_bytes();
    for (number, units) in units.chunks_mut(batch_bytes).enumerate() {
        let mut masks = [Block::default(); BATCH_UNITS];
        let first_masks = first_masks(keys, run.after(number * BATCH_UNITS), units, &mut masks);
        let batch = Batch { first_masks, unit_bytes: run.unit_bytes(), source: None, units };
        keys.data().decrypt_with_backend(batch);
    }
}

/// The encrypted tweaks of a batch's units.
fn first_masks<'m>(
    keys: &XtsKeys,
    run: Run,
    units: &[u8],
    masks: &'m mut [Block; BATCH_UNITS],
) -> &'m [Block] {
    let masks = &mut masks[..units.len() / run.unit_bytes()];
    for (position, mask) in masks.iter_mut().enumerate() {
        *mask = Array(run.tweak(position).to_le_bytes());
    }
    keys.tweak().encrypt_blocks(masks);
    masks
}

/// Up to [`BATCH_UNITS`] units with the masks of their first blocks.
struct Batch<'a> {
    first_masks: &'a [Block],
    unit_bytes: usize,
    source: Option<&'a [u8]>,
    units: &'a mut [u8],
}

impl Batch<'_> {
    // Always inlined, as all below it that touches data, because only so does it take on the
    // instruction set of the backend's function that calls it.
    #[inline(always)]
    fn pass_through(self, cipher: &impl InPlace) {
        let mut masks = [[0; 2]; TILE_BLOCKS];
        let first_mask = |unit: usize| mask_of(&self.first_masks[unit].0);
        let unit_blocks = self.unit_bytes / BLOCK_BYTES;
        if unit_blocks < TILE_BLOCKS {
            // Several units share a tile: two sectors of 512 bytes.
            let tile_units = TILE_BLOCKS / unit_blocks;
            for (number, tile) in self.units.chunks_mut(tile_units * self.unit_bytes).enumerate() {
                let masks = &mut masks[..tile.len() / BLOCK_BYTES];
                for (at, row) in masks.chunks_mut(unit_blocks).enumerate() {
                    fill_row(first_mask(number * tile_units + at), row);
                }
                let start = number * tile_units * self.unit_bytes;
                pass_tile(cipher, self.source.map(|source| &source[start..]), tile, masks);
            }
        } else {
            for (number, unit) in self.units.chunks_mut(self.unit_bytes).enumerate() {
                fill_row(first_mask(number), &mut masks);
                for (at, tile) in unit.chunks_mut(TILE_BYTES).enumerate() {
                    if at != 0 {
                        masks = masks.map(times_alpha_to_64);
                    }
                    let start = number * self.unit_bytes + at * TILE_BYTES;
                    pass_tile(cipher, self.source.map(|source| &source[start..]), tile, &masks);
                }
            }
        }
    }
}

/// XOR, cipher, XOR: one tile, which may begin by coming from elsewhere.
#[inline(always)]
fn pass_tile(cipher: &impl InPlace, source: Option<&[u8]>, tile: &mut [u8], masks: &[Mask]) {
    match source {
        Some(source) => {
            let (from, _) = source.as_chunks::<8>();
            let (to, _) = tile.as_chunks_mut::<8>();
            for ((to, from), mask) in to.iter_mut().zip(from).zip(masks.as_flattened()) {
                *to = (u64::from_le_bytes(*from) ^ mask).to_le_bytes();
            }
        }
        None => whiten(tile, masks),
    }
    let (blocks, _) = tile.as_chunks_mut::<BLOCK_BYTES>();
    cipher.apply(Array::cast_slice_from_core_mut(blocks));
    whiten(tile, masks);
}

#[inline(always)]
fn whiten(tile: &mut [u8], masks: &[Mask]) {
    let (words, _) = tile.as_chunks_mut::<8>();
    for (word, mask) in words.iter_mut().zip(masks.as_flattened()) {
        *word = (u64::from_le_bytes(*word) ^ mask).to_le_bytes();
    }
}

/// One direction of a backend over any number of blocks.
trait InPlace {
    fn apply(&self, blocks: &mut [Block]);
}

struct Encrypt<'a, B>(&'a B);

impl<B: BlockCipherEncBackend<BlockSize = U16>> InPlace for Encrypt<'_, B> {
    #[inline(always)]
    fn apply(&self, blocks: &mut [Block]) {
        let (whole, rest) = Array::slice_as_chunks_mut(blocks);
        for blocks in whole {
            self.0.encrypt_par_blocks_inplace(blocks);
        }
        self.0.encrypt_tail_blocks_inplace(rest);
    }
}

struct Decrypt<'a, B>(&'a B);

impl<B: BlockCipherDecBackend<BlockSize = U16>> InPlace for Decrypt<'_, B> {
    #[inline(always)]
    fn apply(&self, blocks: &mut [Block]) {
        let (whole, rest) = Array::slice_as_chunks_mut(blocks);
        for blocks in whole {
            self.0.decrypt_par_blocks_inplace(blocks);
        }
        self.0.decrypt_tail_blocks_inplace(rest);
    }
}

impl BlockSizeUser for Batch<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Batch<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        self.pass_through(&Encrypt(backend));
    }
}

impl BlockCipherDecClosure for Batch<'_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        self.pass_through(&Decrypt(backend));
    }
}
