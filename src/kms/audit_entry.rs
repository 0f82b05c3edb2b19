//! One entry of the audit log, and its line.
//!
//! A line is a JSON object that ends in its digest and a newline:
//!
//! | member | meaning |
//! |---|---|
//! | `seq` | 1 for the first entry, then one more each |
//! | `time` | the wall clock, RFC 3339 |
//! | `caller` | the uid on whose behalf it was done, or `evsfs` for the daemon's own doing |
//! | `event` | what was asked for, in the words of the service this project follows |
//! | `key`, `alias`, `disk` | what it was asked of, as far as there is one |
//! | `outcome` | `ok`: allowed, and about to take effect; else the code of the refusal or failure |
//! | `of` | the `seq` of the entry that said `ok`, of which this one says what became |
//! | `prev` | the digest of the entry before; 64 zeros in the first |
//! | `digest` | HMAC-SHA-256 under the record key over the log's path and the line up to here |

use crate::crypto::{from_hex, to_hex};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{DiskId, KeyId, Uid};
use crate::records::{RecordPath, Records};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The outcome of what was allowed.
pub(super) const OK: &str = "ok";
/// What stands before the first entry.
pub(super) const NO_DIGEST: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";
/// A longer line is none of ours.
pub(super) const MAX_LINE: usize = 4096;

const DIGEST_START: &str = ",\"digest\":\"";
const DIGEST_END: &str = "\"}\n";
const DIGEST_DIGITS: usize = NO_DIGEST.len();

/// Who makes the KMS do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Actor {
    /// The daemon, when a deadline or an interval has passed.
    Daemon,
    /// A user, whose uid the kernel vouches for.
    User(Uid),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Actor::Daemon => f.write_str("evsfs"),
            Actor::User(uid) => uid.fmt(f),
        }
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> String {
        actor.to_string()
    }
}

impl TryFrom<String> for Actor {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "evsfs" {
            return Ok(Actor::Daemon);
        }
        text.parse().map(|uid| Actor::User(Uid::new(uid)))
    }
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuditEvent {
    /// A log begins. Its outcome is not `ok` when there were keys before.
    StartAuditLog,
    /// A master key is made.
    CreateKey,
    /// A master key is enabled.
    EnableKey,
    /// A master key is disabled.
    DisableKey,
    /// A master key will be deleted.
    ScheduleKeyDeletion,
    /// A master key is kept.
    CancelKeyDeletion,
    /// The material of a master key is destroyed.
    DeleteKey,
    /// A master key gets another alias.
    UpdateKeyAlias,
    /// A master key gets another description.
    UpdateKeyDescription,
    /// A data key is made, wrapped.
    CreateDatakey,
    /// A data key is opened.
    DecryptDatakey,
    /// A data key is wrapped by the newest version.
    RewrapDatakey,
    /// A data key leaves evsfs in the clear.
    ExportDatakey,
    /// A data key comes from elsewhere in the clear, and is wrapped.
    ImportDatakey,
    /// A master key gets another version.
    RotateKey,
    /// A master key will be rotated by itself.
    EnableKeyRotation,
    /// A master key will no longer be rotated by itself.
    DisableKeyRotation,
    /// What material must be wrapped under to be imported.
    GetParametersForImport,
    /// Material comes from outside.
    ImportKeyMaterial,
    /// Material from outside is given up, or has expired.
    DeleteImportedKeyMaterial,
    /// All keys move to another HSM.
    MigrateHsm,
    /// The records of the state directory count as the newest, whatever they were before.
    AcceptRecords,
    /// EVS may use the KMS.
    CreateAgency,
    /// EVS may no longer use the KMS.
    DeleteAgency,
}

impl AuditEvent {
    /// Every event.
    pub const ALL: [AuditEvent; 24] = [
        AuditEvent::StartAuditLog,
        AuditEvent::CreateKey,
        AuditEvent::EnableKey,
        AuditEvent::DisableKey,
        AuditEvent::ScheduleKeyDeletion,
        AuditEvent::CancelKeyDeletion,
        AuditEvent::DeleteKey,
        AuditEvent::UpdateKeyAlias,
        AuditEvent::UpdateKeyDescription,
        AuditEvent::CreateDatakey,
        AuditEvent::DecryptDatakey,
        AuditEvent::RewrapDatakey,
        AuditEvent::ExportDatakey,
        AuditEvent::ImportDatakey,
        AuditEvent::RotateKey,
        AuditEvent::EnableKeyRotation,
        AuditEvent::DisableKeyRotation,
        AuditEvent::GetParametersForImport,
        AuditEvent::ImportKeyMaterial,
        AuditEvent::DeleteImportedKeyMaterial,
        AuditEvent::MigrateHsm,
        AuditEvent::AcceptRecords,
        AuditEvent::CreateAgency,
        AuditEvent::DeleteAgency,
    ];

    /// Its name in an entry.
    pub const fn name(self) -> &'static str {
        match self {
            AuditEvent::StartAuditLog => "startAuditLog",
            AuditEvent::CreateKey => "createKey",
            AuditEvent::EnableKey => "enableKey",
            AuditEvent::DisableKey => "disableKey",
            AuditEvent::ScheduleKeyDeletion => "scheduleKeyDeletion",
            AuditEvent::CancelKeyDeletion => "cancelKeyDeletion",
            AuditEvent::DeleteKey => "deleteKey",
            AuditEvent::UpdateKeyAlias => "updateKeyAlias",
            AuditEvent::UpdateKeyDescription => "updateKeyDescription",
            AuditEvent::CreateDatakey => "createDatakey",
            AuditEvent::DecryptDatakey => "decryptDatakey",
            AuditEvent::RewrapDatakey => "rewrapDatakey",
            AuditEvent::ExportDatakey => "exportDatakey",
            AuditEvent::ImportDatakey => "importDatakey",
            AuditEvent::RotateKey => "rotateKey",
            AuditEvent::EnableKeyRotation => "enableKeyRotation",
            AuditEvent::DisableKeyRotation => "disableKeyRotation",
            AuditEvent::GetParametersForImport => "getParametersForImport",
            AuditEvent::ImportKeyMaterial => "importKeyMaterial",
            AuditEvent::DeleteImportedKeyMaterial => "deleteImportedKeyMaterial",
            AuditEvent::MigrateHsm => "migrateHsm",
            AuditEvent::AcceptRecords => "acceptRecords",
            AuditEvent::CreateAgency => "createAgency",
            AuditEvent::DeleteAgency => "deleteAgency",
        }
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its place in the log, counted from 1.
    pub seq: u64,
    /// When it was written.
    pub time: Timestamp,
    /// Who made it happen.
    pub caller: Actor,
    /// What was asked for.
    pub event: AuditEvent,
    /// The master key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<KeyId>,
    /// Its alias at that moment, or the alias that was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alias: Option<String>,
    /// The disk.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disk: Option<DiskId>,
    /// `ok`, or the code of the refusal or failure.
    pub outcome: String,
    /// The entry that said `ok`, of which this one says what became.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub of: Option<u64>,
    /// The digest of the entry before.
    pub(super) prev: String,
    /// The digest.
    #[serde(skip_serializing, default)]
    pub(super) digest: String,
}

impl AuditEntry {
    /// The line of an entry, which gets its digest by that.
    pub(super) fn seal(&mut self, records: &Records, path: &RecordPath) -> Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self).map_err(|cause| {
            Error::new(ErrorKind::Internal, "writing an audit entry").caused_by(cause)
        })?;
        // The closing brace comes after the digest.
        line.pop();
        self.digest = to_hex(&records.tag(path, &line));
        for part in [DIGEST_START, &self.digest, DIGEST_END] {
            line.extend_from_slice(part.as_bytes());
        }
        Ok(line)
    }

    /// The entry in a line with a genuine digest; else why not.
    pub(super) fn open(
        line: &[u8],
        records: &Records,
        path: &RecordPath,
    ) -> Result<AuditEntry, &'static str> {
        const EDITED: &str = "was edited or damaged";
        let end = DIGEST_START.len() + DIGEST_DIGITS + DIGEST_END.len();
        let (body, digest) = line
            .len()
            .checked_sub(end)
            .and_then(|body| line.split_at_checked(body))
            .ok_or(EDITED)?;
        let digits = digest
            .strip_prefix(DIGEST_START.as_bytes())
            .and_then(|rest| rest.strip_suffix(DIGEST_END.as_bytes()))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .ok_or(EDITED)?;
        let tag = from_hex(digits).map_err(|_| EDITED)?;
        // The digits too: the same tag in capitals is not what was written.
        if !records.has_tag(path, body, &tag) || to_hex(&records.tag(path, body)) != digits {
            return Err(EDITED);
        }
        serde_json::from_slice(line).map_err(|_| "does not have the form it must have")
    }
}

#[cfg(test)]
mod tests {
    use super::AuditEvent;

    #[test]
    fn an_event_is_written_by_its_name() {
        for event in AuditEvent::ALL {
            assert_eq!(serde_json::to_value(event).unwrap(), event.name());
        }
    }
}
