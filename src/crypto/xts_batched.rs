//! XTS in batches on the `aes` crate's many-block calls (IEEE 1619 section 5.3).
//!
//! The starting tweaks of many sectors are encrypted in one call, the tweaks of a batch of blocks
//! are computed first, and the blocks then go through the cipher together, which lets it use the
//! widest instructions the machine has. Sealing reads from the source while it applies the tweaks,
//! so the copy into the destination is free.

use super::sector_cipher::is_never_written;
use super::xts_keys::XtsKeys;
use aes::Block;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt};

const BLOCK: usize = 16;
/// Blocks of a batch: one sector of 4096 bytes, or eight of 512. Its tweaks and its data stay in
/// the first-level cache together.
const BATCH_BLOCKS: usize = 256;
const BATCH_BYTES: usize = BATCH_BLOCKS * BLOCK;
/// Sectors whose starting tweaks are encrypted together.
const TWEAK_BATCH: usize = 64;
/// The reduction polynomial x^128 + x^7 + x^2 + x + 1, without its first term.
const POLYNOMIAL: u128 = 0x87;

/// Seals `plain` into `sealed`; sector `i` of the run has tweak `first_tweak + i * tweak_step`.
pub(super) fn seal(
    keys: &XtsKeys,
    sector_size: usize,
    first_tweak: u128,
    tweak_step: u128,
    plain: &[u8],
    sealed: &mut [u8],
) {
    let group_bytes = TWEAK_BATCH * sector_size;
    let groups = plain.chunks(group_bytes).zip(sealed.chunks_mut(group_bytes));
    for ((plain, sealed), number) in groups.zip(0..) {
        let mut starts = starting_tweaks(keys, first_tweak, tweak_step, number);
        let batches = plain.chunks(BATCH_BYTES).zip(sealed.chunks_mut(BATCH_BYTES));
        for (plain, sealed) in batches {
            let tweaks = batch_tweaks(&mut starts, sector_size, plain.len());
            xor_into(plain, &tweaks, sealed);
            keys.data().encrypt_blocks(blocks(sealed));
            xor(sealed, &tweaks);
        }
    }
}

/// Seals sectors in place.
pub(super) fn seal_in_place(
    keys: &XtsKeys,
    sector_size: usize,
    first_tweak: u128,
    tweak_step: u128,
    sectors: &mut [u8],
) {
    for (group, number) in sectors.chunks_mut(TWEAK_BATCH * sector_size).zip(0..) {
        let mut starts = starting_tweaks(keys, first_tweak, tweak_step, number);
        for batch in group.chunks_mut(BATCH_BYTES) {
            let tweaks = batch_tweaks(&mut starts, sector_size, batch.len());
            xor(batch, &tweaks);
            keys.data().encrypt_blocks(blocks(batch));
            xor(batch, &tweaks);
        }
    }
}

/// Opens sectors in place; sectors of zeros stay zeros.
pub(super) fn open(
    keys: &XtsKeys,
    sector_size: usize,
    first_tweak: u128,
    tweak_step: u128,
    sectors: &mut [u8],
) {
    for (group, number) in sectors.chunks_mut(TWEAK_BATCH * sector_size).zip(0..) {
        let mut starts = starting_tweaks(keys, first_tweak, tweak_step, number);
        for batch in group.chunks_mut(BATCH_BYTES) {
            let tweaks = batch_tweaks(&mut starts, sector_size, batch.len());
            let never_written = NeverWritten::find(batch, sector_size);
            xor(batch, &tweaks);
            keys.data().decrypt_blocks(blocks(batch));
            xor(batch, &tweaks);
            never_written.clear(batch, sector_size);
        }
    }
}

/// Which sectors of a batch were never written: a bit for each of at most eight.
struct NeverWritten(u8);

impl NeverWritten {
    fn find(batch: &[u8], sector_size: usize) -> Self {
        let sectors = batch.chunks_exact(sector_size);
        NeverWritten(sectors.zip(0..).fold(0, |bits, (sector, at): (_, u32)| {
            bits | u8::from(is_never_written(sector)) << at
        }))
    }

    fn clear(&self, batch: &mut [u8], sector_size: usize) {
        if self.0 == 0 {
            return;
        }
        for (sector, at) in batch.chunks_exact_mut(sector_size).zip(0_u32..) {
            if self.0 >> at & 1 == 1 {
                sector.fill(0);
            }
        }
    }
}

/// The encrypted tweaks of the group's sectors, in the order of the sectors.
fn starting_tweaks(
    keys: &XtsKeys,
    first: u128,
    step: u128,
    group: u128,
) -> impl Iterator<Item = u128> + use<> {
    let mut tweaks = [Block::default(); TWEAK_BATCH];
    for (tweak, at) in tweaks.iter_mut().zip(group * TWEAK_BATCH as u128..) {
        *tweak = Array(first.wrapping_add(step.wrapping_mul(at)).to_le_bytes());
    }
    keys.tweak().encrypt_blocks(&mut tweaks);
    tweaks.into_iter().map(|tweak| u128::from_le_bytes(tweak.0))
}

/// The tweaks of the next `len` bytes: each sector's start, multiplied by x from block to block.
fn batch_tweaks(
    starts: &mut impl Iterator<Item = u128>,
    sector_size: usize,
    len: usize,
) -> [u128; BATCH_BLOCKS] {
    let mut tweaks = [0; BATCH_BLOCKS];
    for sector in tweaks[..len / BLOCK].chunks_mut(sector_size / BLOCK) {
        let mut tweak = starts.next().unwrap_or_default();
        for place in sector {
            *place = tweak;
            tweak = times_x(tweak);
        }
    }
    tweaks
}

fn times_x(tweak: u128) -> u128 {
    // Without a branch: whether a bit overflows depends on the key.
    (tweak << 1) ^ ((tweak >> 127) * POLYNOMIAL)
}

fn blocks(bytes: &mut [u8]) -> &mut [Block] {
    let (blocks, rest) = Block::slice_as_chunks_mut(bytes);
    debug_assert!(rest.is_empty(), "sectors are whole blocks");
    blocks
}

fn xor(bytes: &mut [u8], tweaks: &[u128]) {
    for (block, tweak) in bytes.as_chunks_mut::<BLOCK>().0.iter_mut().zip(tweaks) {
        *block = (u128::from_le_bytes(*block) ^ tweak).to_le_bytes();
    }
}

fn xor_into(from: &[u8], tweaks: &[u128], into: &mut [u8]) {
    let blocks = from.as_chunks::<BLOCK>().0.iter().zip(into.as_chunks_mut::<BLOCK>().0);
    for ((from, into), tweak) in blocks.zip(tweaks) {
        *into = (u128::from_le_bytes(*from) ^ tweak).to_le_bytes();
    }
}
