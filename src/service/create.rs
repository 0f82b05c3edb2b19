//! Making a disk (RULES D2 to D4, D11 to D13).

use super::catalogue::DiskEntry;
use super::commands::{DiskSource, NewDisk};
use super::control_plane::Service;
use super::describe::DiskInfo;
use super::fill::UnfilledDisk;
use super::payload::Existing;
use super::record::{DiskRecord, Stage};
use super::reply::Reply;
use super::status::DiskStatus;
use crate::auth::{Action, Caller, Permit};
use crate::crypto::{Dk, WrappedDk};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::kms::Kms;
use crate::units::{ByteLen, SectorSize};
use std::sync::Arc;

/// The smallest disk (RULES D11).
pub(super) const MIN_SIZE: ByteLen = ByteLen::MIB;
/// The largest disk (RULES D11).
pub(super) const MAX_SIZE: ByteLen = ByteLen::new(64 * ByteLen::TIB.get());

impl Service {
    pub(super) fn create_disk(&self, permit: Permit, request: NewDisk) -> Result<Reply> {
        match request.from.clone() {
            None => self.create_empty_disk(permit, request).map(Reply::Disk),
            Some(DiskSource::Image(image)) => self.create_disk_from_image(permit, request, &image),
            Some(DiskSource::Backup(backup)) => {
                let (backup, permit) = self.usable_backup(permit.caller(), &backup)?;
                self.restore_disk(&permit, &backup, request).map(Reply::Started)
            }
        }
    }

    fn create_empty_disk(&self, permit: Permit, request: NewDisk) -> Result<DiskInfo> {
        let caller = permit.caller();
        let new = self.unfilled_disk(caller, &request)?;
        Ok(self.describe_disk(&*self.make_empty_disk(new)?))
    }

    /// Puts a disk on the medium that nothing fills.
    pub(super) fn make_empty_disk(&self, new: UnfilledDisk) -> Result<Arc<DiskEntry>> {
        let UnfilledDisk { reservation, mut record, existing } = new;
        if let Err(error) = self.make_payload(&mut record, existing) {
            if !self.unmake(&record) {
                // Its record may say that the disk is ready, and the next start will believe it: a
                // second disk of this name must not be made meanwhile.
                record.error = Some(format!("it could not be made, nor removed: {error}"));
                reservation.damaged(record);
            }
            return Err(error);
        }
        let encrypted = record.is_encrypted();
        log::info!(
            "event=disk-created disk={} name={} encrypted={encrypted}",
            record.id,
            record.name
        );
        let entry = reservation.made(record);
        self.tell_of_disk("disk.created", &entry);
        Ok(entry)
    }

    /// Takes the name of a new disk and makes its data key; nothing of it lies on the medium yet.
    ///
    /// # Errors
    /// `invalid`, `denied`, `exists` for what cannot be; `no-agency`, `key-unusable`.
    pub(super) fn unfilled_disk(&self, caller: Caller, request: &NewDisk) -> Result<UnfilledDisk> {
        self.unfilled_disk_under(caller, request, None)
    }

    /// As [`Service::unfilled_disk`], under a data key that comes from elsewhere, if one does.
    pub(super) fn unfilled_disk_under(
        &self,
        caller: Caller,
        request: &NewDisk,
        brought: Option<&Dk>,
    ) -> Result<UnfilledDisk> {
        let sector_size = request.sector_size.unwrap_or(self.settings.default_sector_size);
        let size = request.size.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "\"size\" is missing").code(Code::EVS_1010)
        })?;
        check_size(size, sector_size)?;
        let encrypted = request.encrypted.unwrap_or_else(|| self.encrypts_by_default());
        if !encrypted && let Some(key) = &request.key {
            let message =
                format!("key {:?} was named for a disk that is not encrypted", key.as_str());
            return Err(Error::new(ErrorKind::Invalid, message)
                .remedy("say --encrypted, or leave out --key"));
        }
        if let Some(path) = &request.backing {
            let _permit = self.permit(caller, Action::ChooseBacking)?;
            self.payloads.check_choice(path)?;
        }
        let now = self.clock.now();
        let mut record =
            DiskRecord::new(request.name.clone(), size, sector_size, caller.uid(), now);
        record.backing = request.backing.clone();
        record.source = request.from.as_ref().map(DiskSource::to_string);
        let status = match &request.from {
            Some(DiskSource::Backup(_)) => DiskStatus::RestoringBackup,
            Some(DiskSource::Image(_)) | None => DiskStatus::Creating,
        };
        let reservation = self.catalogue.reserve(record.clone(), status)?;
        if encrypted {
            self.require_agency(caller)?;
            let kms = self.kms_for(caller);
            record.seal_with(self.new_data_key(&kms, request, &record, brought)?);
        }
        let existing = if request.overwrite { Existing::Overwrite } else { Existing::Keep };
        Ok(UnfilledDisk { reservation, record, existing })
    }

    /// A wrapped data key that nobody has seen in the clear (RULES D3), or the one that was brought.
    fn new_data_key(
        &self,
        kms: &Kms,
        request: &NewDisk,
        record: &DiskRecord,
        brought: Option<&Dk>,
    ) -> Result<WrappedDk> {
        // The named key, else the project's default, else `evs/default` (RULES D4).
        let key = match &request.key {
            Some(alias) => Service::key_named(kms, alias)?,
            None => self.default_key(kms)?,
        };
        let (disk, sector_size) = (record.id, record.sector_size());
        let wrapped = match brought {
            None => kms.generate_dk(key, disk, sector_size),
            Some(dk) => kms.import_dk(key, disk, sector_size, dk),
        };
        wrapped.map_err(|cause| {
            let message = format!("disk {:?} cannot be encrypted", record.name.as_str());
            Error::new(cause.kind(), message).code(Code::EVS_2040).caused_by(cause)
        })
    }

    fn make_payload(&self, record: &mut DiskRecord, existing: Existing) -> Result<()> {
        // The record comes first: a restart then knows that what it finds was never finished.
        self.save(record)?;
        self.payloads.create(record, existing)?;
        record.stage = Stage::Ready;
        self.save(record)
    }

    /// Removes what a disk that was never finished has left; whether all of it could be removed.
    pub(super) fn unmake(&self, record: &DiskRecord) -> bool {
        let removed = self
            .payloads
            .remove(record)
            .and_then(|()| self.records.remove(&DiskRecord::path_of(record.id)?))
            .and_then(|()| self.payloads.remove_directory(record.id));
        if let Err(error) = &removed {
            log::warn!("event=disk-left-half-made disk={} error=\"{error}\"", record.id);
        }
        removed.is_ok()
    }
}

/// Refuses sizes that no disk may have (RULES D11).
pub(super) fn check_size(size: ByteLen, sector_size: SectorSize) -> Result<()> {
    let refuse = |kind, why: String| {
        Err(Error::new(kind, format!("size {size} {why}"))
            .code(Code::EVS_1010)
            .remedy("use a size from 1M to 64T, a multiple of the sector size"))
    };
    if size < MIN_SIZE {
        return refuse(ErrorKind::OutOfRange, "is less than 1M".to_owned());
    }
    if size > MAX_SIZE {
        return refuse(ErrorKind::OutOfRange, "is more than 64T".to_owned());
    }
    if !sector_size.is_aligned(size.get()) {
        let sector = sector_size.bytes();
        return refuse(ErrorKind::Invalid, format!("is not a multiple of {sector} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_outside_rule_d11_are_refused() {
        for (bytes, fits) in [
            (0, false),
            (1, false),
            (4095, false),
            ((1 << 20) - 512, false),
            (1 << 20, true),
            ((1 << 20) + 512, false),
            (64 << 40, true),
            ((64 << 40) + 4096, false),
            (i64::MAX as u64, false),
        ] {
            let size = ByteLen::new(bytes);
            assert_eq!(check_size(size, SectorSize::S4096).is_ok(), fits, "{bytes}");
        }
        assert!(check_size(ByteLen::new((1 << 20) + 512), SectorSize::S512).is_ok());
    }
}
