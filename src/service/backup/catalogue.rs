//! The backups of the project, by name and by id.

use super::import::Received;
use super::record::BackupRecord;
use super::status::{BackupEvent, BackupStatus};
use super::stream::{InStream, Streams};
use crate::archive::ArchiveRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BackupId, DiskId, Name, Uid};
use crate::sync::{Mutex, MutexGuard, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A backup that exists, or is being made.
pub struct BackupEntry {
    id: BackupId,
    name: Name,
    owner: Uid,
    // Protects all that changes. A leaf: nothing is called under it.
    state: Mutex<BackupState>,
}

/// The changing part of a [`BackupEntry`].
pub struct BackupState {
    /// Where in its life the backup is.
    pub status: BackupStatus,
    /// The record as it was last saved.
    pub record: BackupRecord,
    /// The damage that was found in it since the daemon started, until it is verified.
    pub error: Option<String>,
    /// Whether somebody writes its content.
    pub(super) has_writer: bool,
    /// Where the content goes meanwhile.
    pub(super) upload: Option<Arc<InStream<Received>>>,
    // Readers of chains that it is part of.
    holds: usize,
}

/// All backups.
#[derive(Default)]
pub struct Backups {
    // Protects membership, and makes holding a chain and beginning a deletion one step each. Held
    // for look-ups only, never across I/O.
    members: RwLock<Members>,
    streams: Streams,
}

#[derive(Default)]
struct Members {
    by_name: BTreeMap<Name, Arc<BackupEntry>>,
    by_id: HashMap<BackupId, Arc<BackupEntry>>,
}

impl BackupState {
    /// The status while it is being deleted.
    fn deleted(&self, entry: &BackupEntry) -> Result<BackupStatus> {
        self.must_not_be_read(entry)?;
        self.status.moved_by(BackupEvent::Delete, entry.name(), "delete")
    }

    fn must_not_be_read(&self, entry: &BackupEntry) -> Result<()> {
        if self.holds == 0 {
            return Ok(());
        }
        let message = format!("backup {:?} is being read", entry.name().as_str());
        Err(Error::new(ErrorKind::InUse, message)
            .remedy("evsfs job list, and try again when its reader has ended"))
    }
}

impl BackupEntry {
    /// A backup with this record in this status.
    pub fn new(record: BackupRecord, status: BackupStatus) -> Self {
        BackupEntry {
            id: record.id,
            name: record.name.clone(),
            owner: record.owner,
            state: Mutex::new(BackupState {
                status,
                record,
                error: None,
                has_writer: false,
                upload: None,
                holds: 0,
            }),
        }
    }

    /// The backup's id.
    pub fn id(&self) -> BackupId {
        self.id
    }

    /// The backup's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The backup's owner.
    pub fn owner(&self) -> Uid {
        self.owner
    }

    /// The changing part, locked.
    pub fn state(&self) -> MutexGuard<'_, BackupState> {
        self.state.lock()
    }

    /// The backup whose changes it holds alone; `None` for a full one.
    pub fn parent(&self) -> Option<BackupId> {
        self.state().record.archive.as_ref().and_then(ArchiveRecord::parent)
    }

    /// Moves the status on at the end of work.
    pub(super) fn end(&self, event: BackupEvent) {
        let mut state = self.state.lock();
        match state.status.after(event) {
            Some(next) => state.status = next,
            None => {
                let (id, status) = (self.id, state.status.name());
                log::error!("event=impossible backup={id} status={status} ending={event:?}");
            }
        }
    }

    pub(super) fn release(&self) {
        self.state.lock().holds -= 1;
    }
}

impl Backups {
    /// Adds a backup.
    ///
    /// # Errors
    /// `exists` when the name is taken, by whomever.
    pub fn add(&self, entry: Arc<BackupEntry>) -> Result<()> {
        let mut members = self.members.write();
        if members.by_name.contains_key(entry.name()) {
            let name = entry.name().as_str();
            return Err(Error::new(ErrorKind::Exists, format!("a backup named {name:?} exists"))
                .remedy("choose another name; see: evsfs backup list"));
        }
        members.by_name.insert(entry.name().clone(), entry.clone());
        members.by_id.insert(entry.id(), entry);
        Ok(())
    }

    /// Takes a backup out.
    pub fn remove(&self, entry: &BackupEntry) {
        let mut members = self.members.write();
        members.by_name.remove(entry.name());
        members.by_id.remove(&entry.id());
    }

    /// The backup with this name.
    pub fn by_name(&self, name: &Name) -> Option<Arc<BackupEntry>> {
        self.members.read().by_name.get(name).cloned()
    }

    /// The backup with this id.
    pub fn by_id(&self, id: BackupId) -> Option<Arc<BackupEntry>> {
        self.members.read().by_id.get(&id).cloned()
    }

    /// All backups, sorted by name.
    pub fn all(&self) -> Vec<Arc<BackupEntry>> {
        self.members.read().by_name.values().cloned().collect()
    }

    /// Exports and imports.
    pub(super) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The newest whole backup made of a disk here that no other is built upon.
    pub(super) fn head_of(&self, disk: DiskId) -> Option<Arc<BackupEntry>> {
        let mut of_disk = self.all();
        of_disk.retain(|entry| {
            let state = entry.state();
            state.record.disk == disk && state.record.imported.is_none()
        });
        let parents: Vec<_> = of_disk.iter().filter_map(|entry| entry.parent()).collect();
        of_disk.retain(|entry| {
            !parents.contains(&entry.id()) && entry.state().status == BackupStatus::Available
        });
        of_disk.into_iter().max_by_key(|entry| (entry.state().record.created, entry.id()))
    }

    /// Holds a backup and all it is built upon, the newest first.
    ///
    /// # Errors
    /// `wrong-status` when one of them is being made, merged or deleted; `integrity` when one is
    /// missing.
    pub(super) fn hold(
        &self,
        newest: &Arc<BackupEntry>,
        verb: &str,
    ) -> Result<Vec<Arc<BackupEntry>>> {
        let members = self.members.write();
        let mut chain = vec![newest.clone()];
        loop {
            let last = &chain[chain.len() - 1];
            last.state().status.must_be_available(last.name(), verb)?;
            let Some(parent) = last.parent() else { break };
            let parent = members.by_id.get(&parent).filter(|_| chain.len() <= members.by_id.len());
            let parent = parent.ok_or_else(|| parent_missing(last))?;
            chain.push(parent.clone());
        }
        chain.iter().for_each(|entry| entry.state().holds += 1);
        Ok(chain)
    }

    /// Begins to wrap a backup's data key anew: nobody reads its record meanwhile.
    ///
    /// # Errors
    /// `wrong-status`; `in-use` while a chain that it is part of is being read.
    pub(super) fn begin_rewrap(&self, entry: &BackupEntry) -> Result<()> {
        let _members = self.members.write();
        let mut state = entry.state();
        state.must_not_be_read(entry)?;
        state.status = state.status.moved_by(BackupEvent::Rewrap, entry.name(), "rewrap")?;
        Ok(())
    }

    /// Begins to delete a backup, and to merge it into those that are built upon it.
    ///
    /// # Errors
    /// `wrong-status`; `in-use` while a chain that it is part of is being read.
    pub(super) fn begin_deletion(&self, entry: &BackupEntry) -> Result<Vec<Arc<BackupEntry>>> {
        let members = self.members.write();
        let children = members.children_of(entry)?;
        let mut state = entry.state();
        state.status = state.deleted(entry)?;
        drop(state);
        children.iter().for_each(|child| child.end(BackupEvent::Merge));
        Ok(children)
    }

    /// Refuses what [`Backups::begin_deletion`] would refuse, and begins nothing; the backups that are
    /// built upon it.
    ///
    /// # Errors
    /// As [`Backups::begin_deletion`].
    pub(super) fn check_deletion(&self, entry: &BackupEntry) -> Result<Vec<Arc<BackupEntry>>> {
        let children = self.members.read().children_of(entry)?;
        entry.state().deleted(entry)?;
        Ok(children)
    }
}

impl Members {
    /// The backups that are built upon one, which must be there to take over what they need of it.
    fn children_of(&self, entry: &BackupEntry) -> Result<Vec<Arc<BackupEntry>>> {
        let mut children: Vec<_> = self.by_id.values().cloned().collect();
        children.retain(|child| child.parent() == Some(entry.id()));
        for child in &children {
            child.state().status.must_be_available(child.name(), "delete of its parent")?;
        }
        Ok(children)
    }
}

fn parent_missing(child: &BackupEntry) -> Error {
    let message = format!("the backup that {:?} is built upon is missing", child.name().as_str());
    Error::new(ErrorKind::Integrity, message)
        .remedy("put its directory back from a copy of the state directory")
}
