//! A disk made of what comes in from elsewhere.
//!
//! Plain content is written to `.evs/disks/NAME/data` and sealed on the way; a payload that brings its
//! data key is written there as it is, or stays where it lies. The record says `creating` until all of
//! it is there: a restart removes what was not finished.

use super::upload::Staging;
use crate::auth::{Action, Caller};
use crate::crypto::{Dk, SectorCipher};
use crate::disk::{Access, Disk};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Name;
use crate::kms::AuditEvent;
use crate::service::commands::{DiskImport, ImportedContent, NewDisk};
use crate::service::fill::UnfilledDisk;
use crate::service::{DiskEntry, DiskInfo, DiskRecord, Service, Stage};
use crate::units::{ByteLen, SectorSize};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the `source` of such a disk says.
const SOURCE: &str = "file";

impl Service {
    /// Makes a disk of a payload that stays where it is, or one that waits for its content.
    ///
    /// # Errors
    /// `denied`; what making any disk is refused with.
    pub(in crate::service) fn import_disk(
        &self,
        caller: Caller,
        request: DiskImport,
    ) -> Result<DiskInfo> {
        let _permit = self.permit(caller, Action::MoveDataKeys).inspect_err(|refusal| {
            let key = request.key.as_ref();
            self.kms_for(caller).record_refusal(AuditEvent::ImportDatakey, key, refusal);
        })?;
        let _permit = self.permit(caller, Action::CreateObject)?;
        let mut new = NewDisk {
            name: request.name,
            size: request.size,
            from: None,
            encrypted: Some(true),
            key: request.key,
            sector_size: request.sector_size,
            backing: None,
            overwrite: false,
            limit: None,
        };
        match request.content {
            ImportedContent::Plain(encrypted) => {
                new.encrypted = encrypted.or(new.key.is_some().then_some(true));
                let default = self.settings.default_sector_size;
                let fits = new.size.is_none_or(|size| default.is_aligned(size.get()));
                new.sector_size.get_or_insert(if fits { default } else { SectorSize::S512 });
                let unfilled = self.unfilled_disk(caller, &new)?;
                let record = &unfilled.record;
                let cipher =
                    self.open_cipher(caller, record.bound_dk(), record.sector_size(), &|| {
                        format!("disk {:?} cannot be filled", record.name.as_str())
                    })?;
                self.await_upload(unfilled, cipher)
            }
            ImportedContent::Sealed(dk) => {
                let unfilled = self.unfilled_disk_under(caller, &new, Some(&dk))?;
                // What is written is sealed already.
                let cipher = SectorCipher::null(unfilled.record.sector_size());
                self.await_upload(unfilled, cipher)
            }
            ImportedContent::InPlace(dk, path, start) => {
                self.import_in_place(caller, new, &dk, (path, start))
            }
        }
    }

    fn await_upload(&self, new: UnfilledDisk, cipher: SectorCipher) -> Result<DiskInfo> {
        let UnfilledDisk { reservation, mut record, existing } = new;
        record.source = Some(SOURCE.to_owned());
        let begun = (|| {
            // The record comes first: a restart then knows that what it finds was never finished.
            self.save(&record)?;
            self.payloads.create(&record, existing)?;
            let payload = self.payloads.open(&record, Access::ReadWrite)?;
            Disk::open(payload, cipher, record.size(), Access::ReadWrite)
        })();
        match begun {
            Ok(disk) => {
                let (id, name) = (record.id, record.name.clone());
                let entry = reservation.entry().clone();
                entry.state().record = record.clone();
                self.uploads.add(id, Staging::new(disk, reservation, record));
                log::info!("event=disk-awaits-content disk={id} name={name}");
                Ok(self.describe_disk(&entry))
            }
            Err(error) => {
                self.give_up(reservation, record, &error);
                Err(error)
            }
        }
    }

    fn import_in_place(
        &self,
        caller: Caller,
        mut new: NewDisk,
        dk: &Dk,
        (path, start): (PathBuf, ByteLen),
    ) -> Result<DiskInfo> {
        let _permit = self.permit(caller, Action::ChooseBacking)?;
        // Before anything is opened there.
        self.payloads.check_choice(&path)?;
        let sector_size = *new.sector_size.get_or_insert(self.settings.default_sector_size);
        let room = self.payloads.measure(&path)?.checked_sub(start).unwrap_or(ByteLen::ZERO);
        let whole = room.get() - room.get() % sector_size.len().get();
        let size = *new.size.get_or_insert(ByteLen::new(whole));
        if size > room || !SectorSize::S512.is_aligned(start.get()) {
            let (shown, end) = (path.display(), "ends before the data that its header tells of");
            let message = match size > room {
                true => format!("{shown} {end}"),
                false => format!("offset {start} in {shown} is not the start of a sector"),
            };
            return Err(Error::new(ErrorKind::Invalid, message)
                .code(Code::EVS_1010)
                .remedy("name the file or device, and the offset, where the data begins"));
        }
        new.backing = Some(path.clone());
        let unfilled = self.unfilled_disk_under(caller, &new, Some(dk))?;
        let UnfilledDisk { reservation, mut record, .. } = unfilled;
        record.source = Some(SOURCE.to_owned());
        record.backing_offset = (start > ByteLen::ZERO).then_some(start.get());
        let made = (|| {
            self.must_be_nobodys(&record, &path)?;
            self.save(&record)?;
            // Opened as an attach will, which would be too late to find out that it cannot be.
            let payload = self.payloads.open(&record, Access::ReadWrite)?;
            let null = SectorCipher::null(record.sector_size());
            Disk::open(payload, null, record.size(), Access::ReadWrite)?;
            record.stage = Stage::Ready;
            self.save(&record)
        })();
        if let Err(error) = made {
            self.give_up(reservation, record, &error);
            return Err(error);
        }
        log::info!("event=disk-imported disk={} name={} source=in-place", record.id, record.name);
        let entry = reservation.made(record);
        self.tell_of_disk("disk.created", &entry);
        Ok(self.describe_disk(&entry))
    }

    /// Refuses a payload that is another disk's already, by whatever name.
    fn must_be_nobodys(&self, record: &DiskRecord, path: &Path) -> Result<()> {
        let file = |path: &Path| {
            let status = std::fs::metadata(path).ok()?;
            Some((status.dev(), status.ino()))
        };
        let ours = file(path);
        let is_same = |other: &Arc<DiskEntry>| {
            let other = other.state().record.clone();
            other.id != record.id && ours.is_some() && file(&self.payloads.path_of(&other)) == ours
        };
        match self.catalogue.all().iter().any(is_same) {
            false => Ok(()),
            // Not which one: it may be a disk that the caller is not to know of.
            true => {
                let message = format!("{} is the payload of a disk already", path.display());
                Err(Error::new(ErrorKind::InUse, message).remedy("evsfs disk list"))
            }
        }
    }

    /// The content is complete: the disk exists from here on.
    ///
    /// # Errors
    /// `not-found`; `wrong-status` when it does not wait for content; `io`, and nothing is left then.
    pub(in crate::service) fn finish_import(
        &self,
        caller: Caller,
        name: &Name,
    ) -> Result<DiskInfo> {
        let (entry, _permit) = self.usable(caller, name)?;
        let taken = self.uploads.take(entry.id());
        let Some((staging, (reservation, mut record))) = taken else {
            let message = format!("disk {:?} does not wait for content", name.as_str());
            return Err(Error::new(ErrorKind::WrongStatus, message).code(Code::EVS_1046));
        };
        let flushed = staging.disk().flush();
        // From here on reads and writes fail, and the data key is not in memory any more.
        staging.disk().revoke();
        let finished = flushed.and_then(|()| {
            record.stage = Stage::Ready;
            self.save(&record)
        });
        if let Err(error) = finished {
            self.give_up(reservation, record, &error);
            return Err(error);
        }
        log::info!("event=disk-imported disk={} name={name} source=upload", record.id);
        let entry = reservation.made(record);
        self.tell_of_disk("disk.created", &entry);
        Ok(self.describe_disk(&entry))
    }
}
