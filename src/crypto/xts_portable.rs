//! XTS by the `xts-mode` crate, block by block: slow, plain, and the oracle of every other kernel.

use super::xts_keys::XtsKeys;
use aes::cipher::Array;
use aes::cipher::consts::U16;
use xts_mode::Xts128;

/// Seals sectors in place; sector `i` of the run has tweak `first_tweak + i * tweak_step`.
pub(super) fn seal(
    keys: &XtsKeys,
    sector_size: usize,
    first_tweak: u128,
    tweak_step: u128,
    sectors: &mut [u8],
) {
    let xts = Xts128::new(keys.data(), keys.tweak());
    for (sector, at) in sectors.chunks_exact_mut(sector_size).zip(0..) {
        xts.encrypt_sector(sector, tweak(first_tweak, tweak_step, at));
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
    let xts = Xts128::new(keys.data(), keys.tweak());
    for (sector, at) in sectors.chunks_exact_mut(sector_size).zip(0..) {
        if !super::sector_cipher::is_never_written(sector) {
            xts.decrypt_sector(sector, tweak(first_tweak, tweak_step, at));
        }
    }
}

fn tweak(first: u128, step: u128, at: u128) -> Array<u8, U16> {
    Array(first.wrapping_add(step.wrapping_mul(at)).to_le_bytes())
}
