//! Backups.

use super::key::DAMAGED;
use super::time::shown_time;
use crate::error::ErrorKind;
use crate::id::{BackupId, Name, Uid};
use crate::service::{BackupEntry, BackupStatus, Service};
use serde::Serialize;

/// A backup; the fields are the files of its control directory.
#[derive(Debug, Clone, Serialize)]
pub struct BackupInfo {
    /// Its id for life.
    pub id: BackupId,
    /// Its name.
    pub name: Name,
    /// The name the disk had when it was made; not known while it is imported.
    pub disk: Option<Name>,
    /// Its status.
    pub status: &'static str,
    /// The size of the disk in bytes.
    pub size: u64,
    /// Bytes it holds itself, without those it is built upon.
    pub stored: Option<u64>,
    /// Whether it is ciphertext.
    pub encrypted: bool,
    /// The alias of the master key that opens it, or the key's id when the key is gone or damaged.
    pub key: Option<String>,
    /// As for disks.
    pub key_state: Option<&'static str>,
    /// The uid of its owner.
    pub owner: Uid,
    /// When it was asked for, RFC 3339.
    pub created: String,
    /// When it was imported, RFC 3339; none for one that was made here.
    pub imported: Option<String>,
    /// The backup it is built upon; none for a full one.
    pub parent: Option<Name>,
    /// All it is built upon, the newest first.
    pub chain: Vec<Name>,
    /// The damage that was found in it since the daemon started, until it is verified.
    pub error: Option<String>,
}

impl Service {
    /// A backup as replies and control files show it.
    pub fn describe_backup(&self, entry: &BackupEntry) -> BackupInfo {
        let (record, status, error) = {
            let state = entry.state();
            (state.record.clone(), state.status, state.error.clone())
        };
        let sealing = record.archive.as_ref().and_then(|archive| archive.sealing());
        let view = sealing.map(|sealing| (sealing.dk.key, self.kms.by_id(sealing.dk.key)));
        let chain = self.chain_of(entry);
        BackupInfo {
            id: record.id,
            name: record.name.clone(),
            disk: (status != BackupStatus::Importing).then(|| record.disk_name.clone()),
            status: status.name(),
            size: record.size,
            stored: record.archive.as_ref().map(|archive| archive.stored().get()),
            encrypted: record.encrypted,
            key: view.as_ref().map(|(id, view)| match view {
                Ok(view) => view.alias.to_string(),
                Err(_) => id.to_string(),
            }),
            key_state: view.as_ref().map(|(_, view)| match view {
                Ok(view) => view.state.name(),
                Err(error) if error.kind() == ErrorKind::KeyGone => "gone",
                Err(_) => DAMAGED,
            }),
            owner: record.owner,
            created: shown_time(record.created),
            imported: record.imported.map(shown_time),
            parent: chain.first().cloned(),
            chain,
            error,
        }
    }

    fn chain_of(&self, entry: &BackupEntry) -> Vec<Name> {
        let mut names = Vec::new();
        let mut parent = entry.parent();
        while let Some(next) = parent.and_then(|id| self.backups.by_id(id)) {
            names.push(next.name().clone());
            // A chain is never longer than this; a loop would be.
            parent = next.parent().filter(|_| names.len() < crate::archive::Chain::MAX_LEN);
        }
        names
    }
}
