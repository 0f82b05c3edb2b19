//! What jobs there are.

use serde::{Deserialize, Serialize};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Wraps the data keys of disks by the newest versions of their master keys.
    RewrapAll,
    /// Copies a disk.
    Backup,
    /// Makes a disk of a backup.
    RestoreBackup,
    /// Reads a backup against its digests.
    VerifyBackup,
    /// Removes a backup, once what is built upon it holds what it needs.
    DeleteBackup,
}

/// What a job counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobUnit {
    /// Bytes.
    Bytes,
    /// Disks.
    Disks,
}

impl JobKind {
    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            JobKind::RewrapAll => "rewrap-all",
            JobKind::Backup => "backup",
            JobKind::RestoreBackup => "restore-backup",
            JobKind::VerifyBackup => "verify-backup",
            JobKind::DeleteBackup => "delete-backup",
        }
    }

    /// What its progress, its rate and its limit count.
    pub const fn unit(self) -> JobUnit {
        match self {
            JobKind::RewrapAll => JobUnit::Disks,
            JobKind::Backup
            | JobKind::RestoreBackup
            | JobKind::VerifyBackup
            | JobKind::DeleteBackup => JobUnit::Bytes,
        }
    }

    /// Whether it can begin anew after the daemon has ended, with the same outcome.
    pub const fn resumes(self) -> bool {
        match self {
            JobKind::RewrapAll => true,
            JobKind::Backup
            | JobKind::RestoreBackup
            | JobKind::VerifyBackup
            | JobKind::DeleteBackup => false,
        }
    }
}

impl JobUnit {
    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            JobUnit::Bytes => "bytes",
            JobUnit::Disks => "disks",
        }
    }
}
