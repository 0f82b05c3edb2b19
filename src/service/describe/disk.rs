//! Disks.

use super::key::DAMAGED;
use crate::auth::{Action, Caller};
use crate::disk::Access;
use crate::error::{ErrorKind, Result};
use crate::id::{DiskId, Name, Uid};
use crate::service::{DiskEntry, Service};
use serde::Serialize;

/// A disk; the fields are the files of its control directory.
#[derive(Debug, Clone, Serialize)]
pub struct DiskInfo {
    /// Its id for life.
    pub id: DiskId,
    /// Its name.
    pub name: Name,
    /// Its status.
    pub status: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is encrypted, for life.
    pub encrypted: bool,
    /// The alias of its master key, or the key's id when the key is gone or damaged.
    pub key: Option<String>,
    /// `enabled`, `disabled`, `pending-deletion`, `pending-import`, `gone` or `damaged`.
    pub key_state: Option<&'static str>,
    /// The version of the master key that wraps its data key.
    pub key_version: Option<u32>,
    /// The sector size in bytes.
    pub sector_size: u64,
    /// The uid of its owner.
    pub owner: Uid,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Whether it is a file in the mount.
    pub attached: bool,
    /// Whether it is attached for reading only.
    pub read_only: bool,
    /// What it was made from.
    pub source: Option<String>,
    /// The server it belongs to.
    pub server: Option<Name>,
    /// Why it is not usable, or was not attached again.
    pub error: Option<String>,
}

impl Service {
    pub(in crate::service) fn list_disks(&self, caller: Caller) -> Result<Vec<DiskInfo>> {
        let _permit = self.permit(caller, Action::EnterControl)?;
        Ok(self.visible_disks(caller).iter().map(|entry| self.describe_disk(entry)).collect())
    }

    /// A disk as replies and control files show it.
    pub fn describe_disk(&self, entry: &DiskEntry) -> DiskInfo {
        let state = entry.state();
        let (record, attachment) = (state.record.clone(), state.attachment.clone());
        let status = state.status;
        drop(state);
        let key = record.dk.as_ref().map(|dk| dk.key);
        let view = key.map(|id| (id, self.kms.by_id(id)));
        DiskInfo {
            id: record.id,
            name: entry.name().clone(),
            status: status.name(),
            size: record.size().get(),
            encrypted: record.is_encrypted(),
            key: view.as_ref().map(|(id, view)| match view {
                Ok(view) => view.alias.to_string(),
                Err(_) => id.to_string(),
            }),
            key_state: view.as_ref().map(|(_, view)| match view {
                Ok(view) => view.state.name(),
                Err(error) if error.kind() == ErrorKind::KeyGone => "gone",
                Err(_) => DAMAGED,
            }),
            key_version: record.dk.as_ref().map(|dk| dk.version),
            sector_size: record.sector_size().len().get(),
            owner: record.owner,
            created: record.created().to_owned(),
            attached: attachment.is_some(),
            read_only: attachment.is_some_and(|open| open.access() == Access::ReadOnly),
            source: record.source,
            server: record
                .server
                .and_then(|member| self.servers.by_id(member.id))
                .map(|server| server.name().clone()),
            error: record.error,
        }
    }
}
