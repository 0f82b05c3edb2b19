//! What holds for the whole project: the agency and the default encryption.

use crate::auth::{AGENCY_NAME, DefaultEncryption, DefaultKey};
use crate::id::Alias;
use crate::service::Service;
use serde::Serialize;

/// The agency.
#[derive(Debug, Clone, Serialize)]
pub struct AgencyInfo {
    /// Its name, where there is one.
    pub name: Option<&'static str>,
    /// Whether there is one.
    pub present: bool,
}

/// What becomes of disks whose creator does not say whether to encrypt them.
#[derive(Debug, Clone, Serialize)]
pub struct DefaultEncryptionInfo {
    /// Whether they are encrypted.
    pub encrypted: bool,
    /// The alias of their key, or its id when the key is gone; none when they are not encrypted.
    pub key: Option<String>,
}

impl Service {
    /// Whether there is an agency.
    pub(in crate::service) fn describe_agency(&self) -> AgencyInfo {
        let present = self.project.has_agency();
        AgencyInfo { name: present.then_some(AGENCY_NAME), present }
    }

    /// The default encryption, wherever it was chosen.
    pub(in crate::service) fn describe_default_encryption(&self) -> DefaultEncryptionInfo {
        let key = match self.project.default_encryption() {
            _ if !self.encrypts_by_default() => None,
            Some(DefaultEncryption::On(DefaultKey::Own(id))) => Some(match self.kms.by_id(id) {
                Ok(view) => view.alias.to_string(),
                Err(_) => id.to_string(),
            }),
            Some(_) => Some(Alias::evs_default().to_string()),
            None => Some(self.settings.default_key.to_string()),
        };
        DefaultEncryptionInfo { encrypted: key.is_some(), key }
    }
}
