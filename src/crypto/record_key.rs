//! Authentication of records: HMAC-SHA-256 (RFC 2104) under a key derived by HKDF (RFC 5869).

use super::secret::Secret;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::with_wiped_stack;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const LABEL: &[u8] = b"evsfs record authentication v1";

/// The key that authenticates records under a root key (RULES K8).
pub struct RecordKey {
    key: Secret<32>,
}

impl RecordKey {
    /// The record key under `root`.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked.
    pub fn derive(root: &Secret<32>) -> Result<Self> {
        let key = Secret::fill(|bytes| {
            Hkdf::<Sha256>::new(None, root.expose())
                .expand(LABEL, bytes)
                .map_err(|_| Error::new(ErrorKind::Internal, "deriving the record key"))
        })?;
        Ok(RecordKey { key })
    }

    /// The tag of a record with this body at this path: a record that was moved has a wrong one.
    pub fn tag(&self, path: &str, body: &[u8]) -> [u8; 32] {
        with_wiped_stack(|| self.mac(path, body).finalize().into_bytes().into())
    }

    /// Whether `tag` is the tag of the record, in a time that does not depend on it.
    pub fn verify(&self, path: &str, body: &[u8], tag: &[u8]) -> bool {
        with_wiped_stack(|| self.mac(path, body).verify_slice(tag).is_ok())
    }

    fn mac(&self, path: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.key.expose())
            .expect("HMAC takes keys of any length");
        mac.update(&(path.len() as u64).to_le_bytes());
        mac.update(path.as_bytes());
        mac.update(body);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_fits_its_key_path_and_body_only() {
        let root = Secret::random().unwrap();
        let key = RecordKey::derive(&root).unwrap();
        let tag = key.tag("a/b", b"body");
        assert!(RecordKey::derive(&root).unwrap().verify("a/b", b"body", &tag));
        assert!(!key.verify("a/", b"bbody", &tag));
        assert!(!key.verify("a/b", b"bodz", &tag));
        assert!(!key.verify("a/b", b"body", &tag[..31]));
        let other = RecordKey::derive(&Secret::random().unwrap()).unwrap();
        assert!(!other.verify("a/b", b"body", &tag));
    }

    /// The formula of RFC 5869 and RFC 2104, computed by another implementation. Every record that
    /// lies in a state directory depends on it.
    #[test]
    fn tags_are_these_bytes_for_ever() {
        let root = Secret::fill(|bytes| {
            bytes.copy_from_slice(&std::array::from_fn::<u8, 32, _>(|at| at as u8));
            Ok(())
        });
        let tag =
            RecordKey::derive(&root.unwrap()).unwrap().tag("kms/keys/a.toml", b"format = 1\n");
        assert_eq!(
            crate::crypto::to_hex(&tag),
            "dc83dc28cf6079785b0bd34a09058a5c0d36a02c3dbe6539b0bd79c0d04cf5f9"
        );
    }

    #[test]
    fn every_flipped_bit_of_a_tag_is_found_out() {
        let key = RecordKey::derive(&Secret::random().unwrap()).unwrap();
        let tag = key.tag("a", b"body");
        for bit in 0..tag.len() * 8 {
            let mut edited = tag;
            edited[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify("a", b"body", &edited), "bit {bit}");
        }
    }
}
