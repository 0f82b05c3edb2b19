//! A server that exists, and all of them.

use super::record::ServerRecord;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{Name, ServerId, Uid};
use crate::sync::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Where a server is in its life.
///
/// ```text
/// creating ──▶ active ──delete──▶ deleting ──▶ (gone)
///     │ failed   ▲ │ refused          │ failed
///     ▼          └─┘                  ▼
///   (gone)                      error-deleting ──delete──▶ deleting
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerStatus {
    /// A job makes its disks.
    Creating,
    /// Its disks are there.
    Active,
    /// Its disks are being removed.
    Deleting,
    /// Removal failed half-way.
    ErrorDeleting,
}

impl ServerStatus {
    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            ServerStatus::Creating => "creating",
            ServerStatus::Active => "active",
            ServerStatus::Deleting => "deleting",
            ServerStatus::ErrorDeleting => "error-deleting",
        }
    }
}

/// A server that exists, or is being made.
pub struct ServerEntry {
    record: ServerRecord,
    // Protects the status; never held across I/O.
    status: Mutex<ServerStatus>,
}

impl ServerEntry {
    pub(super) fn new(record: ServerRecord, status: ServerStatus) -> Self {
        ServerEntry { record, status: Mutex::new(status) }
    }

    /// The server's id.
    pub fn id(&self) -> ServerId {
        self.record.id
    }

    /// The server's name.
    pub fn name(&self) -> &Name {
        &self.record.name
    }

    /// The server's owner.
    pub fn owner(&self) -> Uid {
        self.record.owner
    }

    /// Its record, whose stage may be behind.
    pub fn record(&self) -> &ServerRecord {
        &self.record
    }

    /// Where it is in its life.
    pub fn status(&self) -> ServerStatus {
        *self.status.lock()
    }

    pub(super) fn becomes(&self, status: ServerStatus) {
        *self.status.lock() = status;
    }

    /// Moves on to `deleting`; gives the status it was in.
    ///
    /// # Errors
    /// `wrong-status` with EVS.1046 while it is being made or deleted.
    pub(super) fn begin_deletion(&self) -> Result<ServerStatus> {
        let mut status = self.status.lock();
        let before = *status;
        match before {
            ServerStatus::Active | ServerStatus::ErrorDeleting => {
                *status = ServerStatus::Deleting;
                Ok(before)
            }
            ServerStatus::Creating | ServerStatus::Deleting => {
                let (name, is) = (self.name().as_str(), before.name());
                let message = format!("server {name:?} is {is} and cannot be deleted");
                Err(Error::new(ErrorKind::WrongStatus, message)
                    .code(Code::EVS_1046)
                    .remedy(format!("evsfs server show {name}")))
            }
        }
    }
}

/// All servers; a clone is the same table.
#[derive(Default, Clone)]
pub struct Servers {
    // Protects membership only; held for look-ups, never across I/O.
    table: Arc<RwLock<Table>>,
}

#[derive(Default)]
struct Table {
    by_name: BTreeMap<Name, Arc<ServerEntry>>,
    by_id: HashMap<ServerId, Arc<ServerEntry>>,
}

impl Servers {
    /// Adds a server.
    ///
    /// # Errors
    /// `exists` when the name is taken, by whomever.
    pub(super) fn add(&self, entry: Arc<ServerEntry>) -> Result<()> {
        let mut table = self.table.write();
        if table.by_name.contains_key(entry.name()) {
            let name = entry.name().as_str();
            return Err(Error::new(ErrorKind::Exists, format!("a server named {name:?} exists"))
                .remedy("choose another name; see: evsfs server list"));
        }
        table.by_name.insert(entry.name().clone(), entry.clone());
        table.by_id.insert(entry.id(), entry);
        Ok(())
    }

    /// Takes a name for a server that is about to be made.
    ///
    /// # Errors
    /// As [`Servers::add`].
    pub(super) fn reserve(&self, record: ServerRecord) -> Result<Reserved> {
        let entry = Arc::new(ServerEntry::new(record, ServerStatus::Creating));
        self.add(entry.clone())?;
        Ok(Reserved { servers: self.clone(), entry, is_kept: false })
    }

    /// Takes a server out.
    pub(super) fn remove(&self, entry: &ServerEntry) {
        let mut table = self.table.write();
        table.by_name.remove(entry.name());
        table.by_id.remove(&entry.id());
    }

    /// The server with this name.
    pub(in crate::service) fn by_name(&self, name: &Name) -> Option<Arc<ServerEntry>> {
        self.table.read().by_name.get(name).cloned()
    }

    /// The server with this id.
    pub(in crate::service) fn by_id(&self, id: ServerId) -> Option<Arc<ServerEntry>> {
        self.table.read().by_id.get(&id).cloned()
    }

    /// All servers, sorted by name.
    pub(in crate::service) fn all(&self) -> Vec<Arc<ServerEntry>> {
        self.table.read().by_name.values().cloned().collect()
    }
}

/// A name taken by a server that is being made. Dropping it gives the name back.
#[must_use = "dropping the reservation gives the name back"]
pub(super) struct Reserved {
    servers: Servers,
    entry: Arc<ServerEntry>,
    is_kept: bool,
}

impl Reserved {
    pub fn entry(&self) -> &Arc<ServerEntry> {
        &self.entry
    }

    /// The server stays.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_kept {
            self.servers.remove(&self.entry);
        }
    }
}
