//! Deleting an image.

use super::entry::{ImageEntry, ImageStatus};
use crate::auth::Permit;
use crate::error::Result;
use crate::service::{Service, Stage};

impl Service {
    /// Removes files and record; an import that is not finished is given up. The record says
    /// `deleting` first, so that a restart ends what a crash left half-done.
    pub(in crate::service) fn delete_image(
        &self,
        _permit: Permit,
        entry: &ImageEntry,
    ) -> Result<()> {
        let status = entry.state().status;
        if status == ImageStatus::Importing {
            return self.abort_import(entry);
        }
        entry.begin(ImageStatus::Deleting, "be deleted")?;
        let mut record = entry.state().record.clone();
        record.stage = Stage::Deleting;
        if let Err(error) = self.save_image(&record) {
            entry.state().status = status;
            return Err(error);
        }
        if let Err(error) = self.remove_image_files(record.id) {
            // Some of it may be gone, and a restart goes on with the rest.
            entry.state().status = ImageStatus::ErrorDeleting;
            return Err(error);
        }
        self.images.remove(entry);
        self.tell_of_image("image.deleted", entry);
        log::info!("event=image-deleted image={} name={}", entry.id(), entry.name());
        Ok(())
    }
}
