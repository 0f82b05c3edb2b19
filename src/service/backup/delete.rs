//! Deleting a backup.

use super::catalogue::BackupEntry;
use super::held::archive_of;
use super::record::BackupStage;
use super::status::{BackupEvent, BackupStatus};
use crate::archive::merge_into_child;
use crate::auth::Permit;
use crate::error::Result;
use crate::service::{JobContext, JobKind, NewJob, Service, StartedJob};
use std::sync::Arc;

/// A deletion that has begun. Dropping it, also when the job is cancelled before it has begun, says
/// how it ended.
struct Deletion {
    entry: Arc<BackupEntry>,
    // Each takes over what the deleted one holds for it.
    children: Vec<Arc<BackupEntry>>,
    ending: Option<BackupEvent>,
}

impl Drop for Deletion {
    fn drop(&mut self) {
        self.children.iter().for_each(|child| child.end(BackupEvent::Merged));
        if let Some(event) = self.ending {
            self.entry.end(event);
        }
    }
}

impl Service {
    /// Begins to delete a backup: a job, since what is built upon it takes its content over first.
    pub(in crate::service) fn delete_backup(
        &self,
        permit: &Permit,
        entry: Arc<BackupEntry>,
        limit: Option<u64>,
    ) -> Result<StartedJob> {
        if entry.state().status == BackupStatus::Importing {
            return self.delete_import(permit, entry);
        }
        let children = self.backups.begin_deletion(&entry)?;
        let deletion = Deletion { entry, children, ending: Some(BackupEvent::Failed) };
        let new = NewJob {
            kind: JobKind::DeleteBackup,
            subject: deletion.entry.name().to_string(),
            total: None,
            limit,
        };
        let job = self.start_job(permit.caller(), new, move |service, context| {
            let entry = deletion.entry.clone();
            let outcome = service.merge_and_remove(deletion, context);
            service.note_end("delete", &entry, &outcome, context);
            outcome
        })?;
        Ok(StartedJob { job: job.id })
    }

    /// Refuses what [`Service::delete_backup`] would refuse, or its job before it changes anything;
    /// the backups that are built upon it.
    pub(in crate::service) fn check_backup_deletion(
        &self,
        entry: &BackupEntry,
    ) -> Result<Vec<Arc<BackupEntry>>> {
        if entry.state().status == BackupStatus::Importing {
            return Ok(Vec::new());
        }
        let children = self.backups.check_deletion(entry)?;
        if !children.is_empty() {
            self.open_archive(entry)?;
        }
        for child in &children {
            self.open_archive(child)?;
        }
        Ok(children)
    }

    /// Gives an import up; a job too, for the sake of those who wait for one.
    fn delete_import(&self, permit: &Permit, entry: Arc<BackupEntry>) -> Result<StartedJob> {
        let subject = entry.name().to_string();
        let new = NewJob { kind: JobKind::DeleteBackup, subject, total: None, limit: None };
        let job =
            self.start_job(permit.caller(), new, move |service, _| service.give_up_import(&entry))?;
        Ok(StartedJob { job: job.id })
    }

    fn merge_and_remove(&self, mut deletion: Deletion, context: &JobContext<'_>) -> Result<()> {
        let entry = deletion.entry.clone();
        let stored = archive_of(&entry)?.stored().get();
        context.set_total(stored.saturating_mul(deletion.children.len() as u64));
        for child in &deletion.children {
            self.merge_backup(child, &entry, context)?;
        }
        context.check()?;
        let mut record = entry.state().record.clone();
        record.stage = BackupStage::Deleting;
        // From here on a restart ends it.
        deletion.ending = Some(BackupEvent::Damaged);
        self.save_backup(&record)?;
        self.remove_backup_files(record.id)?;
        self.backups.remove(&entry);
        // Nobody sees a deleted backup any more.
        deletion.ending = None;
        self.tell_of_backup("backup.deleted", &entry);
        log::info!("event=backup-deleted backup={} name={}", entry.id(), entry.name());
        Ok(())
    }

    /// Moves what `parent` holds for `child` into it. A failure leaves both as they were.
    fn merge_backup(
        &self,
        child: &BackupEntry,
        parent: &BackupEntry,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let (into, from) = (self.open_archive(child)?, self.open_archive(parent)?);
        let mut record = child.state().record.clone();
        record.stage = BackupStage::Merging;
        self.save_backup(&record)?;
        let merged = merge_into_child(&into, &from, context);
        if let Ok(merged) = &merged {
            record.archive = Some(merged.record().clone());
            self.save_backup(&record)?;
            child.state().record = record.clone();
        }
        let outcome = merged.map(|merged| {
            // What is left harms nobody, and the next start removes it.
            if let Err(error) = merged.tidy() {
                log::warn!("event=backup-not-tidy backup={} error=\"{error}\"", child.id());
            }
        });
        record.stage = BackupStage::Ready;
        self.save_backup(&record)?;
        child.state().record = record;
        outcome
    }
}
