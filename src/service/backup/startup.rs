//! Backups of the last daemon.

use super::catalogue::BackupEntry;
use super::create::SPILL;
use super::record::{BackupRecord, BackupStage};
use super::status::BackupStatus;
use crate::error::{Error, ErrorKind, Result};
use crate::id::BackupId;
use crate::service::Service;
use std::sync::Arc;

impl Service {
    /// Reads all backups and ends what a crash left half-done. One whose record is damaged is left
    /// out and logged.
    ///
    /// # Errors
    /// `io` when the state directory cannot be read.
    pub(in crate::service) fn load_backups(&self) -> Result<()> {
        for name in self.records.list(&BackupRecord::directory()?)? {
            if let Err(error) = self.load_backup(&name) {
                self.leave_out("backup", &name, &error);
            }
        }
        Ok(())
    }

    fn load_backup(&self, directory: &str) -> Result<()> {
        let id = BackupId::parse(directory)?;
        let path = BackupRecord::path_of(id)?;
        let Some(record) = self.records.load::<BackupRecord>(&path)? else {
            // Not begun, or deleted: then nothing is in it.
            return std::fs::remove_dir(self.place_of_backup(id)).map_err(|cause| {
                let message = format!("{path} is missing beside the backup's files");
                Error::new(ErrorKind::Integrity, message)
                    .remedy("put the record back from a copy of the state directory")
                    .caused_by(cause)
            });
        };
        let mut record = record.check()?;
        if record.id != id {
            let message = format!("{path} is the record of another backup");
            return Err(Error::new(ErrorKind::Integrity, message));
        }
        match record.stage {
            BackupStage::Creating | BackupStage::Deleting => {
                log::info!("event=unfinished-removed backup={id}");
                return self.remove_backup_files(id);
            }
            BackupStage::Merging => self.tidy_backup(&mut record),
            BackupStage::Ready => {}
        }
        // Only there when the crash came between its making and its removal.
        let _ = std::fs::remove_file(self.place_of_backup(id).join(SPILL));
        self.backups.add(Arc::new(BackupEntry::new(record, BackupStatus::Available)))
    }

    /// Removes what a merge that was killed has left. What cannot be removed now harms nobody.
    fn tidy_backup(&self, record: &mut BackupRecord) {
        let entry = BackupEntry::new(record.clone(), BackupStatus::Available);
        let tidied = self.open_archive(&entry).and_then(|archive| archive.tidy()).and_then(|()| {
            record.stage = BackupStage::Ready;
            self.save_backup(record)
        });
        if let Err(error) = tidied {
            log::warn!("event=backup-not-tidy backup={} error=\"{error}\"", record.id);
        }
    }
}
