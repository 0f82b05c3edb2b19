//! What commands answer: the same objects in JSON, in control files and in tables.

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Alias, DiskId, KeyId, Name, Uid};
use crate::kms::{AuditEntry, AuditReport, ImportParameters};
use serde::Serialize;

/// The answer to a command, serialised without a tag: an object, an array, or `{}`.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// One disk.
    Disk(DiskInfo),
    /// Disks, sorted by name.
    Disks(Vec<DiskInfo>),
    /// One key.
    Key(KeyInfo),
    /// Keys, the default key first.
    Keys(Vec<KeyInfo>),
    /// What a customer needs to wrap key material.
    ImportParameters(ImportParametersInfo),
    /// The agency.
    Agency(AgencyInfo),
    /// Entries of the audit log.
    Audit(Vec<AuditEntry>),
    /// Whether the audit log is whole.
    AuditReport(AuditReport),
    /// The default encryption.
    DefaultEncryption(DefaultEncryptionInfo),
    /// The mount.
    Status(Box<StatusInfo>),
    /// Nothing to tell.
    Done(Empty),
}

/// An answer without content.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Empty {}

/// A disk; the fields are the files of its control directory.
#[derive(Debug, Clone, Serialize)]
pub struct DiskInfo {
    /// Its id for life.
    pub id: DiskId,
    /// Its name.
    pub name: Name,
    /// Its status.
    pub status: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is encrypted, for life.
    pub encrypted: bool,
    /// The alias of its master key, or the key's id when the key is gone.
    pub key: Option<String>,
    /// `enabled`, `disabled`, `pending-deletion`, `pending-import`, `gone` or `damaged`.
    pub key_state: Option<&'static str>,
    /// The version of the master key that wraps its data key.
    pub key_version: Option<u32>,
    /// The sector size in bytes.
    pub sector_size: u64,
    /// The uid of its owner.
    pub owner: Uid,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Whether it is a file in the mount.
    pub attached: bool,
    /// Whether it is attached for reading only.
    pub read_only: bool,
    /// What it was made from.
    pub source: Option<String>,
    /// The server it belongs to.
    pub server: Option<Name>,
    /// Why it is not usable, or was not attached again.
    pub error: Option<String>,
}

/// A key; the fields are the files of its control directory.
#[derive(Debug, Clone, Serialize)]
pub struct KeyInfo {
    /// Its id.
    pub id: KeyId,
    /// Its alias; its id when it is damaged.
    pub alias: Alias,
    /// `enabled`, `disabled`, `pending-deletion` or `pending-import`; `damaged` when its record cannot
    /// be used, and then the description says why.
    pub state: &'static str,
    /// `kms` or `external`; `unknown` when it is damaged.
    pub origin: &'static str,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it will be destroyed, RFC 3339.
    pub deletion_date: Option<String>,
    /// The newest version.
    pub version: u32,
    /// `off`, or the interval in days.
    pub rotation: String,
    /// When the next automatic rotation is due, RFC 3339.
    pub rotation_date: Option<String>,
    /// When imported material is given up, RFC 3339.
    pub expiry_date: Option<String>,
    /// Every version, the oldest first.
    pub versions: Vec<VersionInfo>,
    /// Its description.
    pub description: String,
    /// Until when its destruction waits, RFC 3339: the deletion date has passed by a clock that is
    /// in doubt (RULES K10).
    pub deletion_waits_until: Option<String>,
    /// The disks under it that the caller may see.
    pub disks: Vec<Name>,
    /// Those of them that are attached.
    pub attached_disks: Vec<Name>,
    /// How many more disks are under it; none for a caller who may not know, who manages no keys.
    pub foreign_disks: Option<usize>,
}

/// A version of a key.
#[derive(Debug, Clone, Serialize)]
pub struct VersionInfo {
    /// Its number, counted from 1.
    pub version: u32,
    /// When it got its material, RFC 3339.
    pub created: String,
    /// How many disks have their data key wrapped by it: all, for those who manage keys; for
    /// others, of those they may see.
    pub disks: usize,
}

/// What a customer needs to wrap key material.
#[derive(Debug, Clone, Serialize)]
pub struct ImportParametersInfo {
    /// The key the material is for.
    pub alias: Alias,
    /// How to wrap.
    pub algorithm: &'static str,
    /// Under what: PEM, SubjectPublicKeyInfo.
    pub public_key: String,
    /// Names this import key; no secret.
    pub token: String,
    /// Until when it can be used, RFC 3339; the end of the daemon ends it too.
    pub valid_until: String,
}

impl From<ImportParameters> for ImportParametersInfo {
    fn from(made: ImportParameters) -> Self {
        let ImportParameters { alias, algorithm, public_key, token, valid_until } = made;
        let valid_until = shown_time(valid_until);
        ImportParametersInfo { alias, algorithm, public_key, token, valid_until }
    }
}

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

/// The whole mount.
#[derive(Debug, Clone, Serialize)]
pub struct StatusInfo {
    /// Where it is mounted.
    pub mountpoint: String,
    /// Where its state lies.
    pub state_dir: String,
    /// The program's version.
    pub version: &'static str,
    /// The daemon's process id.
    pub pid: u32,
    /// When the daemon started, RFC 3339.
    pub started: String,
    /// The agency's name, where there is one.
    pub agency: Option<&'static str>,
    /// The configured region.
    pub region: String,
    /// The configured project.
    pub project: String,
    /// The disks the caller may see.
    pub disks: Vec<DiskInfo>,
    /// The keys.
    pub keys: Vec<KeyInfo>,
}

impl Reply {
    /// The answer `{}`.
    pub const DONE: Reply = Reply::Done(Empty {});

    /// The answer as one line of JSON.
    ///
    /// # Errors
    /// `internal`, should it not be expressible.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|cause| {
            Error::new(ErrorKind::Internal, "writing an answer as JSON").caused_by(cause)
        })
    }
}

/// A moment as answers show it: RFC 3339, whole seconds, UTC.
pub(super) fn shown_time(moment: jiff::Timestamp) -> String {
    jiff::Timestamp::from_second(moment.as_second()).unwrap_or(moment).to_string()
}
