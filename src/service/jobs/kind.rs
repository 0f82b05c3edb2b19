//! What jobs there are.

use serde::{Deserialize, Serialize};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Wraps all data keys by the newest versions of their master keys.
    RewrapAll,
    /// Makes a disk from a backup or an image.
    DiskCreate,
    /// Seals what a disk has never been written.
    Materialize,
    /// Makes an image of a disk.
    ImageCreate,
    /// Makes an image of what was written to it.
    ImageImport,
    /// Makes an image of another.
    ImageCopy,
    /// Makes a server with its disks.
    ServerCreate,
    /// Copies a disk.
    Backup,
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
    /// Data keys.
    Keys,
}

impl JobKind {
    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            JobKind::RewrapAll => "rewrap-all",
            JobKind::DiskCreate => "disk-create",
            JobKind::Materialize => "materialize",
            JobKind::ImageCreate => "image-create",
            JobKind::ImageImport => "image-import",
            JobKind::ImageCopy => "image-copy",
            JobKind::ServerCreate => "server-create",
            JobKind::Backup => "backup",
            JobKind::VerifyBackup => "verify-backup",
            JobKind::DeleteBackup => "delete-backup",
        }
    }

    /// What its progress, its rate and its limit count.
    pub const fn unit(self) -> JobUnit {
        match self {
            JobKind::RewrapAll => JobUnit::Keys,
            JobKind::DiskCreate
            | JobKind::Materialize
            | JobKind::ImageCreate
            | JobKind::ImageImport
            | JobKind::ImageCopy
            | JobKind::ServerCreate
            | JobKind::Backup
            | JobKind::VerifyBackup
            | JobKind::DeleteBackup => JobUnit::Bytes,
        }
    }

    /// Whether it can begin anew after the daemon has ended, with the same outcome.
    pub const fn resumes(self) -> bool {
        match self {
            JobKind::RewrapAll | JobKind::Materialize => true,
            JobKind::DiskCreate
            | JobKind::ImageCreate
            | JobKind::ImageImport
            | JobKind::ImageCopy
            | JobKind::ServerCreate
            | JobKind::Backup
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
            JobUnit::Keys => "keys",
        }
    }
}
