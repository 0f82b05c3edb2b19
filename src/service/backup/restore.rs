//! Making a disk of a backup (RULES P2, P4).

use super::catalogue::BackupEntry;
use super::held::archive_of;
use crate::archive::Sealing;
use crate::auth::Permit;
use crate::crypto::SectorCipher;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Name;
use crate::kms::Kms;
use crate::service::{JobKind, NewDisk, NewJob, Service, StartedJob};
use crate::units::SectorSize;
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
        let kms = self.kms_for(caller);
        if let Some(sealing) = archive.sealing() {
            self.require_agency(caller)?;
            kms.require_usable(sealing.dk.key).map_err(|cause| unreadable(backup.name(), cause))?;
        }
        let job = NewJob {
            kind: JobKind::DiskCreate,
            subject: request.name.to_string(),
            total: None,
            limit: request.limit,
        };
        let new = self.unfilled_disk(caller, &request)?;
        let job = self.start_job(caller, job, move |service, context| {
            let chain = service.open_chain(&held)?;
            context.set_total(chain.content().get());
            let sealing = chain.newest().record().sealing();
            let opener = service
                .cipher_of(&kms, sealing, chain.sector_size())
                .map_err(|cause| unreadable(held.newest().name(), cause))?;
            service.fill_disk(caller, new, (&chain, &opener), context).map(drop)
        })?;
        Ok(StartedJob { job: job.id })
    }

    fn cipher_of(
        &self,
        kms: &Kms,
        sealing: Option<&Sealing>,
        sector: SectorSize,
    ) -> Result<SectorCipher> {
        let Some(Sealing { disk, dk }) = sealing else { return Ok(SectorCipher::null(sector)) };
        SectorCipher::xts_aes_256(kms.open_dk(dk, *disk, sector)?, sector, self.settings.kernel)
    }
}

fn unreadable(backup: &Name, cause: Error) -> Error {
    let message = format!("backup {:?} cannot be opened", backup.as_str());
    Error::new(cause.kind(), message).code(Code::EVS_2040).caused_by(cause)
}
