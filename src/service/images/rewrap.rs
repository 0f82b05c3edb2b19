//! Wrapping the data key of an image by the newest version of its master key (RULES K5).

use super::entry::{ImageEntry, ImageStatus};
use super::record::ImageRecord;
use crate::auth::Permit;
use crate::error::{ErrorKind, Result};
use crate::service::Service;

/// The time in which the record is replaced. Dropping it ends that time.
struct Rewrapping<'a>(&'a ImageEntry);

impl Drop for Rewrapping<'_> {
    fn drop(&mut self) {
        self.0.state().status = ImageStatus::Available;
    }
}

impl Service {
    /// Replaces the wrapped data key in the image's record; its data stay as they are.
    ///
    /// # Errors
    /// `wrong-status`, `in-use` while it is worked on or read; those of the KMS with EVS.2040.
    pub(in crate::service) fn rewrap_image(
        &self,
        permit: &Permit,
        entry: &ImageEntry,
    ) -> Result<()> {
        match entry.begin(ImageStatus::Rewrapping, "be rewrapped") {
            Err(refusal) if refusal.kind() == ErrorKind::InUse => {
                return self.busy_rewrap(entry.state().record.archive.as_ref(), refusal);
            }
            begun => begun?,
        }
        let _rewrapping = Rewrapping(entry);
        self.records.verify(&ImageRecord::path_of(entry.id())?)?;
        let mut record = entry.state().record.clone();
        let Some(archive) = &record.archive else { return Ok(()) };
        let rewrapped = self.rewrap_archive(permit.caller(), entry.name(), archive)?;
        if rewrapped.is_none() {
            return Ok(());
        }
        record.archive = rewrapped;
        self.save_image(&record)?;
        entry.state().record = record;
        log::info!("event=image-rewrapped image={} name={}", entry.id(), entry.name());
        Ok(())
    }
}
