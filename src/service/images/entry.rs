//! An image that exists, and all of them.

use super::import::Staging;
use super::record::ImageRecord;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{ImageId, Name, Uid};
use crate::sync::{Mutex, MutexGuard, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Where an image is in its life.
///
/// ```text
/// importing ──finish──▶ creating ──▶ available ──delete──▶ deleting ──▶ (gone)
///     │ abort               │ failed      │   ▲                  │ failed
///     ▼                     ▼             ▼   │                  ▼
///   (gone)                (gone)       rewrapping         error-deleting ──delete──▶ deleting
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageStatus {
    /// Its content is being written to `data`.
    Importing,
    /// A job makes it.
    Creating,
    /// Ready to be used.
    Available,
    /// Its data key is being wrapped by the newest version of its master key.
    Rewrapping,
    /// Its files are being removed.
    Deleting,
    /// They could not be removed; its deletion is repeated, by hand or by a restart.
    ErrorDeleting,
}

impl ImageStatus {
    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            ImageStatus::Importing => "importing",
            ImageStatus::Creating => "creating",
            ImageStatus::Available => "available",
            ImageStatus::Rewrapping => "rewrapping",
            ImageStatus::Deleting => "deleting",
            ImageStatus::ErrorDeleting => "error-deleting",
        }
    }
}

/// An image that exists, or is being made.
pub struct ImageEntry {
    id: ImageId,
    name: Name,
    owner: Uid,
    // Protects all that changes; never held across I/O.
    state: Mutex<ImageState>,
}

/// The changing part of an [`ImageEntry`].
pub struct ImageState {
    /// Where in its life the image is.
    pub status: ImageStatus,
    /// The record as it was last saved.
    pub record: ImageRecord,
    /// Where the content goes while it is imported.
    pub(super) staging: Option<Arc<Staging>>,
    /// Whether somebody has `data` open for writing.
    pub(super) has_writer: bool,
    /// How many read its archive, which must not go away meanwhile.
    users: usize,
}

impl ImageEntry {
    pub(super) fn new(record: ImageRecord, status: ImageStatus) -> Self {
        ImageEntry {
            id: record.id,
            name: record.name.clone(),
            owner: record.owner,
            state: Mutex::new(ImageState {
                status,
                record,
                staging: None,
                has_writer: false,
                users: 0,
            }),
        }
    }

    /// The image's id.
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// The image's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The image's owner.
    pub fn owner(&self) -> Uid {
        self.owner
    }

    /// The changing part, locked.
    pub fn state(&self) -> MutexGuard<'_, ImageState> {
        self.state.lock()
    }

    /// Keeps the image from being deleted.
    ///
    /// # Errors
    /// `wrong-status` with EVS.1046 when it is not available.
    pub(super) fn hold(self: &Arc<Self>) -> Result<ImageHold> {
        let mut state = self.state.lock();
        self.must_be(&state, ImageStatus::Available, "be used")?;
        state.users += 1;
        Ok(ImageHold { entry: self.clone() })
    }

    /// Moves on to work that must have the image alone.
    ///
    /// # Errors
    /// `wrong-status` while it is being made; `in-use` while somebody reads it; both EVS.1046.
    pub(super) fn begin(&self, status: ImageStatus, verb: &str) -> Result<()> {
        let mut state = self.state.lock();
        let is_repeated =
            (state.status, status) == (ImageStatus::ErrorDeleting, ImageStatus::Deleting);
        if !is_repeated {
            self.must_be(&state, ImageStatus::Available, verb)?;
        }
        if state.users > 0 {
            let message = format!("image {:?} is being read", self.name.as_str());
            return Err(Error::new(ErrorKind::InUse, message)
                .code(Code::EVS_1046)
                .remedy("wait for what uses it: evsfs job list"));
        }
        state.status = status;
        Ok(())
    }

    pub(super) fn must_be(
        &self,
        state: &ImageState,
        status: ImageStatus,
        verb: &str,
    ) -> Result<()> {
        if state.status == status {
            return Ok(());
        }
        let (name, is) = (self.name.as_str(), state.status.name());
        Err(Error::new(ErrorKind::WrongStatus, format!("image {name:?} is {is} and cannot {verb}"))
            .code(Code::EVS_1046)
            .remedy(format!("evsfs image show {name}")))
    }
}

/// Keeps an image from being deleted.
pub(in crate::service) struct ImageHold {
    entry: Arc<ImageEntry>,
}

impl ImageHold {
    pub fn record(&self) -> ImageRecord {
        self.entry.state().record.clone()
    }
}

impl Drop for ImageHold {
    fn drop(&mut self) {
        self.entry.state().users -= 1;
    }
}

/// All images; a clone is the same table.
#[derive(Default, Clone)]
pub struct Images {
    // Protects membership only; held for look-ups, never across I/O.
    table: Arc<RwLock<Table>>,
}

#[derive(Default)]
struct Table {
    by_name: BTreeMap<Name, Arc<ImageEntry>>,
    by_id: HashMap<ImageId, Arc<ImageEntry>>,
}

impl Images {
    /// Adds an image.
    ///
    /// # Errors
    /// `exists` when the name is taken, by whomever.
    pub(super) fn add(&self, entry: Arc<ImageEntry>) -> Result<()> {
        let mut table = self.table.write();
        if table.by_name.contains_key(entry.name()) {
            let name = entry.name().as_str();
            return Err(Error::new(ErrorKind::Exists, format!("an image named {name:?} exists"))
                .remedy("choose another name; see: evsfs image list"));
        }
        table.by_name.insert(entry.name().clone(), entry.clone());
        table.by_id.insert(entry.id(), entry);
        Ok(())
    }

    /// Takes a name for an image that is about to be made.
    ///
    /// # Errors
    /// As [`Images::add`].
    pub(super) fn reserve(&self, record: ImageRecord, status: ImageStatus) -> Result<Reserved> {
        let entry = Arc::new(ImageEntry::new(record, status));
        self.add(entry.clone())?;
        Ok(Reserved { images: self.clone(), entry, is_kept: false })
    }

    /// Takes an image out.
    pub(super) fn remove(&self, entry: &ImageEntry) {
        let mut table = self.table.write();
        table.by_name.remove(entry.name());
        table.by_id.remove(&entry.id());
    }

    /// The image with this name.
    pub(in crate::service) fn by_name(&self, name: &Name) -> Option<Arc<ImageEntry>> {
        self.table.read().by_name.get(name).cloned()
    }

    /// The image with this id.
    pub(in crate::service) fn by_id(&self, id: ImageId) -> Option<Arc<ImageEntry>> {
        self.table.read().by_id.get(&id).cloned()
    }

    /// All images, sorted by name.
    pub(in crate::service) fn all(&self) -> Vec<Arc<ImageEntry>> {
        self.table.read().by_name.values().cloned().collect()
    }
}

/// A name taken by an image that is being made. Dropping it gives the name back.
#[must_use = "dropping the reservation gives the name back"]
pub(in crate::service) struct Reserved {
    images: Images,
    entry: Arc<ImageEntry>,
    is_kept: bool,
}

impl Reserved {
    pub fn entry(&self) -> &Arc<ImageEntry> {
        &self.entry
    }

    /// The image stays.
    pub fn keep(mut self) -> Arc<ImageEntry> {
        self.is_kept = true;
        self.entry.clone()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_kept {
            self.images.remove(&self.entry);
        }
    }
}
