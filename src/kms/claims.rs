//! Who is giving a key new material.

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::Alias;
use crate::id::KeyId;
use crate::sync::Mutex;
use std::collections::BTreeSet;

/// The keys whose material is being made, taken in or given up. The module may be slow and no lock
/// is held meanwhile, so a second attempt on the same key is refused instead of waiting: both would
/// work on the same version, and the one that lost would destroy what the other has made.
#[derive(Default)]
pub(super) struct Claims {
    at_work: Mutex<BTreeSet<KeyId>>,
}

/// The right to change the material of one key, until it is dropped.
#[must_use = "dropping the claim lets others at the key"]
pub(super) struct Claim<'c> {
    claims: &'c Claims,
    id: KeyId,
}

impl Claims {
    /// Takes the right.
    ///
    /// # Errors
    /// `in-use` while somebody else has it.
    pub fn take(&self, id: KeyId, alias: &Alias) -> Result<Claim<'_>> {
        if self.at_work.lock().insert(id) {
            return Ok(Claim { claims: self, id });
        }
        Err(Error::new(
            ErrorKind::InUse,
            format!("the material of key \"{alias}\" is being changed by another request"),
        )
        .remedy(format!("evsfs key show {alias}, and try again when it is done")))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.at_work.lock().remove(&self.id);
    }
}
