//! What all ways to make an image share.

use super::entry::{ImageEntry, ImageStatus, Reserved};
use super::record::{ImageRecord, Shape};
use crate::archive::{Archive, Meter, NewArchive, Sealing, write_full};
use crate::auth::Caller;
use crate::crypto::{SectorCipher, WrappedDk};
use crate::disk::SealedSource;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{Alias, DiskId, ImageId, Name};
use crate::records::PrivateDir;
use crate::service::describe::shown_time;
use crate::service::{Service, Stage};
use crate::units::SectorSize;
use std::path::PathBuf;
use std::sync::Arc;

/// The file that an import is written to.
pub(super) const UPLOAD: &str = "upload";

impl Service {
    /// The directory of an image's record and files.
    pub(super) fn image_place(&self, id: ImageId) -> PathBuf {
        self.settings.state_dir.join("images").join(id.to_string())
    }

    pub(super) fn save_image(&self, record: &ImageRecord) -> Result<()> {
        self.records.save(&ImageRecord::path_of(record.id)?, record)
    }

    /// Takes the name of a new image.
    pub(super) fn reserve_image(
        &self,
        caller: Caller,
        name: Name,
        shape: &Shape,
        source: String,
        status: ImageStatus,
    ) -> Result<Reserved> {
        let created = shown_time(self.clock.now());
        let record = ImageRecord::new(name, shape, caller.uid(), created, source);
        self.images.reserve(record, status)
    }

    /// Copies a source into the image's archive and lets the image be used. An image that cannot be
    /// made is removed again, also at the next start.
    ///
    /// # Errors
    /// Those of [`write_full`]; `io`, `no-space`.
    pub(super) fn make_image(
        &self,
        reserved: Reserved,
        source: &dyn SealedSource,
        sealing: Option<Sealing>,
        meter: &dyn Meter,
    ) -> Result<Arc<ImageEntry>> {
        let mut record = reserved.entry().state().record.clone();
        let made = (|| {
            // The record comes first: a restart then knows that what it finds was never finished.
            self.save_image(&record)?;
            let target = NewArchive::create(&self.image_place(record.id))?;
            let written = write_full(source, sealing, target, meter)?;
            record.archive = Some(written.record().clone());
            record.stage = Stage::Ready;
            self.save_image(&record)?;
            written.keep().map(drop)
        })();
        if let Err(error) = made {
            self.unmake_image(&record);
            return Err(error);
        }
        self.remove_upload(record.id);
        let entry = reserved.keep();
        let mut state = entry.state();
        (state.record, state.status) = (record, ImageStatus::Available);
        drop(state);
        log::info!("event=image-created image={} name={}", entry.id(), entry.name());
        self.tell_of_image("image.created", &entry);
        Ok(entry)
    }

    /// Removes what an image that was never finished has left.
    pub(super) fn unmake_image(&self, record: &ImageRecord) {
        if let Err(error) = self.remove_image_files(record.id) {
            log::warn!("event=image-left-half-made image={} error=\"{error}\"", record.id);
        }
    }

    /// Removes files and record, the record last.
    pub(super) fn remove_image_files(&self, id: ImageId) -> Result<()> {
        let place = self.image_place(id);
        remove_file(&place.join(UPLOAD))?;
        Archive::remove_files(&place)?;
        self.records.remove(&ImageRecord::path_of(id)?)?;
        // What writers whose removal failed too have left aside of the record.
        match PrivateDir::open(&place).and_then(|directory| directory.remove_leftovers()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match std::fs::remove_dir(&place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("removing {}", place.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// What was imported is in the archive now; a restart removes what stays here.
    pub(super) fn remove_upload(&self, id: ImageId) {
        if let Err(error) = remove_file(&self.image_place(id).join(UPLOAD)) {
            log::warn!("event=upload-not-removed image={id} error=\"{error}\"");
        }
    }

    /// A data key for the image, wrapped, and the cipher that it makes.
    ///
    /// # Errors
    /// `no-agency`; `key-unusable` with EVS.2040.
    pub(super) fn key_for_image(
        &self,
        caller: Caller,
        key: Option<&Alias>,
        record: &ImageRecord,
    ) -> Result<(Sealing, SectorCipher)> {
        self.require_agency(caller)?;
        let kms = self.kms_for(caller);
        let key = match key {
            Some(alias) => Service::key_named(&kms, alias)?,
            None => self.default_key(&kms)?,
        };
        let (disk, sector_size) = (record.key_context()?, record.sector_size());
        let dk = kms.generate_dk(key, disk, sector_size).map_err(|cause| {
            let message = format!("image {:?} cannot be encrypted", record.name.as_str());
            Error::new(cause.kind(), message).code(Code::EVS_2040).caused_by(cause)
        })?;
        let cipher = self.cipher_of_image(caller, &record.name, Some((disk, &dk)), sector_size)?;
        Ok((Sealing { disk, dk }, cipher))
    }

    /// The cipher that opens an image's data.
    ///
    /// # Errors
    /// `no-agency`; `key-unusable` with EVS.2040.
    pub(super) fn cipher_of_image(
        &self,
        caller: Caller,
        name: &Name,
        sealing: Option<(DiskId, &WrappedDk)>,
        sector_size: SectorSize,
    ) -> Result<SectorCipher> {
        let Some((disk, dk)) = sealing else { return Ok(SectorCipher::null(sector_size)) };
        self.require_agency(caller)?;
        let dk = self.kms_for(caller).open_dk(dk, disk, sector_size).map_err(|cause| {
            let message = format!("image {:?} cannot be opened", name.as_str());
            Error::new(cause.kind(), message).code(Code::EVS_2040).caused_by(cause)
        })?;
        SectorCipher::xts_aes_256(dk, sector_size, self.settings.kernel)
    }
}

fn remove_file(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("removing {}", path.display()), error))
        }
        _ => Ok(()),
    }
}
