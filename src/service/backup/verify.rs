//! Checking a backup, and who may see which.

use super::catalogue::BackupEntry;
use crate::archive::verify;
use crate::auth::{Action, Caller, Permit};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BackupId, Name};
use crate::service::{JobKind, NewJob, Service, StartedJob};
use std::sync::Arc;

impl Service {
    /// Begins to read a backup and all it is built upon against their digests: a job, without any
    /// key.
    pub(in crate::service) fn verify_backup(
        &self,
        permit: &Permit,
        entry: &Arc<BackupEntry>,
        limit: Option<u64>,
    ) -> Result<StartedJob> {
        let held = self.hold_backup(entry, "verify")?;
        let subject = entry.name().to_string();
        let new = NewJob { kind: JobKind::VerifyBackup, subject, total: None, limit };
        let job = self.start_job(permit.caller(), new, move |service, context| {
            let entry = held.newest();
            let outcome = service.open_chain(&held).and_then(|chain| {
                context.set_total(chain.stored().get());
                verify(&chain, context).map(drop)
            });
            service.note_end("verify", entry, &outcome, context);
            if outcome.is_ok() {
                entry.state().error = None;
                service.tell_of_backup("backup.verified", entry);
            }
            outcome
        })?;
        Ok(StartedJob { job: job.id })
    }

    /// The backup of that name, if the caller may use it.
    ///
    /// # Errors
    /// `not-found`, also for the backup of another owner (RULES A7); `denied` for strangers.
    pub(in crate::service) fn usable_backup(
        &self,
        caller: Caller,
        name: &Name,
    ) -> Result<(Arc<BackupEntry>, Permit)> {
        let _known = self.permit(caller, Action::EnterControl)?;
        let missing = || {
            let message = format!("there is no backup named {:?}", name.as_str());
            Error::new(ErrorKind::NotFound, message).remedy("evsfs backup list")
        };
        let entry = self.backups.by_name(name).ok_or_else(missing)?;
        match self.permit(caller, Action::UseObject { owner: entry.owner() }) {
            Ok(permit) => Ok((entry, permit)),
            Err(refusal) if refusal.kind() == ErrorKind::NotFound => Err(missing()),
            Err(refusal) => Err(refusal),
        }
    }

    /// All backups a caller may see, sorted by name.
    pub fn visible_backups(&self, caller: Caller) -> Vec<Arc<BackupEntry>> {
        let mut entries = self.backups.all();
        entries.retain(|entry| self.sees_backup(caller, entry));
        entries
    }

    /// The backup with this id, if the caller may see it.
    pub fn visible_backup(&self, caller: Caller, id: BackupId) -> Option<Arc<BackupEntry>> {
        self.backups.by_id(id).filter(|entry| self.sees_backup(caller, entry))
    }

    /// The backup with this name, if the caller may see it.
    pub fn visible_backup_named(&self, caller: Caller, name: &Name) -> Option<Arc<BackupEntry>> {
        self.backups.by_name(name).filter(|entry| self.sees_backup(caller, entry))
    }

    fn sees_backup(&self, caller: Caller, entry: &BackupEntry) -> bool {
        self.authority.allows(caller, Action::UseObject { owner: entry.owner() })
    }
}
