//! The round keys of a disk.

use super::data_key::Dk;
use crate::error::Result;
use crate::sys::SecretBox;
use aes::Aes256;
use aes::cipher::consts::U32;
use aes::cipher::{Array, KeyInit};

/// The two expanded AES-256 keys of XTS, in locked memory. They are key material as much as the
/// data key is.
pub(super) struct XtsKeys {
    ciphers: SecretBox<Ciphers>,
}

struct Ciphers {
    data: Aes256,
    tweak: Aes256,
}

impl XtsKeys {
    /// Expands and thereby consumes a data key.
    pub(super) fn expand(dk: Dk) -> Result<XtsKeys> {
        let (data, tweak) = dk.expose().split_at(32);
        let key = |half: &[u8]| -> Array<u8, U32> {
            let mut key = Array::default();
            key.copy_from_slice(half);
            key
        };
        let ciphers = SecretBox::try_new(|| {
            Ok(Ciphers { data: Aes256::new(&key(data)), tweak: Aes256::new(&key(tweak)) })
        })?;
        Ok(XtsKeys { ciphers })
    }

    /// The cipher of the first half, for data.
    pub(super) fn data(&self) -> &Aes256 {
        &self.ciphers.data
    }

    /// The cipher of the second half, for tweaks.
    pub(super) fn tweak(&self) -> &Aes256 {
        &self.ciphers.tweak
    }
}
