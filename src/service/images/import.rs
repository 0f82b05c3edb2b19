//! An image made of what a user writes to `.evs/images/NAME/data` (RULES A6, P5).
//!
//! The content goes to `upload`, sealed by the image's own key if it has one, so that no plaintext of
//! an encrypted image lies on the medium at any time. `finish` makes the archive of it. Whoever closes
//! `data` before that, as a program that is killed does, has given the import up.

use super::entry::{ImageEntry, ImageStatus, Reserved};
use super::make::UPLOAD;
use super::record::Shape;
use crate::archive::Sealing;
use crate::auth::{Action, Caller, Permit};
use crate::backing::FileBacking;
use crate::crypto::SectorCipher;
use crate::disk::{Access, DetachedDisk, Disk};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::service::create::check_size;
use crate::service::{
    ImageImport, ImageInfo, JobContext, JobKind, NewJob, Reply, Service, StartedJob,
};
use crate::sync::Mutex;
use crate::units::{ByteOffset, SectorSize};
use std::sync::Arc;

/// Where the content of an image goes before it is one.
pub(super) struct Staging {
    disk: Disk,
    // Protects what the finished image takes over.
    reserved: Mutex<Option<(Reserved, Option<Sealing>)>>,
}

/// `data`, open for writing. Dropping it gives the import up unless it was finished.
pub struct ImageUpload {
    service: Arc<Service>,
    entry: Arc<ImageEntry>,
    staging: Arc<Staging>,
}

impl Service {
    /// Makes an image that waits for its content.
    pub(in crate::service) fn import_image(
        &self,
        permit: Permit,
        request: ImageImport,
    ) -> Result<ImageInfo> {
        let caller = permit.caller();
        let default = self.settings.default_sector_size;
        let sector_size = match default.is_aligned(request.size.get()) {
            true => default,
            false => SectorSize::S512,
        };
        check_size(request.size, sector_size)?;
        // The default encryption is one of disks: an image is what its maker says.
        let encrypted = request.encrypted.unwrap_or(request.key.is_some());
        if !encrypted && let Some(key) = &request.key {
            let message =
                format!("key {:?} was named for an image that is not encrypted", key.as_str());
            return Err(Error::new(ErrorKind::Invalid, message)
                .remedy("say --encrypted, or leave out --key"));
        }
        let shape = Shape { size: request.size, sector_size, encrypted };
        let reserved = self.reserve_image(
            caller,
            request.name,
            &shape,
            "file".to_owned(),
            ImageStatus::Importing,
        )?;
        let entry = reserved.entry().clone();
        let record = entry.state().record.clone();
        let begun = (|| {
            let (sealing, cipher) = match encrypted {
                true => {
                    let (sealing, cipher) =
                        self.key_for_image(caller, request.key.as_ref(), &record)?;
                    (Some(sealing), cipher)
                }
                false => (None, SectorCipher::null(sector_size)),
            };
            self.save_image(&record)?;
            let path = self.image_place(record.id).join(UPLOAD);
            let file = FileBacking::create(&path, record.size())?;
            let disk = Disk::open(Box::new(file), cipher, record.size(), Access::ReadWrite)?;
            Ok((disk, sealing))
        })();
        let (disk, sealing) = begun.inspect_err(|_: &Error| self.unmake_image(&record))?;
        let staging = Staging { disk, reserved: Mutex::new(Some((reserved, sealing))) };
        entry.state().staging = Some(Arc::new(staging));
        log::info!("event=image-waits-for-content image={} name={}", entry.id(), entry.name());
        Ok(self.describe_image(&entry))
    }

    /// Opens `data` for writing.
    ///
    /// # Errors
    /// `wrong-status` when the image is not being imported; `in-use` when somebody writes it.
    pub fn open_image_upload(
        &self,
        caller: Caller,
        entry: &Arc<ImageEntry>,
    ) -> Result<ImageUpload> {
        let _permit = self.permit(caller, Action::UseObject { owner: entry.owner() })?;
        let service = self.itself()?;
        let mut state = entry.state();
        entry.must_be(&state, ImageStatus::Importing, "be written")?;
        let staging = state.staging.clone().filter(|_| !state.has_writer).ok_or_else(|| {
            let message = format!("image {:?} is being written by somebody", entry.name().as_str());
            Error::new(ErrorKind::InUse, message).code(Code::EVS_1046)
        })?;
        state.has_writer = true;
        Ok(ImageUpload { service, entry: entry.clone(), staging })
    }

    /// The content is complete: begins a job that makes the image of it.
    pub(in crate::service) fn finish_image(
        &self,
        permit: Permit,
        entry: &Arc<ImageEntry>,
        limit: Option<u64>,
    ) -> Result<Reply> {
        let mut state = entry.state();
        entry.must_be(&state, ImageStatus::Importing, "be finished")?;
        state.status = ImageStatus::Creating;
        let staging = state.staging.take();
        drop(state);
        let taken = staging.and_then(|staging| {
            let taken = staging.reserved.lock().take()?;
            Some((staging, taken))
        });
        let Some((staging, (reserved, sealing))) = taken else {
            return Err(Error::new(ErrorKind::Internal, "an import has no upload"));
        };
        // From here on writes fail, and the data key is not in memory any more.
        let flushed = staging.disk.flush();
        staging.disk.revoke();
        let record = entry.state().record.clone();
        let new = NewJob {
            kind: JobKind::ImageImport,
            subject: record.name.to_string(),
            total: None,
            limit,
        };
        let job = flushed.and_then(|()| {
            self.start_job(permit.caller(), new, move |service, context| {
                service.make_image_of_upload(reserved, sealing, context)
            })
        });
        let job = job.inspect_err(|_| self.unmake_image(&record))?;
        Ok(Reply::Started(StartedJob { job: job.id }))
    }

    fn make_image_of_upload(
        &self,
        reserved: Reserved,
        sealing: Option<Sealing>,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let record = reserved.entry().state().record.clone();
        let source = FileBacking::open(&self.image_place(record.id).join(UPLOAD), Access::ReadOnly)
            .and_then(|file| {
                DetachedDisk::open(Box::new(file), record.size(), record.sector_size())
            });
        let source = source.inspect_err(|_| self.unmake_image(&record))?;
        self.make_image(reserved, &source, sealing, context).map(drop)
    }

    /// Gives an import up that is not finished.
    ///
    /// # Errors
    /// `wrong-status` when it is.
    pub(super) fn abort_import(&self, entry: &ImageEntry) -> Result<()> {
        let mut state = entry.state();
        entry.must_be(&state, ImageStatus::Importing, "be given up")?;
        state.status = ImageStatus::Deleting;
        let (record, staging) = (state.record.clone(), state.staging.take());
        drop(state);
        if let Some(staging) = &staging {
            staging.disk.revoke();
        }
        self.unmake_image(&record);
        // Gives the name back.
        drop(staging.and_then(|staging| staging.reserved.lock().take()));
        log::info!("event=image-given-up image={} name={}", entry.id(), entry.name());
        Ok(())
    }
}

impl ImageUpload {
    /// Writes at `offset`; returns how many bytes were taken.
    ///
    /// # Errors
    /// `no-space` past the end of the image or on a full medium; `detached` once it is finished.
    pub fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<usize> {
        self.staging.disk.write_at(offset, bytes)
    }
}

impl Drop for ImageUpload {
    fn drop(&mut self) {
        self.entry.state().has_writer = false;
        // Refused when it was finished, which is how it should be.
        let _ = self.service.abort_import(&self.entry);
    }
}
