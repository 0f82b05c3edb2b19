//! Commands on keys: permission, then the KMS.

use super::command::Command;
use super::execute::Service;
use super::reply::{ImportParametersInfo, Reply};
use crate::auth::{Action, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Alias, KeyId};
use crate::kms::{KeyView, NewKey};

impl Service {
    pub(super) fn execute_on_keys(&self, caller: Caller, command: Command) -> Result<Reply> {
        if matches!(command, Command::KeyList | Command::KeyShow(_)) {
            let _permit = self.permit(caller, Action::SeeKeys)?;
            return Ok(match command {
                Command::KeyShow(alias) => {
                    Reply::Key(self.describe_key(caller, &self.kms.show(&alias)?))
                }
                _ => Reply::Keys(self.describe_keys(caller)),
            });
        }
        let permit = self.permit(caller, Action::ManageKeys);
        let _permit = permit.inspect_err(|e| self.record_denial(caller, &command, e))?;
        let kms = self.kms_for(caller);
        if let Command::KeyImportParameters(alias) = command {
            let made = kms.make_import_parameters(&alias)?;
            return Ok(Reply::ImportParameters(made.into()));
        }
        if let Command::KeyConfirmDeletion(alias) = command {
            let view = kms.confirm_deletion(&alias)?;
            log::info!("key={} alias={} destroyed uid={}", view.id, view.alias, caller.uid());
            return Ok(Reply::DONE);
        }
        let (verb, view) = match command {
            Command::KeyCreate(request) => {
                let new = NewKey {
                    alias: request.alias,
                    origin: request.origin,
                    description: request.description,
                };
                ("created", kms.create(new)?)
            }
            Command::KeyEnable(alias) => ("enabled", kms.enable(&alias)?),
            Command::KeyDisable(alias) => ("disabled", kms.disable(&alias)?),
            Command::KeyScheduleDeletion(alias, days) => {
                ("scheduled-for-deletion", kms.schedule_deletion(&alias, days)?)
            }
            Command::KeyCancelDeletion(alias) => ("kept", kms.cancel_deletion(&alias)?),
            Command::KeyRotate(alias) => ("rotated", kms.rotate(&alias)?),
            Command::KeySetRotation(alias, days) => {
                ("set-to-rotate", kms.set_rotation(&alias, days)?)
            }
            Command::KeyImport(alias, upload, expires) => {
                ("given-material", kms.import(&alias, &upload, expires)?)
            }
            Command::KeyDeleteMaterial(alias) => ("without-material", kms.delete_material(&alias)?),
            Command::KeySetAlias(alias, new) => ("renamed", kms.set_alias(&alias, new)?),
            Command::KeyDescribe(alias, text) => ("described", kms.describe(&alias, text)?),
            other => {
                let message = format!("{other:?} is not a command on keys");
                return Err(Error::new(ErrorKind::Internal, message));
            }
        };
        log::info!("key={} alias={} {verb} uid={}", view.id, view.alias, caller.uid());
        Ok(Reply::Key(self.describe_key(caller, &view)))
    }

    /// The import key that was made for a key and can still be used, if the caller may see keys.
    pub fn import_parameters(&self, caller: Caller, key: KeyId) -> Option<ImportParametersInfo> {
        if !self.authority.allows(caller, Action::SeeKeys) {
            return None;
        }
        self.kms.import_parameters(key).map(ImportParametersInfo::from)
    }

    /// All keys, the default key first, if the caller may see keys.
    pub fn visible_keys(&self, caller: Caller) -> Vec<KeyView> {
        if self.authority.allows(caller, Action::SeeKeys) { self.kms.list() } else { Vec::new() }
    }

    /// The key with this id, if the caller may see keys.
    pub fn visible_key_with_id(&self, caller: Caller, id: KeyId) -> Option<KeyView> {
        if !self.authority.allows(caller, Action::SeeKeys) {
            return None;
        }
        self.kms.by_id(id).ok()
    }

    /// The key with this alias, if the caller may see keys.
    pub fn visible_key(&self, caller: Caller, alias: &Alias) -> Option<KeyView> {
        if !self.authority.allows(caller, Action::SeeKeys) {
            return None;
        }
        self.kms.show(alias).ok()
    }
}
