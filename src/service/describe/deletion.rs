//! What a deletion would do, told without doing it.

use crate::auth::{Action, Caller};
use crate::id::{BackupId, DiskId, Name};
use crate::service::{BackupEntry, DiskEntry, Service};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// A disk that would be deleted.
#[derive(Debug, Clone, Serialize)]
pub struct DiskDeletionInfo {
    /// Its id.
    pub id: DiskId,
    /// Its name.
    pub name: Name,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is ciphertext.
    pub encrypted: bool,
    /// Where its payload stays, when that was chosen with `--backing`: only the record goes, and with
    /// it the data key.
    pub payload_left: Option<PathBuf>,
    /// The backups of it that the caller may see, which stay, sorted.
    pub backups: Vec<Name>,
}

/// A backup that would be deleted.
#[derive(Debug, Clone, Serialize)]
pub struct BackupDeletionInfo {
    /// Its id.
    pub id: BackupId,
    /// Its name.
    pub name: Name,
    /// Bytes it holds itself; none for one that is being imported.
    pub stored: Option<u64>,
    /// The backups built upon it, which take over what they need of it and stay whole, sorted.
    pub children: Vec<Name>,
    /// The most bytes that are read and written for them.
    pub taken_over: u64,
}

impl Service {
    pub(in crate::service) fn describe_deletion(
        &self,
        caller: Caller,
        entry: &DiskEntry,
    ) -> DiskDeletionInfo {
        let record = entry.state().record.clone();
        let mut backups = self.backups.all();
        backups.retain(|backup| {
            backup.state().record.disk == entry.id()
                && self.authority.allows(caller, Action::UseObject { owner: backup.owner() })
        });
        DiskDeletionInfo {
            id: entry.id(),
            name: entry.name().clone(),
            size: record.size().get(),
            encrypted: record.is_encrypted(),
            payload_left: record.backing.as_ref().map(|_| self.payloads.path_of(&record)),
            backups: backups.iter().map(|backup| backup.name().clone()).collect(),
        }
    }

    pub(in crate::service) fn describe_backup_deletion(
        &self,
        entry: &BackupEntry,
        children: &[Arc<BackupEntry>],
    ) -> BackupDeletionInfo {
        let stored = entry.state().record.archive.as_ref().map(|archive| archive.stored().get());
        let mut names: Vec<Name> = children.iter().map(|child| child.name().clone()).collect();
        names.sort();
        BackupDeletionInfo {
            id: entry.id(),
            name: entry.name().clone(),
            stored,
            taken_over: stored.unwrap_or(0).saturating_mul(names.len() as u64),
            children: names,
        }
    }
}
