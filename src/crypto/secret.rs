//! Secrets of a fixed length, made where they will live.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::SecretBox;
use subtle::ConstantTimeEq;

/// `N` secret bytes in locked memory, wiped when dropped. It cannot be printed, cloned or
/// serialised; what it holds is lent, not copied.
pub struct Secret<const N: usize> {
    bytes: SecretBox<[u8; N]>,
}

impl<const N: usize> Secret<N> {
    /// Random bytes, put by the kernel straight into the locked memory.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked; `io` when the kernel has no randomness.
    pub fn random() -> Result<Self> {
        Secret::fill(|bytes| {
            getrandom::fill(bytes).map_err(|cause| Error::io("drawing random bytes", cause.into()))
        })
    }

    /// The bytes that `fill` writes into the locked memory.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked; what `fill` returns.
    pub fn fill(fill: impl FnOnce(&mut [u8; N]) -> Result<()>) -> Result<Self> {
        let mut bytes = SecretBox::try_new(|| Ok([0; N]))?;
        crate::sys::with_wiped_stack(|| fill(&mut bytes))?;
        Ok(Secret { bytes })
    }

    /// The bytes that hexadecimal text of twice their number stands for.
    ///
    /// # Errors
    /// `invalid` for text of another length or with anything but hexadecimal digits; `quota`.
    pub fn from_hex(text: &str) -> Result<Self> {
        let refuse = || Error::new(ErrorKind::Invalid, "a secret is not hexadecimal text");
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != N || !rest.is_empty() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        // Letters have bit 6 set and lie nine above their low four bits: no table is indexed by
        // the secret, and no branch depends on it.
        let digit = |byte: u8| (byte & 0x0f) + (byte >> 6) * 9;
        Secret::fill(|bytes| {
            for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
                *byte = digit(*high) << 4 | digit(*low);
            }
            Ok(())
        })
    }

    /// Lends the bytes.
    pub fn expose(&self) -> &[u8; N] {
        &self.bytes
    }

    /// Whether both hold the same bytes, in a time that does not depend on them.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.expose()[..].ct_eq(&other.expose()[..]).into()
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn two_random_secrets_differ_and_equal_ones_are_equal() {
        let a = Secret::<32>::random().unwrap();
        let b = Secret::<32>::random().unwrap();
        assert!(!a.ct_eq(&b));
        assert_ne!(a.expose(), &[0; 32]);
        let copy = Secret::fill(|bytes| {
            bytes.copy_from_slice(a.expose());
            Ok(())
        })
        .unwrap();
        assert!(a.ct_eq(&copy));
    }

    #[test]
    fn hexadecimal_text_of_the_right_length_becomes_a_secret() {
        for text in ["00ff10aB", "deadBEEF", "9a8f7A6F"] {
            let secret = Secret::<4>::from_hex(text).unwrap();
            assert_eq!(crate::crypto::to_hex(secret.expose()), text.to_lowercase());
        }
        for text in
            ["", "00", "00ff10a", "00ff10abc", "00ff10abcd", "00ff10ag", "00ff10a:", "éabcde"]
        {
            assert!(Secret::<4>::from_hex(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_failing_fill_gives_no_secret() {
        let refused = Secret::<16>::fill(|_| Err(Error::new(ErrorKind::Io, "reading a key")));
        assert_eq!(refused.err().unwrap().kind(), ErrorKind::Io);
    }
}
