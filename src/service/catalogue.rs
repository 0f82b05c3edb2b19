//! The disks of the project, by name and by id.

use super::attachment::Attachment;
use super::record::DiskRecord;
use super::status::{DiskEvent, DiskStatus};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{DiskId, Name, Uid};
use crate::sync::{Mutex, MutexGuard, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A disk that exists.
pub struct DiskEntry {
    id: DiskId,
    name: Name,
    owner: Uid,
    // Protects all that changes. The status says which verb owns the disk while it works without
    // the lock; see the lock order in the module's contract.
    state: Mutex<DiskState>,
}

/// The changing part of a [`DiskEntry`].
pub struct DiskState {
    /// Where in its life the disk is.
    pub status: DiskStatus,
    /// The record as it was last saved.
    pub record: DiskRecord,
    /// The open disk, from attach to detach.
    pub attachment: Option<Arc<Attachment>>,
}

impl DiskEntry {
    /// A disk with this record in this status.
    pub fn new(record: DiskRecord, status: DiskStatus) -> Self {
        DiskEntry {
            id: record.id,
            name: record.name.clone(),
            owner: record.owner,
            state: Mutex::new(DiskState { status, record, attachment: None }),
        }
    }

    /// The disk's id.
    pub fn id(&self) -> DiskId {
        self.id
    }

    /// The disk's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The disk's owner.
    pub fn owner(&self) -> Uid {
        self.owner
    }

    /// The changing part, locked.
    pub fn state(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock()
    }

    /// Moves the status on for a verb, which owns the disk until the returned work is dropped.
    ///
    /// # Errors
    /// `wrong-status` with EVS.1046.
    pub fn begin(&self, event: DiskEvent) -> Result<Work<'_>> {
        let mut state = self.state.lock();
        state.status = state.status.moved_by(event, &self.name)?;
        Ok(Work { entry: self, ending: DiskEvent::Failed })
    }

    fn end(&self, event: DiskEvent) {
        let mut state = self.state.lock();
        let (id, status) = (self.id, state.status);
        match status.after(event) {
            Some(next) => state.status = next,
            None => {
                log::error!("event=impossible disk={id} status={} ending={event:?}", status.name())
            }
        }
    }
}

/// A verb at work on a disk. Dropping it, also by an error or a panic, moves the disk's status on
/// as [`DiskEvent::Failed`] says; a verb that went well says [`Work::done`].
#[must_use = "dropping the work ends the verb as failed"]
pub struct Work<'e> {
    entry: &'e DiskEntry,
    ending: DiskEvent,
}

impl Work<'_> {
    /// The verb went well.
    pub fn done(mut self) {
        self.ending = DiskEvent::Done;
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.entry.end(self.ending);
    }
}

/// A name taken by a disk that is being made. Dropping it gives the name back.
#[must_use = "dropping the reservation gives the name back"]
pub struct Reservation {
    catalogue: Catalogue,
    entry: Arc<DiskEntry>,
    is_made: bool,
}

impl Reservation {
    /// The disk that is being made.
    pub fn entry(&self) -> &Arc<DiskEntry> {
        &self.entry
    }

    /// The disk exists from here on.
    pub fn made(mut self, record: DiskRecord) -> Arc<DiskEntry> {
        self.is_made = true;
        self.entry.state().record = record;
        self.entry.end(DiskEvent::Created);
        self.entry.clone()
    }

    /// The disk could not be made, and not be removed either; it keeps the name until it is
    /// deleted.
    pub fn damaged(mut self, record: DiskRecord) {
        self.is_made = true;
        let event = match self.entry.state().status {
            DiskStatus::RestoringBackup => DiskEvent::Failed,
            _ => DiskEvent::Damaged,
        };
        self.entry.state().record = record;
        self.entry.end(event);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_made {
            self.catalogue.remove(&self.entry);
        }
    }
}

/// All disks; a clone is the same catalogue, for the reservation that a job holds.
#[derive(Default, Clone)]
pub struct Catalogue {
    // Protects membership only; held for look-ups, never across I/O.
    disks: Arc<RwLock<Disks>>,
}

#[derive(Default)]
struct Disks {
    by_name: BTreeMap<Name, Arc<DiskEntry>>,
    by_id: HashMap<DiskId, Arc<DiskEntry>>,
}

impl Catalogue {
    /// Adds a disk.
    ///
    /// # Errors
    /// `exists` when the name is taken, by whomever (RULES D12).
    pub fn add(&self, entry: Arc<DiskEntry>) -> Result<()> {
        let mut disks = self.disks.write();
        if disks.by_name.contains_key(entry.name()) {
            let name = entry.name().as_str();
            return Err(Error::new(ErrorKind::Exists, format!("a disk named {name:?} exists"))
                .remedy("choose another name; see: evsfs disk list"));
        }
        disks.by_name.insert(entry.name().clone(), entry.clone());
        disks.by_id.insert(entry.id(), entry);
        Ok(())
    }

    /// Takes a name for a disk that is about to be made, in the status it has meanwhile.
    ///
    /// # Errors
    /// As [`Catalogue::add`].
    pub fn reserve(&self, record: DiskRecord, status: DiskStatus) -> Result<Reservation> {
        let entry = Arc::new(DiskEntry::new(record, status));
        self.add(entry.clone())?;
        Ok(Reservation { catalogue: self.clone(), entry, is_made: false })
    }

    /// Takes a disk out.
    pub fn remove(&self, entry: &DiskEntry) {
        let mut disks = self.disks.write();
        disks.by_name.remove(entry.name());
        disks.by_id.remove(&entry.id());
    }

    /// The disk with this name.
    pub fn by_name(&self, name: &Name) -> Option<Arc<DiskEntry>> {
        self.disks.read().by_name.get(name).cloned()
    }

    /// The disk with this id.
    pub fn by_id(&self, id: DiskId) -> Option<Arc<DiskEntry>> {
        self.disks.read().by_id.get(&id).cloned()
    }

    /// All disks, sorted by name.
    pub fn all(&self) -> Vec<Arc<DiskEntry>> {
        self.disks.read().by_name.values().cloned().collect()
    }
}
