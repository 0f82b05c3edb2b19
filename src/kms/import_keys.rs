//! The one-time keys under which material is sent in.

use super::Kms;
use super::audit_entry::AuditEvent;
use super::key::Key;
use crate::crypto::ImportKey;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::Alias;
use crate::id::KeyId;
use crate::sync::Mutex;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an import key can be used, in monotonic time.
const VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a customer needs to wrap material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportParameters {
    /// The master key the material is for.
    pub alias: Alias,
    /// How to wrap.
    pub algorithm: &'static str,
    /// Under what: PEM, SubjectPublicKeyInfo.
    pub public_key: String,
    /// Names this import key; no secret.
    pub token: String,
    /// Until when it can be used, if the daemon lives so long.
    pub valid_until: Timestamp,
}

/// The import keys that can still be used, the newest of each master key. They are in memory only:
/// a restart ends them, as the 24 hours do.
#[derive(Default)]
pub(super) struct ImportKeys {
    of: Mutex<BTreeMap<KeyId, Pending>>,
}

struct Pending {
    key: Arc<ImportKey>,
    token: String,
    made: Duration,
    valid_until: Timestamp,
}

impl Pending {
    fn is_valid(&self, now: Duration) -> bool {
        now.saturating_sub(self.made) < VALIDITY
    }
}

impl ImportKeys {
    /// The import key of `key`, which must be the one that `token` names.
    ///
    /// # Errors
    /// `wrong-status` when there is none, or another one.
    pub fn find(&self, key: &Key, token: Option<&str>, now: Duration) -> Result<Arc<ImportKey>> {
        let of = self.of.lock();
        let pending = of.get(&key.id).filter(|pending| pending.is_valid(now));
        let why = match pending {
            Some(pending) if token.is_none_or(|token| token == pending.token) => {
                return Ok(Arc::clone(&pending.key));
            }
            Some(_) => "another import key has been made since for",
            None => "there is no valid import key of",
        };
        let alias = &key.alias;
        Err(Error::new(ErrorKind::WrongStatus, format!("{why} key \"{alias}\"")).remedy(format!(
            "evsfs key import-parameters {alias} > import.pem, and wrap the material under that"
        )))
    }

    /// Ends the import key of a master key.
    pub fn forget(&self, id: KeyId) {
        self.of.lock().remove(&id);
    }
}

impl Kms {
    /// Makes a one-time key pair under which material for `alias` can be sent in, in place of the
    /// one before, if any. Takes about a second.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `wrong-status` with KMS.0309 when the key is not external, KMS.0310
    /// when it does not wait for material; `quota` when memory cannot be locked.
    pub fn make_import_parameters(&self, alias: &Alias) -> Result<ImportParameters> {
        self.deadlines.observe();
        self.recorded(AuditEvent::GetParametersForImport, |recording| {
            recording.of_alias(alias);
            let id = self.importable(self.ring.find(alias)?.id)?.id;
            let key = Arc::new(ImportKey::generate()?);
            let (made, now) = (self.deadlines.monotonic(), self.deadlines.now());
            let pending = Pending {
                key,
                token: uuid::Uuid::new_v4().to_string(),
                made,
                valid_until: now.checked_add(VALIDITY).unwrap_or(now),
            };
            recording.allow()?;
            let mut of = self.import_keys.of.lock();
            of.retain(|_, other| other.is_valid(made));
            of.insert(id, pending);
            drop(of);
            log::info!("event=import-key-made key={id}");
            self.import_parameters(id).ok_or_else(|| Key::gone(format!("key \"{alias}\"")))
        })
    }

    /// The import key that was made for a master key, while it can be used.
    pub fn import_parameters(&self, id: KeyId) -> Option<ImportParameters> {
        let alias = self.ring.get(id)?.alias;
        let of = self.import_keys.of.lock();
        let pending = of.get(&id).filter(|pending| pending.is_valid(self.deadlines.monotonic()))?;
        Some(ImportParameters {
            alias,
            algorithm: ImportKey::ALGORITHM,
            public_key: pending.key.public_key().to_owned(),
            token: pending.token.clone(),
            valid_until: pending.valid_until,
        })
    }
}
