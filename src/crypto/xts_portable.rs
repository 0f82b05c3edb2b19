//! XTS by the `xts-mode` crate, block by block: slow, plain, and the oracle of every other kernel. It
//! is the only one that steals ciphertext, which sectors never need.

use super::xts_keys::XtsKeys;
use super::xts_tweaks::Run;
use aes::cipher::Array;
use xts_mode::Xts128;

/// Seals units in place.
pub(super) fn seal(keys: &XtsKeys, run: Run, units: &mut [u8]) {
    let xts = Xts128::new(keys.data(), keys.tweak());
    for (position, unit) in units.chunks_mut(run.unit_bytes()).enumerate() {
        xts.encrypt_sector(unit, Array(run.tweak(position).to_le_bytes()));
    }
}

/// Opens units in place.
pub(super) fn open(keys: &XtsKeys, run: Run, units: &mut [u8]) {
    let xts = Xts128::new(keys.data(), keys.tweak());
    for (position, unit) in units.chunks_mut(run.unit_bytes()).enumerate() {
        xts.decrypt_sector(unit, Array(run.tweak(position).to_le_bytes()));
    }
}
