//! Data keys: one fresh 512-bit key for each disk.

use super::hex::{from_hex, to_hex};
use super::secret::Secret;
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The plaintext data key of a disk: 64 bytes in locked memory, the first 32 for data, the last 32
/// for tweaks; the halves differ (IEEE 1619 section 5.1, RULES 1).
///
/// It can become a [`SectorCipher`](super::SectorCipher) or, in the KMS, a [`WrappedDk`]; text only
/// when its disk leaves evsfs, or comes from elsewhere.
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

    /// The key that hexadecimal text stands for.
    ///
    /// # Errors
    /// `invalid` when it is not 128 digits; `integrity` when the halves are the same; `quota`.
    pub fn from_hex(text: &str) -> Result<Dk> {
        Dk::from_secret(Secret::from_hex(text)?)
    }

    /// The key as hexadecimal text, for who takes it out of evsfs; wiped when dropped.
    pub fn to_hex(&self) -> Zeroizing<String> {
        // No table is indexed by the secret, and no branch depends on it: letters lie 39 behind
        // where the digits would go on.
        let digit = |four: u8| char::from(b'0' + four + (9_u8.wrapping_sub(four) >> 7) * 39);
        // Room for all of it from the start: growing would leave a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(2 * self.expose().len()));
        for byte in self.expose() {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0x0f));
        }
        text
    }

    /// Whether both are the same key, in a time that does not depend on them.
    pub fn ct_eq(&self, other: &Dk) -> bool {
        self.bytes.ct_eq(&other.bytes)
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
    fn a_key_goes_out_and_comes_in_as_text() {
        let bytes = Secret::fill(|bytes| {
            for (byte, value) in bytes.iter_mut().zip((0..=255).step_by(4)) {
                *byte = value;
            }
            Ok(())
        });
        let dk = Dk::from_secret(bytes.unwrap()).unwrap();
        assert_eq!(*dk.to_hex(), to_hex(dk.expose()));
        assert!(Dk::from_hex(&dk.to_hex()).unwrap().ct_eq(&dk));
        for text in [&dk.to_hex()[1..], "", &"ab".repeat(64)] {
            assert!(Dk::from_hex(text).is_err(), "{text}");
        }
    }

    #[test]
    fn two_generated_keys_differ() {
        let (one, other) = (Dk::generate().unwrap(), Dk::generate().unwrap());
        assert_ne!(one.expose()[..], other.expose()[..]);
    }

    #[test]
    fn halves_that_differ_in_one_bit_are_accepted() {
        let bytes = Secret::fill(|bytes| {
            bytes[63] = 1;
            Ok(())
        });
        assert!(Dk::from_secret(bytes.unwrap()).is_ok());
    }

    #[test]
    fn a_wrapped_key_is_stored_as_lowercase_hex_and_read_back() {
        let wrapped = WrappedDk {
            key: KeyId::parse("00000000-0000-4000-8000-000000000001").unwrap(),
            version: 2,
            bytes: vec![0x00, 0xab, 0xff],
        };
        let json = serde_json::to_string(&wrapped).unwrap();
        let golden =
            r#"{"key":"00000000-0000-4000-8000-000000000001","version":2,"bytes":"00abff"}"#;
        assert_eq!(json, golden);
        assert_eq!(serde_json::from_str::<WrappedDk>(&json).unwrap(), wrapped);
        for (part, edited) in [
            ("00abff", "00ABFF"),
            ("00abff", "0abff"),
            ("2", "-2"),
            (r#""version":2,"#, ""),
            ("}", r#","more":1}"#),
        ] {
            let json = golden.replace(part, edited);
            assert!(serde_json::from_str::<WrappedDk>(&json).is_err(), "{json}");
        }
    }
}
