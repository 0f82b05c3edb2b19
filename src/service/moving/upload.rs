//! The content of a disk that comes in, while it is written to `.evs/disks/NAME/data`.
//!
//! Whoever closes `data` before the import is finished, as a program that is killed does, has given it
//! up, and nothing of it is left.

use crate::auth::{Action, Caller};
use crate::disk::Disk;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::DiskId;
use crate::service::catalogue::Reservation;
use crate::service::{DiskEntry, DiskRecord, Service};
use crate::sync::Mutex;
use crate::units::ByteOffset;
use std::collections::HashMap;
use std::sync::Arc;

/// All disks that wait for their content.
#[derive(Default)]
pub(in crate::service) struct Uploads {
    // Protects membership only.
    by_disk: Mutex<HashMap<DiskId, Arc<Staging>>>,
}

/// A disk that waits for its content.
pub(in crate::service) struct Staging {
    disk: Disk,
    // Protects what the finished disk takes over, and whether somebody writes.
    state: Mutex<State>,
}

struct State {
    unmade: Option<Unmade>,
    has_writer: bool,
}

/// What becomes the disk: its name, and its record.
type Unmade = (Reservation, DiskRecord);

/// `data`, open. Dropping it gives the import up unless it was finished.
pub struct DiskUpload {
    service: Arc<Service>,
    id: DiskId,
    staging: Arc<Staging>,
}

impl Uploads {
    pub(super) fn add(&self, id: DiskId, staging: Staging) {
        self.by_disk.lock().insert(id, Arc::new(staging));
    }

    fn get(&self, id: DiskId) -> Option<Arc<Staging>> {
        self.by_disk.lock().get(&id).cloned()
    }

    /// Takes a disk out; only one taker gets what becomes the disk.
    pub(super) fn take(&self, id: DiskId) -> Option<(Arc<Staging>, Unmade)> {
        let staging = self.by_disk.lock().remove(&id)?;
        let unmade = staging.state.lock().unmade.take()?;
        Some((staging, unmade))
    }

    /// Wipes the data keys of all; the next start removes what they were.
    pub(in crate::service) fn revoke_all(&self) {
        let all: Vec<_> = self.by_disk.lock().values().cloned().collect();
        all.iter().for_each(|staging| staging.disk.revoke());
    }
}

impl Staging {
    pub(super) fn new(disk: Disk, reservation: Reservation, record: DiskRecord) -> Staging {
        let state = State { unmade: Some((reservation, record)), has_writer: false };
        Staging { disk, state: Mutex::new(state) }
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }
}

impl Service {
    /// Whether a disk waits for its content.
    pub fn awaits_content(&self, id: DiskId) -> bool {
        self.uploads.get(id).is_some()
    }

    /// Opens `data` of a disk that waits for its content.
    ///
    /// # Errors
    /// `wrong-status` when it does not; `in-use` when somebody writes it.
    pub fn open_disk_upload(&self, caller: Caller, entry: &DiskEntry) -> Result<DiskUpload> {
        let _permit = self.permit(caller, Action::UseObject { owner: entry.owner() })?;
        let (service, name) = (self.itself()?, entry.name().as_str());
        let Some(staging) = self.uploads.get(entry.id()) else {
            let message = format!("disk {name:?} does not wait for content");
            return Err(Error::new(ErrorKind::WrongStatus, message).code(Code::EVS_1046));
        };
        let mut state = staging.state.lock();
        if std::mem::replace(&mut state.has_writer, true) {
            let message = format!("disk {name:?} is being written by somebody");
            return Err(Error::new(ErrorKind::InUse, message).code(Code::EVS_1046));
        }
        drop(state);
        Ok(DiskUpload { service, id: entry.id(), staging })
    }

    /// Whether a disk is one that is being imported.
    pub(in crate::service) fn has_upload(&self, id: DiskId) -> bool {
        self.uploads.get(id).is_some()
    }

    /// Gives an import up that is not finished; whether there was one.
    pub(in crate::service) fn abort_upload(&self, id: DiskId) -> bool {
        let Some((staging, (reservation, record))) = self.uploads.take(id) else { return false };
        staging.disk.revoke();
        let why = Error::new(ErrorKind::WrongStatus, "its import was given up");
        self.give_up(reservation, record, &why);
        log::info!("event=import-given-up disk={id}");
        true
    }

    /// Removes what has become of a disk that is not made, and gives its name back.
    pub(super) fn give_up(&self, reservation: Reservation, mut record: DiskRecord, why: &Error) {
        if !self.unmake(&record) {
            record.error = Some(format!("it could not be imported, nor removed: {why}"));
            reservation.damaged(record);
        }
    }
}

impl DiskUpload {
    /// Writes at `offset`; returns how many bytes were taken.
    ///
    /// # Errors
    /// `no-space` past the end of the disk or on a full medium; `detached` once it is finished.
    pub fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<usize> {
        self.staging.disk.write_at(offset, bytes)
    }

    /// Lends what was written, to be compared.
    ///
    /// # Errors
    /// `io`; `detached` once it is finished.
    pub fn read_with<R>(
        &self,
        offset: ByteOffset,
        len: usize,
        deliver: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        self.staging.disk.read_with(offset, len, deliver)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// `io`, `no-space`; `detached` once it is finished.
    pub fn flush(&self) -> Result<()> {
        self.staging.disk.flush()
    }
}

impl Drop for DiskUpload {
    fn drop(&mut self) {
        self.staging.state.lock().has_writer = false;
        // There is none when it was finished, which is how it should be.
        self.service.abort_upload(self.id);
    }
}
