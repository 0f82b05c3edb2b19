//! The place where master key material lives.

use crate::crypto::Dk;
use crate::crypto::RecordKey;
use crate::crypto::Secret;
use crate::error::Result;
use crate::id::KeyId;

/// One version of one master key: what material is stored, used and destroyed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CmkVersion {
    /// The master key.
    pub key: KeyId,
    /// Its version, counted from 1.
    pub version: u32,
}

impl std::fmt::Display for CmkVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.key, self.version)
    }
}

/// A hardware security module, or something in its place.
///
/// Material goes in or is made inside; it never comes out (RULES K7). The module knows no states,
/// aliases or deadlines: it does what it is told, and [`super::Kms`] decides what that is.
/// Calls may be slow, so nobody holds a lock across one.
///
/// All calls fail with `kms-unreachable` when the module does not answer, and calls that use
/// material with `key-gone` (KMS.0207) when it holds none of that version.
pub trait Hsm: Send + Sync {
    /// The key that authenticates records under this module's root key (RULES K8).
    ///
    /// # Errors
    /// `quota` when memory cannot be locked.
    fn record_key(&self) -> Result<RecordKey>;

    /// Makes fresh material. After `Ok` it is there also after loss of power.
    ///
    /// # Errors
    /// `exists` when there is material of that version already.
    fn generate(&self, cmk: CmkVersion) -> Result<()>;

    /// Takes material that was made elsewhere (RULES K1, origin external). After `Ok` it is there
    /// also after loss of power.
    ///
    /// # Errors
    /// `exists` when there is material of that version already.
    fn import(&self, cmk: CmkVersion, material: &Secret<32>) -> Result<()>;

    /// Makes a fresh data key and wraps it, bound to `associated`, without the plaintext leaving
    /// the module (RULES D3, K7).
    ///
    /// # Errors
    /// See the trait.
    fn generate_dk_wrapped(&self, cmk: CmkVersion, associated: &[u8]) -> Result<Vec<u8>>;

    /// Wraps an existing data key, bound to `associated`.
    ///
    /// # Errors
    /// See the trait.
    fn wrap_dk(&self, cmk: CmkVersion, associated: &[u8], dk: &Dk) -> Result<Vec<u8>>;

    /// Opens a wrapped data key.
    ///
    /// # Errors
    /// `wrong-context` with KMS.0208 when it was wrapped by other material or for another context,
    /// or was edited.
    fn unwrap_dk(&self, cmk: CmkVersion, associated: &[u8], wrapped: &[u8]) -> Result<Dk>;

    /// Destroys material, durably. Material that is not there is no error: a caller that was
    /// interrupted repeats itself.
    ///
    /// # Errors
    /// `io`; the caller keeps the key unusable and tries again.
    fn destroy(&self, cmk: CmkVersion) -> Result<()>;

    /// All material the module holds, sorted.
    ///
    /// # Errors
    /// See the trait.
    fn list(&self) -> Result<Vec<CmkVersion>>;
}
