//! Keys, as callers may see them.

use super::control_plane::Service;
use super::describe::ImportParametersInfo;
use crate::auth::{Action, Caller};
use crate::id::{Alias, KeyId};
use crate::kms::KeyView;

impl Service {
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
