//! What all ways to make an image share.

use super::entry::{ImageEntry, ImageStatus, Reserved};
use super::record::{ImageRecord, Shape};
use crate::archive::{Meter, NewArchive, Sealing, write_full};
use crate::auth::Caller;
use crate::crypto::{SectorCipher, WrappedDk};
use crate::disk::SealedSource;
use crate::error::{Code, Error, Result};
use crate::id::{Alias, DiskId, ImageId, Name};
use crate::service::archive_home::ArchiveHome;
use crate::service::describe::shown_time;
use crate::service::{Service, Stage};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that an import is written to.
pub(super) const UPLOAD: &str = "upload";

impl Service {
    /// The directory of an image's record and files.
    pub(super) fn image_place(&self, id: ImageId) -> PathBuf {
        place_of(&self.settings.state_dir, id)
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
        home_of(&self.settings.state_dir, id)?.remove(&self.records)
    }

    /// What was imported is in the archive now; a restart removes what stays here.
    pub(super) fn remove_upload(&self, id: ImageId) {
        let removed = home_of(&self.settings.state_dir, id).and_then(|home| home.remove_scratch());
        if let Err(error) = removed {
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
        let cipher = self.cipher_of_image(caller, record, Some((disk, &dk)))?;
        Ok((Sealing { disk, dk }, cipher))
    }

    /// The cipher that opens an image's data, which is sealed by `dk`, a key bound to a disk.
    ///
    /// # Errors
    /// `no-agency`; `key-unusable` with EVS.2040.
    pub(super) fn cipher_of_image(
        &self,
        caller: Caller,
        image: &ImageRecord,
        dk: Option<(DiskId, &WrappedDk)>,
    ) -> Result<SectorCipher> {
        self.open_cipher(caller, dk, image.sector_size(), &|| {
            format!("image {:?} cannot be opened", image.name.as_str())
        })
    }
}

fn place_of(state_dir: &Path, id: ImageId) -> PathBuf {
    state_dir.join("images").join(id.to_string())
}

pub(super) fn home_of(state_dir: &Path, id: ImageId) -> Result<ArchiveHome> {
    let record = ImageRecord::path_of(id)?;
    Ok(ArchiveHome { place: place_of(state_dir, id), record, scratch: UPLOAD })
}
