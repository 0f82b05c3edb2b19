//! A disk made from an image (RULES P2, P4).

use super::entry::{ImageEntry, ImageHold};
use super::record::ImageRecord;
use crate::archive::{Archive, Chain};
use crate::auth::{Caller, Permit};
use crate::crypto::SectorCipher;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Name;
use crate::service::{JobKind, NewDisk, NewJob, Reply, Service, StartedJob};
use std::sync::Arc;

/// An image that is being read. It cannot be deleted meanwhile.
pub(in crate::service) struct OpenImage {
    /// Its record.
    pub record: ImageRecord,
    /// Its archive.
    pub chain: Chain,
    /// What opens the archive's data.
    pub opener: SectorCipher,
    // Dropped last.
    pub(super) hold: ImageHold,
}

impl Service {
    /// Opens an image to be read, with its key if it has one.
    ///
    /// # Errors
    /// `wrong-status`; `key-unusable` with EVS.2040; `integrity` naming the damaged file.
    pub(in crate::service) fn open_image(
        &self,
        caller: Caller,
        entry: &Arc<ImageEntry>,
    ) -> Result<OpenImage> {
        let hold = entry.hold()?;
        let record = hold.record();
        let chain = self.open_image_chain(&record)?;
        let opener = self.cipher_of_image(caller, &record, chain.newest().record().bound_dk())?;
        Ok(OpenImage { record, chain, opener, hold })
    }

    pub(super) fn open_image_chain(&self, record: &ImageRecord) -> Result<Chain> {
        // The one that is known here, or somebody has changed it meanwhile.
        self.records.verify(&ImageRecord::path_of(record.id)?)?;
        let archive = record.archive.clone().ok_or_else(|| {
            let message = format!("image {:?} has no archive yet", record.name.as_str());
            Error::new(ErrorKind::WrongStatus, message).code(Code::EVS_1046)
        })?;
        Chain::open(vec![Archive::open(&self.image_place(record.id), archive)?])
    }

    /// Begins a job that makes a disk from an image.
    pub(in crate::service) fn create_disk_from_image(
        &self,
        permit: Permit,
        mut request: NewDisk,
        image: &Name,
    ) -> Result<Reply> {
        let caller = permit.caller();
        let (entry, _permit) = self.usable_image(caller, image)?;
        let opened = self.open_image(caller, &entry)?;
        follow_image(&mut request, &opened.record)?;
        let subject = request.name.to_string();
        let limit = request.limit;
        let new = self.unfilled_disk(caller, &request)?;
        let total = Some(opened.chain.content().get());
        let new_job = NewJob { kind: JobKind::DiskCreate, subject, total, limit };
        let job = self.start_job(caller, new_job, move |service, context| {
            // All of it moves in, its hold on the image too.
            let opened = opened;
            service.fill_disk(caller, new, (&opened.chain, &opened.opener), context).map(drop)
        })?;
        Ok(Reply::Started(StartedJob { job: job.id }))
    }
}

/// Gives a disk the size, the sector size and the encryption of its image, where the request does
/// not say otherwise.
///
/// # Errors
/// `invalid` with EVS.1043 when it asks for another encryption than the image's (seed Tables 2 and
/// 3), and with EVS.1010 for a size that the image does not fit in.
pub(in crate::service) fn follow_image(request: &mut NewDisk, image: &ImageRecord) -> Result<()> {
    let asked = request.encrypted.or(request.key.is_some().then_some(true));
    if asked.is_some_and(|encrypted| encrypted != image.is_encrypted()) {
        let name = image.name.as_str();
        let (is, fix) = match image.is_encrypted() {
            true => {
                ("encrypted, so a disk made from it is too", "leave out --unencrypted".to_owned())
            }
            false => (
                "not encrypted, so a disk made from it is not either",
                format!("evsfs image copy {name} {name}-encrypted --encrypted, and use that"),
            ),
        };
        return Err(Error::new(ErrorKind::Invalid, format!("image {name:?} is {is}"))
            .code(Code::EVS_1043)
            .remedy(fix));
    }
    request.encrypted = Some(image.is_encrypted());
    let size = *request.size.get_or_insert(image.size());
    if size < image.size() {
        let (name, needs) = (image.name.as_str(), image.size());
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("a disk of {size} is too small for image {name:?}, which needs {needs}"),
        )
        .code(Code::EVS_1010)
        .remedy(format!("choose a --size of {needs} or more, or leave it out")));
    }
    request.sector_size.get_or_insert(image.sector_size());
    Ok(())
}
