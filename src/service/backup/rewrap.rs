//! Wrapping the data key of a backup by the newest version of its master key (RULES K5).

use super::catalogue::BackupEntry;
use super::record::BackupRecord;
use super::status::BackupEvent;
use crate::auth::Permit;
use crate::error::{ErrorKind, Result};
use crate::service::Service;
use std::sync::Arc;

/// The time in which the record is replaced. Dropping it ends that time.
struct Rewrapping<'a>(&'a BackupEntry);

impl Drop for Rewrapping<'_> {
    fn drop(&mut self) {
        self.0.end(BackupEvent::Rewrapped);
    }
}

impl Service {
    /// Replaces the wrapped data key in the backup's record. Neither its data nor the key itself
    /// change, so what is built upon it notices nothing.
    ///
    /// # Errors
    /// `wrong-status`, `in-use` while it is worked on or read; those of the KMS with EVS.2040.
    pub(in crate::service) fn rewrap_backup(
        &self,
        permit: &Permit,
        entry: &Arc<BackupEntry>,
    ) -> Result<()> {
        match self.backups.begin_rewrap(entry) {
            Err(refusal) if refusal.kind() == ErrorKind::InUse => {
                return self.busy_rewrap(entry.state().record.archive.as_ref(), refusal);
            }
            begun => begun?,
        }
        let _rewrapping = Rewrapping(entry);
        self.records.verify(&BackupRecord::path_of(entry.id())?)?;
        let mut record = entry.state().record.clone();
        let Some(archive) = &record.archive else { return Ok(()) };
        let rewrapped = self.rewrap_archive(permit.caller(), entry.name(), archive)?;
        if rewrapped.is_none() {
            return Ok(());
        }
        record.archive = rewrapped;
        self.save_backup(&record)?;
        entry.state().record = record;
        log::info!("event=backup-rewrapped backup={} name={}", entry.id(), entry.name());
        Ok(())
    }
}
