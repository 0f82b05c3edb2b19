//! Images of the last daemon.

use super::check::load;
use super::entry::{ImageEntry, ImageStatus};
use super::make::home_of;
use super::record::ImageRecord;
use crate::auth::{Action, Caller, Permit};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ImageId, Name};
use crate::records::RecordPath;
use crate::service::{Service, Stage};
use std::sync::Arc;

impl Service {
    /// Reads all images and removes those that were not finished. A damaged one is left out and
    /// logged.
    ///
    /// # Errors
    /// `io` when the state directory cannot be read.
    pub(in crate::service) fn load_images(&self) -> Result<()> {
        for name in self.records.list(&RecordPath::parse("images")?)? {
            if let Err(error) = self.load_image(&name) {
                self.leave_out("image", &name, &error);
            }
        }
        Ok(())
    }

    fn load_image(&self, directory: &str) -> Result<()> {
        let id = ImageId::parse(directory)?;
        match load(&self.records, id)? {
            // A crash came before its record was written or after it was removed. What else lies
            // there without one is kept: it may be put back.
            None if home_of(&self.settings.state_dir, id)?.is_bare(&self.records)? => {
                self.remove_image_files(id)
            }
            None => {
                let text = format!("{} is missing", ImageRecord::path_of(id)?);
                Err(Error::new(ErrorKind::Integrity, text))
            }
            Some(record) if record.stage != Stage::Ready => {
                log::info!("event=unfinished-removed image={id}");
                self.remove_image_files(id)
            }
            Some(record) => {
                self.remove_upload(id);
                self.images.add(Arc::new(ImageEntry::new(record, ImageStatus::Available)))
            }
        }
    }

    /// The image of that name, if the caller may use it.
    ///
    /// # Errors
    /// `not-found`, also for the image of another owner (RULES A7); `denied` for strangers.
    pub(in crate::service) fn usable_image(
        &self,
        caller: Caller,
        name: &Name,
    ) -> Result<(Arc<ImageEntry>, Permit)> {
        let _known = self.permit(caller, Action::EnterControl)?;
        let missing = || {
            let message = format!("there is no image named {:?}", name.as_str());
            Error::new(ErrorKind::NotFound, message).remedy("evsfs image list")
        };
        let entry = self.images.by_name(name).ok_or_else(missing)?;
        match self.permit(caller, Action::UseObject { owner: entry.owner() }) {
            Ok(permit) => Ok((entry, permit)),
            Err(refusal) if refusal.kind() == ErrorKind::NotFound => Err(missing()),
            Err(refusal) => Err(refusal),
        }
    }

    /// The image with this id, if the caller may see it.
    pub fn visible_image(&self, caller: Caller, id: ImageId) -> Option<Arc<ImageEntry>> {
        self.images.by_id(id).filter(|entry| self.may_see_image(caller, entry))
    }

    /// The image with this name, if the caller may see it.
    pub fn visible_image_named(&self, caller: Caller, name: &Name) -> Option<Arc<ImageEntry>> {
        self.images.by_name(name).filter(|entry| self.may_see_image(caller, entry))
    }

    /// All images a caller may see, sorted by name.
    pub fn visible_images(&self, caller: Caller) -> Vec<Arc<ImageEntry>> {
        let mut entries = self.images.all();
        entries.retain(|entry| self.may_see_image(caller, entry));
        entries
    }

    fn may_see_image(&self, caller: Caller, entry: &ImageEntry) -> bool {
        self.authority.allows(caller, Action::UseObject { owner: entry.owner() })
    }
}
