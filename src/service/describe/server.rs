//! Servers.

use crate::auth::{Action, Caller};
use crate::error::Result;
use crate::id::{Name, ServerId, Uid};
use crate::service::{DiskRole, ServerEntry, Service};
use serde::Serialize;

/// A server; the fields are the files of its control directory.
#[derive(Debug, Clone, Serialize)]
pub struct ServerInfo {
    /// Its id for life.
    pub id: ServerId,
    /// Its name.
    pub name: Name,
    /// `creating`, `active`, `deleting` or `error-deleting`.
    pub status: &'static str,
    /// The image its system disk was made from.
    pub image: Name,
    /// Whether its system disk is encrypted.
    pub encrypted: bool,
    /// Its system disk.
    pub system_disk: Option<Name>,
    /// Its data disks.
    pub data_disks: Vec<Name>,
    /// Whether all its disks are files in the mount.
    pub attached: bool,
    /// The uid of its owner.
    pub owner: Uid,
    /// When it was made, RFC 3339.
    pub created: String,
}

impl Service {
    pub(in crate::service) fn list_servers(&self, caller: Caller) -> Result<Vec<ServerInfo>> {
        let _permit = self.permit(caller, Action::EnterControl)?;
        Ok(self.visible_servers(caller).iter().map(|entry| self.describe_server(entry)).collect())
    }

    /// A server as replies and control files show it.
    pub fn describe_server(&self, entry: &ServerEntry) -> ServerInfo {
        let disks = self.disks_of_server(entry.id());
        let system = disks.iter().find(|(_, role)| *role == DiskRole::System);
        let data = disks.iter().filter(|(_, role)| *role == DiskRole::Data);
        let record = entry.record();
        ServerInfo {
            id: record.id,
            name: record.name.clone(),
            status: entry.status().name(),
            image: record.image.clone(),
            encrypted: system.is_some_and(|(disk, _)| disk.state().record.is_encrypted()),
            system_disk: system.map(|(disk, _)| disk.name().clone()),
            data_disks: data.map(|(disk, _)| disk.name().clone()).collect(),
            attached: system.is_some()
                && disks.iter().all(|(disk, _)| disk.state().attachment.is_some()),
            owner: record.owner,
            created: record.created.clone(),
        }
    }
}
