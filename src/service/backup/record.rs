//! What is remembered of a backup, at `backups/<id>/backup.toml`.

use crate::archive::ArchiveRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BackupId, DiskId, Name, Uid};
use crate::records::RecordPath;
use serde::{Deserialize, Serialize};

/// A backup's record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRecord {
    /// The backup's id.
    pub id: BackupId,
    /// The backup's name.
    pub name: Name,
    /// How far its making, merging or unmaking has got.
    pub stage: BackupStage,
    /// Of which disk.
    pub disk: DiskId,
    /// The disk's name at that time.
    pub disk_name: Name,
    /// Who owns it: the disk's owner.
    pub owner: Uid,
    /// When it was asked for.
    pub created: jiff::Timestamp,
    /// When it was imported, if it was: it is then not made of a disk here, and no backup is built
    /// upon it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub imported: Option<jiff::Timestamp>,
    /// Size of the disk in bytes.
    pub size: u64,
    /// The disk's encryption attribute (RULES P3).
    pub encrypted: bool,
    /// What the engines live by; there once the backup is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archive: Option<ArchiveRecord>,
}

/// How far a backup has got, so that a restart can end what a crash left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupStage {
    /// Being copied: nothing of it counts.
    Creating,
    /// Whole.
    Ready,
    /// Whole, and its deleted parent's content is moved into it.
    Merging,
    /// Its files may be gone already.
    Deleting,
}

impl BackupRecord {
    /// Where all backups lie.
    pub fn directory() -> Result<RecordPath> {
        RecordPath::parse("backups")
    }

    /// Where a backup's record lies.
    ///
    /// # Errors
    /// None in practice: ids make valid paths.
    pub fn path_of(id: BackupId) -> Result<RecordPath> {
        RecordPath::parse(&format!("backups/{id}/backup.toml"))
    }

    /// Checks what the type system cannot: a whole backup has an archive of its size and kind.
    ///
    /// # Errors
    /// `integrity`, naming the backup.
    pub fn check(self) -> Result<BackupRecord> {
        let is_sound = match (&self.archive, self.stage) {
            (None, stage) => stage == BackupStage::Creating,
            (Some(archive), _) => {
                archive.size().get() == self.size && archive.is_encrypted() == self.encrypted
            }
        };
        if is_sound {
            return Ok(self);
        }
        let message = format!("the record of backup {} contradicts itself", self.id);
        Err(Error::new(ErrorKind::Integrity, message).remedy("evsfs check"))
    }
}
