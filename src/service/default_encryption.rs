//! What becomes of disks whose creator does not say whether to encrypt them (RULES D4).

use super::control_plane::Service;
use crate::auth::{DefaultEncryption, DefaultKey, Permit};
use crate::error::Result;
use crate::id::{Alias, KeyId};
use crate::kms::Kms;

impl Service {
    /// Chooses it for the project, over the configuration: `None` is off, else the key.
    ///
    /// # Errors
    /// `not-found` or `key-unusable` for a key that new disks could not use; `io`, `no-space`.
    pub(super) fn set_default_encryption(&self, permit: Permit, key: Option<Alias>) -> Result<()> {
        let uid = permit.caller().uid();
        let choice = match key {
            None => DefaultEncryption::Off,
            Some(alias) if alias.is_default() => DefaultEncryption::On(DefaultKey::EvsDefault),
            Some(alias) => {
                let id = self.kms.show(&alias)?.id;
                self.kms.require_usable(id)?;
                DefaultEncryption::On(DefaultKey::Own(id))
            }
        };
        self.project.choose_default_encryption(permit, choice)?;
        log::info!("event=default-encryption-set choice={choice:?} uid={uid}");
        Ok(())
    }

    /// Whether a disk is encrypted when its creator does not say.
    pub(super) fn encrypts_by_default(&self) -> bool {
        match self.project.default_encryption() {
            Some(DefaultEncryption::Off) => false,
            Some(DefaultEncryption::On(_)) => true,
            None => self.settings.encrypt_by_default,
        }
    }

    /// The key of a disk that is encrypted when its creator names none; `evs/default` is made now.
    ///
    /// # Errors
    /// `not-found` when the configuration names a key that is not there; what the KMS reports.
    pub(super) fn default_key(&self, kms: &Kms) -> Result<KeyId> {
        match self.project.default_encryption() {
            Some(DefaultEncryption::On(DefaultKey::Own(id))) => Ok(id),
            Some(DefaultEncryption::On(DefaultKey::EvsDefault)) => {
                Service::key_named(kms, &Alias::evs_default())
            }
            Some(DefaultEncryption::Off) | None => {
                Service::key_named(kms, &self.settings.default_key)
            }
        }
    }

    /// The key with this alias; `evs/default` is made now if need be (RULES D4).
    ///
    /// # Errors
    /// `not-found`; what the KMS reports.
    pub(super) fn key_named(kms: &Kms, alias: &Alias) -> Result<KeyId> {
        let view = if alias.is_default() { kms.ensure_default() } else { kms.show(alias) };
        view.map(|view| view.id)
    }
}
