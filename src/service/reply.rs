//! What commands answer: the same objects in JSON, in control files and in tables.

use super::describe::{
    ActivityInfo, AgencyInfo, BackupDeletionInfo, BackupInfo, DataKeyInfo, DefaultEncryptionInfo,
    DiskDeletionInfo, DiskInfo, ImageInfo, ImportParametersInfo, JobInfo, KeyInfo, ServerInfo,
    StatusInfo,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::JobId;
use crate::kms::{AuditEntry, AuditReport};
use serde::Serialize;

/// The answer to a command, serialised without a tag: an object, an array, or `{}`.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// One disk.
    Disk(DiskInfo),
    /// A disk's data key, for who takes it out.
    DataKey(Box<DataKeyInfo>),
    /// What deleting a disk would do.
    DiskDeletion(Box<DiskDeletionInfo>),
    /// Disks, sorted by name.
    Disks(Vec<DiskInfo>),
    /// One backup.
    Backup(Box<BackupInfo>),
    /// What deleting a backup would do.
    BackupDeletion(Box<BackupDeletionInfo>),
    /// Backups, sorted by name.
    Backups(Vec<BackupInfo>),
    /// One key.
    Key(KeyInfo),
    /// Keys, the default key first.
    Keys(Vec<KeyInfo>),
    /// What a customer needs to wrap key material.
    ImportParameters(ImportParametersInfo),
    /// One image.
    Image(ImageInfo),
    /// Images, sorted by name.
    Images(Vec<ImageInfo>),
    /// One server.
    Server(ServerInfo),
    /// Servers, sorted by name.
    Servers(Vec<ServerInfo>),
    /// The agency.
    Agency(AgencyInfo),
    /// Entries of the audit log.
    Audit(Vec<AuditEntry>),
    /// Whether the audit log is whole.
    AuditReport(AuditReport),
    /// One job.
    Job(Box<JobInfo>),
    /// Jobs, the newest last.
    Jobs(Vec<JobInfo>),
    /// Long work has begun, or waits for its turn.
    Started(StartedJob),
    /// The default encryption.
    DefaultEncryption(DefaultEncryptionInfo),
    /// The mount.
    Status(Box<StatusInfo>),
    /// What goes on in the mount.
    Activity(Box<ActivityInfo>),
    /// Nothing to tell.
    Done(Empty),
}

/// Long work that a command has begun.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StartedJob {
    /// The job's id.
    pub job: JobId,
}

/// An answer without content.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Empty {}

impl Reply {
    /// The answer `{}`.
    pub const DONE: Reply = Reply::Done(Empty {});

    /// Adds the answer as JSON to `text`, which has room for it from the start if it holds a key.
    ///
    /// # Errors
    /// `internal`, should it not be expressible.
    pub fn write_json(&self, text: &mut Vec<u8>) -> Result<()> {
        serde_json::to_writer(text, self).map_err(|cause| {
            Error::new(ErrorKind::Internal, "writing an answer as JSON").caused_by(cause)
        })
    }
}
