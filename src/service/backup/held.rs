//! A chain of backups that somebody reads.

use super::catalogue::BackupEntry;
use super::create::SPILL;
use super::record::BackupRecord;
use crate::archive::{Archive, ArchiveRecord, Chain};
use crate::error::{Error, ErrorKind, Result};
use crate::id::BackupId;
use crate::service::Service;
use crate::service::archive_home::ArchiveHome;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A backup and all it is built upon. Until this is dropped none of them is deleted or merged.
pub(super) struct HeldChain {
    // Never empty; the newest first.
    members: Vec<Arc<BackupEntry>>,
}

impl HeldChain {
    /// How many backups it has.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The backup whose content it is.
    pub fn newest(&self) -> &BackupEntry {
        &self.members[0]
    }
}

impl Drop for HeldChain {
    fn drop(&mut self) {
        self.members.iter().for_each(|entry| entry.release());
    }
}

impl Service {
    /// Holds a backup and all it is built upon.
    ///
    /// # Errors
    /// `wrong-status` when one of them is being made, merged or deleted; `integrity`.
    pub(super) fn hold_backup(&self, newest: &Arc<BackupEntry>, verb: &str) -> Result<HeldChain> {
        self.backups.hold(newest, verb).map(|members| HeldChain { members })
    }

    /// Opens a chain, whose records must be the ones known here.
    ///
    /// # Errors
    /// `integrity`, naming the file; `io`.
    pub(super) fn open_chain(&self, held: &HeldChain) -> Result<Chain> {
        let members: Result<Vec<_>> =
            held.members.iter().map(|entry| self.open_archive(entry)).collect();
        Chain::open(members?)
    }

    /// Opens one backup.
    pub(super) fn open_archive(&self, entry: &BackupEntry) -> Result<Archive> {
        self.records.verify(&BackupRecord::path_of(entry.id())?)?;
        Archive::open(&self.place_of_backup(entry.id()), archive_of(entry)?)
    }

    /// The directory of a backup.
    pub(super) fn place_of_backup(&self, id: BackupId) -> PathBuf {
        place_of(&self.settings.state_dir, id)
    }

    /// The directory of a backup, with all that may be in it.
    pub(super) fn home_of_backup(&self, id: BackupId) -> Result<ArchiveHome> {
        home_of(&self.settings.state_dir, id)
    }
}

fn place_of(state_dir: &Path, id: BackupId) -> PathBuf {
    state_dir.join("backups").join(id.to_string())
}

pub(super) fn home_of(state_dir: &Path, id: BackupId) -> Result<ArchiveHome> {
    let record = BackupRecord::path_of(id)?;
    Ok(ArchiveHome { place: place_of(state_dir, id), record, scratch: SPILL })
}

/// What the engines need to know of a whole backup.
pub(super) fn archive_of(entry: &BackupEntry) -> Result<ArchiveRecord> {
    let archive = entry.state().record.archive.clone();
    archive.ok_or_else(|| {
        Error::new(ErrorKind::Internal, format!("backup {} has no archive", entry.id()))
    })
}
