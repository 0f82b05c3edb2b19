//! Data keys: one fresh 512-bit key for each disk.

use super::hex::{from_hex, to_hex};
use super::secret::Secret;
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyId;
use serde::{Deserialize, Serialize};

/// The plaintext data key of a disk: 64 bytes in locked memory, the first 32 for data, the last 32
/// for tweaks; the halves differ (IEEE 1619 section 5.1, RULES 1).
///
/// It can become a [`SectorCipher`](super::SectorCipher) or, in the KMS, a [`WrappedDk`].
pub struct Dk {
    bytes: Secret<64>,
}

impl Dk {
    /// A fresh random key.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked; `io` when the kernel has no randomness.
    pub fn generate() -> Result<Dk> {
        loop {
            // Equal halves happen once in 2^256 draws; drawing again costs nothing.
            if let Ok(dk) = Dk::from_secret(Secret::random()?) {
                return Ok(dk);
            }
        }
    }

    /// The key with these bytes.
    ///
    /// # Errors
    /// `integrity` when the halves are the same.
    pub fn from_secret(bytes: Secret<64>) -> Result<Dk> {
        use subtle::ConstantTimeEq;
        let (data, tweak) = bytes.expose().split_at(32);
        if data.ct_eq(tweak).into() {
            return Err(Error::new(ErrorKind::Integrity, "the halves of a data key are the same"));
        }
        Ok(Dk { bytes })
    }

    /// Lends the 64 bytes, for wrapping.
    pub fn expose(&self) -> &[u8; 64] {
        self.bytes.expose()
    }
}

/// A data key as it is stored: opened by one version of one master key only, and only for the disk
/// it was made for (RULES K6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedDk {
    /// The master key.
    pub key: KeyId,
    /// Its version.
    pub version: u32,
    /// What the HSM made of the key.
    #[serde(with = "hex_text")]
    pub bytes: Vec<u8>,
}

mod hex_text {
    use super::{from_hex, to_hex};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_hex(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_equal_halves_is_refused() {
        let equal = Secret::fill(|bytes| {
            bytes.fill(7);
            Ok(())
        });
        assert!(Dk::from_secret(equal.unwrap()).is_err());
    }

    #[test]
    fn two_generated_keys_differ() {
        let (one, other) = (Dk::generate().unwrap(), Dk::generate().unwrap());
        assert_ne!(one.expose()[..], other.expose()[..]);
    }
}
