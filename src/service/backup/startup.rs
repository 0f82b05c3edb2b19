//! Backups of the last daemon.

use super::catalogue::BackupEntry;
use super::check::load;
use super::record::{BackupRecord, BackupStage};
use super::status::BackupStatus;
use crate::error::Result;
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
        let home = self.home_of_backup(id)?;
        if home.is_bare(&self.records)? {
            log::info!("event=empty-directory-removed backup={id}");
            return home.remove(&self.records);
        }
        let mut record = load(&self.records, id)?;
        match record.stage {
            BackupStage::Creating | BackupStage::Deleting => {
                log::info!("event=unfinished-removed backup={id}");
                return self.remove_backup_files(id);
            }
            BackupStage::Merging => self.tidy_backup(&mut record),
            BackupStage::Ready => {}
        }
        // Only there when the crash came between its making and its removal.
        let _ = home.remove_scratch();
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
