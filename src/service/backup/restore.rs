//! Making a disk of a backup (RULES P2, P4).

use super::catalogue::BackupEntry;
use super::held::{HeldChain, archive_of};
use crate::auth::{Caller, Permit};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Name;
use crate::service::fill::UnfilledDisk;
use crate::service::{JobContext, JobKind, NewDisk, NewJob, Service, StartedJob};
use std::sync::Arc;

impl Service {
    /// Begins to make a disk of a backup: a job. What can be refused is refused before it begins.
    /// The disk is encrypted as the request says, whatever the backup is; when it does not say, as
    /// the backup if that is encrypted, else as the project's default says.
    pub(in crate::service) fn restore_disk(
        &self,
        permit: &Permit,
        backup: &Arc<BackupEntry>,
        mut request: NewDisk,
    ) -> Result<StartedJob> {
        let caller = permit.caller();
        let held = self.hold_backup(backup, "restore")?;
        let archive = archive_of(backup)?;
        request.sector_size.get_or_insert(archive.sector_size());
        let size = *request.size.get_or_insert(archive.size());
        if size < archive.size() {
            let (name, needs) = (backup.name().as_str(), archive.size());
            let message = format!("a disk of {size} is too small for backup {name:?} of {needs}");
            return Err(Error::new(ErrorKind::Invalid, message)
                .code(Code::EVS_1010)
                .remedy("leave out --size, or choose a larger one"));
        }
        let default = archive.is_encrypted() || request.key.is_some() || self.encrypts_by_default();
        request.encrypted.get_or_insert(default);
        if let Some(sealing) = archive.sealing() {
            self.require_agency(caller)?;
            self.kms_for(caller).require_usable(sealing.dk.key).map_err(|cause| {
                Error::new(cause.kind(), unread(backup.name()))
                    .code(Code::EVS_2040)
                    .caused_by(cause)
            })?;
        }
        let job = NewJob {
            kind: JobKind::DiskCreate,
            subject: request.name.to_string(),
            total: None,
            limit: request.limit,
        };
        let new = self.unfilled_disk(caller, &request)?;
        let job = self.start_job(caller, job, move |service, context| {
            let entry = held.newest();
            let name = new.record.name.clone();
            let outcome = service.fill_from_backup(caller, &held, new, context);
            service.note_end("restore", entry, &outcome, context);
            if outcome.is_ok() {
                service.tell_of_restored_backup(entry, &name);
            }
            outcome
        })?;
        Ok(StartedJob { job: job.id })
    }

    fn fill_from_backup(
        &self,
        caller: Caller,
        held: &HeldChain,
        new: UnfilledDisk,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let chain = self.open_chain(held)?;
        context.set_total(chain.content().get());
        let (dk, sector_size) = (chain.newest().record().bound_dk(), chain.sector_size());
        let opener = self.open_cipher(caller, dk, sector_size, &|| unread(held.newest().name()))?;
        self.fill_disk(caller, new, (&chain, &opener), context).map(drop)
    }
}

fn unread(backup: &Name) -> String {
    format!("backup {:?} cannot be opened", backup.as_str())
}
