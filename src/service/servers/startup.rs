//! Servers of the last daemon, and finding them.

use super::entry::{ServerEntry, ServerStatus};
use super::record::{DiskRole, Membership, ServerRecord};
use crate::auth::{Action, Caller, Permit};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Name, ServerId};
use crate::records::{RecordPath, Records};
use crate::service::{DiskEntry, Service, Stage};
use std::collections::HashMap;
use std::sync::Arc;

/// Servers that a crash left half-made or half-deleted.
#[derive(Default)]
pub(in crate::service) struct UnfinishedServers(HashMap<ServerId, ServerRecord>);

/// What becomes of a disk of such a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Fate {
    /// It stays as it is.
    Stays,
    /// It stays and belongs to no server any more.
    IsFreed,
    /// It goes with its server.
    Goes,
}

impl UnfinishedServers {
    /// What becomes of a disk with this part in a server.
    pub fn fate_of(&self, member: Option<Membership>) -> Fate {
        let Some(member) = member else { return Fate::Stays };
        let Some(server) = self.0.get(&member.id) else { return Fate::Stays };
        let goes = server.stage == Stage::Creating
            || member.role == DiskRole::System
            || server.with_data_disks;
        if goes { Fate::Goes } else { Fate::IsFreed }
    }
}

/// Looks whether a server's record in a state directory that no daemon works on can be read.
///
/// # Errors
/// `integrity`, naming what is damaged.
pub fn check_server_record(records: &Records, name: &str) -> Result<()> {
    let id = ServerRecord::id_of(name).ok_or_else(|| {
        Error::new(ErrorKind::Integrity, format!("servers/{name} is not the record of a server"))
    })?;
    load(records, id).map(drop)
}

fn load(records: &Records, id: ServerId) -> Result<ServerRecord> {
    let path = ServerRecord::path_of(id)?;
    match records.load::<ServerRecord>(&path)? {
        Some(record) if record.id == id => Ok(record),
        _ => {
            let message = format!("{path} is not the server's record");
            Err(Error::new(ErrorKind::Integrity, message))
        }
    }
}

impl Service {
    /// Reads all servers; to be called before the disks are read. A damaged record is left out and
    /// logged.
    ///
    /// # Errors
    /// `io` when the state directory cannot be read.
    pub(in crate::service) fn load_servers(&self) -> Result<UnfinishedServers> {
        let mut unfinished = UnfinishedServers::default();
        for name in self.records.list(&RecordPath::parse("servers")?)? {
            let Some(id) = ServerRecord::id_of(&name) else { continue };
            let loaded = load(&self.records, id).and_then(|record| match record.stage {
                Stage::Ready => {
                    self.servers.add(Arc::new(ServerEntry::new(record, ServerStatus::Active)))
                }
                Stage::Creating | Stage::Deleting => {
                    unfinished.0.insert(id, record);
                    Ok(())
                }
            });
            if let Err(error) = loaded {
                self.leave_out("server", &id.to_string(), &error);
            }
        }
        Ok(unfinished)
    }

    /// Forgets servers whose disks are gone or free.
    pub(in crate::service) fn end_unfinished_servers(&self, unfinished: UnfinishedServers) {
        for id in unfinished.0.into_keys() {
            log::info!("event=unfinished-removed server={id}");
            let removed = ServerRecord::path_of(id).and_then(|path| self.records.remove(&path));
            if let Err(error) = removed {
                log::warn!("event=record-not-removed server={id} error=\"{error}\"");
            }
        }
    }

    /// The disks of a server, the system disk first.
    pub(in crate::service) fn disks_of_server(
        &self,
        id: ServerId,
    ) -> Vec<(Arc<DiskEntry>, DiskRole)> {
        let mut disks: Vec<_> = self
            .catalogue
            .all()
            .into_iter()
            .filter_map(|disk| {
                let member = disk.state().record.server.filter(|member| member.id == id)?;
                Some((disk, member.role))
            })
            .collect();
        disks.sort_by_key(|(_, role)| *role == DiskRole::Data);
        disks
    }

    /// The server of that name, if the caller may use it.
    ///
    /// # Errors
    /// `not-found`, also for the server of another owner (RULES A7); `denied` for strangers.
    pub(in crate::service) fn usable_server(
        &self,
        caller: Caller,
        name: &Name,
    ) -> Result<(Arc<ServerEntry>, Permit)> {
        let _known = self.permit(caller, Action::EnterControl)?;
        let missing = || {
            let message = format!("there is no server named {:?}", name.as_str());
            Error::new(ErrorKind::NotFound, message).remedy("evsfs server list")
        };
        let entry = self.servers.by_name(name).ok_or_else(missing)?;
        match self.permit(caller, Action::UseObject { owner: entry.owner() }) {
            Ok(permit) => Ok((entry, permit)),
            Err(refusal) if refusal.kind() == ErrorKind::NotFound => Err(missing()),
            Err(refusal) => Err(refusal),
        }
    }

    /// The server with this id, if the caller may see it.
    pub fn visible_server(&self, caller: Caller, id: ServerId) -> Option<Arc<ServerEntry>> {
        self.servers.by_id(id).filter(|entry| self.may_see_server(caller, entry))
    }

    /// The server with this name, if the caller may see it.
    pub fn visible_server_named(&self, caller: Caller, name: &Name) -> Option<Arc<ServerEntry>> {
        self.servers.by_name(name).filter(|entry| self.may_see_server(caller, entry))
    }

    /// All servers a caller may see, sorted by name.
    pub fn visible_servers(&self, caller: Caller) -> Vec<Arc<ServerEntry>> {
        let mut entries = self.servers.all();
        entries.retain(|entry| self.may_see_server(caller, entry));
        entries
    }

    fn may_see_server(&self, caller: Caller, entry: &ServerEntry) -> bool {
        self.authority.allows(caller, Action::UseObject { owner: entry.owner() })
    }
}
