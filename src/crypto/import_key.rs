//! One-time keys under which key material is sent in: RSA-OAEP with SHA-256 (RFC 8017 section 7.1).
//!
//! Not covered: while such a key is made or used, and while what it opened is moved to its place,
//! the numbers lie in ordinary memory of this process, which is not dumped. They are wiped
//! afterwards, by themselves or by the heap; between two uses the private part is in locked memory
//! only.

use super::secret::Secret;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::sys::{SecretBox, with_deep_stack_wiped};
use rsa::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding,
};
use rsa::sha2::Sha256;
use rsa::{Generate, PrivateKey, PublicKey};
use zeroize::Zeroizing;

/// More than a PKCS#8 document of 3072 bits takes.
const MAX_DER: usize = 2048;

/// A key pair that customers wrap their material under: 3072 bits, the security of 128.
pub struct ImportKey {
    private: SecretBox<Der>,
    public_key: String,
}

/// The private part, PKCS#8 DER.
struct Der {
    bytes: [u8; MAX_DER],
    len: usize,
}

impl ImportKey {
    /// How material is to be wrapped, as people name it.
    pub const ALGORITHM: &'static str = "RSA-OAEP-SHA256";

    /// A fresh pair. Takes about a second.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked; `internal` when the kernel has no randomness.
    pub fn generate() -> Result<Self> {
        with_deep_stack_wiped(ImportKey::generate_here)
    }

    fn generate_here() -> Result<Self> {
        let failed = |what: &str| Error::new(ErrorKind::Internal, format!("{what} an import key"));
        let pair = PrivateKey::try_generate().map_err(|cause| failed("making").caused_by(cause))?;
        let public_key = pair
            .to_public_key()
            .to_public_key_pem(LineEnding::LF)
            .map_err(|cause| failed("encoding").caused_by(cause))?;
        let document = pair.to_pkcs8_der().map_err(|cause| failed("encoding").caused_by(cause))?;
        let der = document.as_bytes();
        let private = SecretBox::try_new(|| {
            let mut bytes = [0; MAX_DER];
            let room = bytes.get_mut(..der.len()).ok_or_else(|| failed("storing"))?;
            room.copy_from_slice(der);
            Ok(Der { bytes, len: der.len() })
        })?;
        Ok(ImportKey { private, public_key })
    }

    /// The public part, PEM (SubjectPublicKeyInfo).
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Opens wrapped material.
    ///
    /// # Errors
    /// `invalid` when it was not wrapped under this key, with KMS.2604 when what was wrapped is not
    /// 32 bytes long.
    pub fn open(&self, wrapped: &[u8]) -> Result<Secret<32>> {
        with_deep_stack_wiped(|| self.open_here(wrapped))
    }

    fn open_here(&self, wrapped: &[u8]) -> Result<Secret<32>> {
        let pair = PrivateKey::from_pkcs8_der(&self.private.bytes[..self.private.len])
            .map_err(|_| Error::new(ErrorKind::Internal, "reading an import key"))?;
        let plain = pair.oaep_decrypt::<Sha256>(wrapped).map(Zeroizing::new).map_err(|_| {
            Error::new(ErrorKind::Invalid, "the wrapped material does not open with the import key")
                .remedy(format!(
                    "wrap the raw 32 bytes by {} under the newest import key",
                    ImportKey::ALGORITHM
                ))
        })?;
        if plain.len() != 32 {
            return Err(wrong_length(plain.len()));
        }
        Secret::fill(|bytes| {
            bytes.copy_from_slice(&plain);
            Ok(())
        })
    }
}

/// Wraps 32 bytes of material under the public part of an import key, PEM, as a customer does: it
/// can then be sent through any number of buffers.
///
/// # Errors
/// `internal` when it is no such public key, or the kernel has no randomness.
pub fn wrap_material(public_key: &str, material: &[u8; 32]) -> Result<Vec<u8>> {
    let failed = || Error::new(ErrorKind::Internal, "wrapping key material");
    let public =
        PublicKey::from_public_key_pem(public_key).map_err(|cause| failed().caused_by(cause))?;
    public.oaep_encrypt::<Sha256>(material).map_err(|cause| failed().caused_by(cause))
}

/// The refusal of material that is no key of AES-256.
pub fn wrong_length(bytes: usize) -> Error {
    Error::new(ErrorKind::Invalid, format!("the material is {bytes} bytes long, not 32"))
        .code(Code::KMS_2604)
        .remedy("give 32 raw bytes, or their wrapped form with --wrapped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn material_wrapped_under_the_public_part_opens_and_nothing_else_does() {
        let (one, other) = (ImportKey::generate().unwrap(), ImportKey::generate().unwrap());
        let public = PublicKey::from_public_key_pem(one.public_key()).unwrap();
        let wrapped = wrap_material(one.public_key(), &[7; 32]).unwrap();
        assert!(wrap_material("no key", &[7; 32]).is_err());
        assert_eq!(one.open(&wrapped).unwrap().expose(), &[7; 32]);
        let refused = |key: &ImportKey, bytes: &[u8]| key.open(bytes).err().unwrap();
        assert_eq!(refused(&other, &wrapped).kind(), ErrorKind::Invalid);
        for at in [0, 1, 100, wrapped.len() - 1] {
            let mut edited = wrapped.clone();
            edited[at] ^= 1;
            assert_eq!(refused(&one, &edited).documented_code(), None, "byte {at}");
        }
        for len in [0, 1, 32, wrapped.len() - 1] {
            assert_eq!(refused(&one, &wrapped[..len]).kind(), ErrorKind::Invalid, "{len}");
        }
        for len in [0, 31, 33] {
            let short = public.oaep_encrypt::<Sha256>(&vec![7; len]).unwrap();
            assert_eq!(refused(&one, &short).documented_code(), Some(Code::KMS_2604), "{len}");
        }
    }
}
