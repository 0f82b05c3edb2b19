//! Making a disk of a backup (RULES P2, P4).

use super::guard::Claim;
use super::held::{HeldChain, archive_of};
use crate::archive::{Sealing, reseal};
use crate::auth::Permit;
use crate::crypto::SectorCipher;
use crate::disk::{Access, Disk};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Name;
use crate::kms::Kms;
use crate::service::payload::Existing;
use crate::service::{
    DiskEntry, DiskRecord, DiskStatus, JobContext, JobKind, NewDisk, NewJob, Reply, Service, Stage,
    StartedJob, create::check_size,
};
use crate::units::SectorSize;
use std::sync::Arc;

impl Service {
    /// Begins to make a disk of a backup: a job. What can be refused is refused before it begins.
    ///
    /// Its encryption is chosen freely (RULES P2). Where nothing is said it is encrypted if the
    /// backup is, or if the project's default says so.
    pub(in crate::service) fn create_disk_from_backup(
        &self,
        permit: Permit,
        new: NewDisk,
        backup: &Name,
    ) -> Result<Reply> {
        let caller = permit.caller();
        let (backup, _permit) = self.usable_backup(caller, backup)?;
        if new.backing.is_some() || new.sector_size.is_some() {
            let message = "a disk made of a backup has its sector size, and a payload of its own";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .remedy("leave out --sector-size and --backing"));
        }
        let held = self.hold_backup(&backup, "restore")?;
        let archive = archive_of(&backup)?;
        let (sector_size, size) = (archive.sector_size(), new.size.unwrap_or(archive.size()));
        check_size(size, sector_size)?;
        if size < archive.size() {
            let (name, needs) = (backup.name().as_str(), archive.size());
            let message = format!("a disk of {size} is too small for backup {name:?} of {needs}");
            return Err(Error::new(ErrorKind::Invalid, message)
                .code(Code::EVS_1010)
                .remedy("leave out --size, or choose a larger one"));
        }
        let encrypted = new.encrypted.unwrap_or_else(|| {
            archive.is_encrypted() || new.key.is_some() || self.encrypts_by_default()
        });
        if !encrypted && let Some(key) = &new.key {
            let message =
                format!("key {:?} was named for a disk that is not encrypted", key.as_str());
            return Err(Error::new(ErrorKind::Invalid, message)
                .remedy("say --encrypted, or leave out --key"));
        }
        let kms = self.kms_for(caller);
        if encrypted || archive.is_encrypted() {
            self.require_agency(caller)?;
        }
        if let Some(sealing) = archive.sealing() {
            kms.require_usable(sealing.dk.key).map_err(|cause| unreadable(backup.name(), cause))?;
        }
        let now = self.clock.now();
        let mut record = DiskRecord::new(new.name, size, sector_size, caller.uid(), now);
        record.source = Some(format!("backup:{}", backup.name()));
        let entry = Arc::new(DiskEntry::new(record.clone(), DiskStatus::RestoringBackup));
        self.catalogue.add(entry.clone())?;
        let claim = Claim::new(&self.itself()?, entry);
        if encrypted {
            record.seal_with(self.dk_for(&kms, new.key.as_ref(), &record)?);
            claim.entry().state().record = record.clone();
        }
        let job = NewJob {
            kind: JobKind::DiskCreate,
            subject: format!("{} to {}", backup.name(), record.name),
            total: None,
            limit: new.limit,
        };
        let job = self.start_job(caller, job, move |service, context| {
            service.restore(&kms, &held, record, claim, context)
        })?;
        Ok(Reply::Started(StartedJob { job: job.id }))
    }

    fn restore(
        &self,
        kms: &Kms,
        held: &HeldChain,
        mut record: DiskRecord,
        claim: Claim<DiskEntry>,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let filled = self.fill(kms, held, &mut record, context);
        let entry = claim.entry().clone();
        if let Err(error) = filled {
            if !self.unmake(&record) {
                // Its record may say that it is ready, and the next start will believe it.
                record.error = Some(format!("it could not be restored, nor removed: {error}"));
                entry.not_restored(record);
                claim.keep();
            }
            return Err(error);
        }
        log::info!("disk={} name={} restored", record.id, record.name);
        entry.restored(record);
        claim.keep();
        self.tell_of_disk("disk.created", &entry);
        Ok(())
    }

    fn fill(
        &self,
        kms: &Kms,
        held: &HeldChain,
        record: &mut DiskRecord,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let chain = self.open_chain(held)?;
        context.set_total(chain.content().get());
        let source = held.newest().name();
        let sealing = chain.newest().record().sealing();
        let opener = self
            .cipher_of(kms, sealing, chain.sector_size())
            .map_err(|cause| unreadable(source, cause))?;
        let own = record.dk.clone().map(|dk| Sealing { disk: record.id, dk });
        let sealer = self.cipher_of(kms, own.as_ref(), record.sector_size())?;
        // The record comes first: a restart then knows that what it finds was never finished.
        self.save(record)?;
        self.payloads.create(record, Existing::Keep)?;
        let payload = self.payloads.open(record, Access::ReadWrite)?;
        let disk = Disk::open(payload, sealer, record.size(), Access::ReadWrite)?;
        reseal(&chain, &opener, &disk, context)?;
        disk.revoke();
        record.stage = Stage::Ready;
        self.save(record)
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
