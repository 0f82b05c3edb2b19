//! Authenticated wrapping of keys: AES-256-GCM (NIST SP 800-38D).
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | nonce | 12 | random; at most 2^32 wraps under one key, far above the disks of a project |
//! | ciphertext | as the plaintext | |
//! | tag | 16 | over associated data and ciphertext |

use super::secret::Secret;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::sys::{SecretBox, with_wiped_stack};
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use zeroize::Zeroize;

const NONCE: usize = 12;
const TAG: usize = 16;

/// A key that wraps other keys, its round keys in locked memory.
pub struct WrappingKey {
    cipher: SecretBox<Aes256Gcm>,
}

impl WrappingKey {
    /// The wrapping key with these bytes.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked.
    pub fn from_secret(secret: &Secret<32>) -> Result<Self> {
        let cipher = SecretBox::try_new(|| Ok(Aes256Gcm::new(secret.expose().into())))?;
        Ok(WrappingKey { cipher })
    }

    /// Wraps `plain`, bound to `associated`.
    ///
    /// # Errors
    /// `io` when the kernel has no randomness.
    pub fn wrap(&self, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut wrapped = vec![0; NONCE + plain.len() + TAG];
        let (nonce, rest) = wrapped.split_at_mut(NONCE);
        getrandom::fill(nonce).map_err(|cause| Error::io("drawing a nonce", cause.into()))?;
        let (sealed, tag) = rest.split_at_mut(plain.len());
        let nonce = Nonce::try_from(&*nonce).map_err(|_| damaged())?;
        // From source to destination: the plaintext never lies in ordinary memory.
        let buffers = aes_gcm::aead::inout::InOutBuf::new(plain, sealed).map_err(|_| damaged())?;
        let made =
            with_wiped_stack(|| self.cipher.encrypt_inout_detached(&nonce, associated, buffers));
        tag.copy_from_slice(&made.map_err(|_| damaged())?);
        Ok(wrapped)
    }

    /// Opens `wrapped` into `into`, which must be as long as what was wrapped and is zeroed when
    /// this fails.
    ///
    /// # Errors
    /// `wrong-context` with KMS.0208 when it was wrapped by another key, for another context, or
    /// was edited.
    pub fn unwrap_into(&self, associated: &[u8], wrapped: &[u8], into: &mut [u8]) -> Result<()> {
        into.zeroize();
        if wrapped.len() != NONCE + into.len() + TAG {
            return Err(damaged());
        }
        let (nonce, rest) = wrapped.split_at(NONCE);
        let (sealed, tag) = rest.split_at(into.len());
        let nonce = Nonce::try_from(nonce).map_err(|_| damaged())?;
        let tag = Tag::try_from(tag).map_err(|_| damaged())?;
        let buffers =
            aes_gcm::aead::inout::InOutBuf::new(sealed, &mut *into).map_err(|_| damaged())?;
        let opened = with_wiped_stack(|| {
            self.cipher.decrypt_inout_detached(&nonce, associated, buffers, &tag)
        });
        opened.map_err(|_| {
            into.zeroize();
            damaged()
        })
    }
}

fn damaged() -> Error {
    Error::new(
        ErrorKind::WrongContext,
        "a wrapped key does not open: it was edited, or belongs to another object",
    )
    .code(Code::KMS_0208)
    .remedy("put the record back from a copy of the state directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> WrappingKey {
        WrappingKey::from_secret(&Secret::random().unwrap()).unwrap()
    }

    #[test]
    fn a_key_opens_under_its_own_wrapping_key_and_context_only() {
        let (key, plain) = (key(), [7_u8; 64]);
        let wrapped = key.wrap(b"disk 1", &plain).unwrap();
        let mut opened = [0; 64];
        key.unwrap_into(b"disk 1", &wrapped, &mut opened).unwrap();
        assert_eq!(opened, plain);
        assert!(key.unwrap_into(b"disk 2", &wrapped, &mut opened).is_err());
        assert_eq!(opened, [0; 64]);
        assert!(self::key().unwrap_into(b"disk 1", &wrapped, &mut opened).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_refused() {
        let (key, plain) = (key(), [7_u8; 64]);
        let wrapped = key.wrap(b"disk 1", &plain).unwrap();
        let mut opened = [0; 64];
        for bit in 0..wrapped.len() * 8 {
            let mut edited = wrapped.clone();
            edited[bit / 8] ^= 1 << (bit % 8);
            let refusal = key.unwrap_into(b"disk 1", &edited, &mut opened).unwrap_err();
            assert_eq!(refusal.documented_code(), Some(Code::KMS_0208), "bit {bit}");
            assert_eq!(opened, [0; 64]);
        }
        for len in 0..wrapped.len() {
            assert!(key.unwrap_into(b"disk 1", &wrapped[..len], &mut opened).is_err());
        }
    }

    #[test]
    fn wrapping_twice_gives_different_bytes() {
        let key = key();
        assert_ne!(key.wrap(b"", &[1; 64]).unwrap(), key.wrap(b"", &[1; 64]).unwrap());
    }
}
