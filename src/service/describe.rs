//! Replies about what there is.

use super::catalogue::DiskEntry;
use super::dependants::Dependants;
use super::execute::Service;
use super::reply::{DiskInfo, KeyInfo, StatusInfo, VersionInfo, shown_time};
use crate::auth::{AGENCY_NAME, Action, Caller, Permit};
use crate::disk::Access;
use crate::error::Result;
use crate::kms::{KeyView, Origin};

impl Service {
    pub(super) fn list_disks(&self, caller: Caller) -> Result<Vec<DiskInfo>> {
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
        let view = key.map(|id| (id, self.kms.by_id(id).ok()));
        DiskInfo {
            id: record.id,
            name: entry.name().clone(),
            status: status.name(),
            size: record.size().get(),
            encrypted: record.is_encrypted(),
            key: view.as_ref().map(|(id, view)| match view {
                Some(view) => view.alias.to_string(),
                None => id.to_string(),
            }),
            key_state: view.as_ref().map(|(_, view)| match view {
                Some(view) => view.state.name(),
                None => "gone",
            }),
            key_version: record.dk.as_ref().map(|dk| dk.version),
            sector_size: record.sector_size().len().get(),
            owner: record.owner,
            created: record.created().to_owned(),
            attached: attachment.is_some(),
            read_only: attachment.is_some_and(|open| open.access() == Access::ReadOnly),
            source: None,
            server: None,
            error: record.error,
        }
    }

    /// All keys as replies show them, the default key first.
    pub(super) fn describe_keys(&self, caller: Caller) -> Vec<KeyInfo> {
        let mut all = self.dependants_by_key(caller);
        self.kms
            .list()
            .iter()
            .map(|view| self.key_info(caller, view, all.remove(&view.id).unwrap_or_default()))
            .collect()
    }

    /// A key as replies and control files show it.
    pub fn describe_key(&self, caller: Caller, view: &KeyView) -> KeyInfo {
        let dependants = self.dependants_of(caller, view.id);
        self.key_info(caller, view, dependants)
    }

    pub(super) fn describe_mount(&self, permit: &Permit) -> Result<StatusInfo> {
        let caller = permit.caller();
        Ok(StatusInfo {
            mountpoint: self.settings.mountpoint.display().to_string(),
            state_dir: self.settings.state_dir.display().to_string(),
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started: shown_time(self.started),
            agency: self.project.has_agency().then_some(AGENCY_NAME),
            region: self.settings.region.clone(),
            project: self.settings.project.clone(),
            disks: self.list_disks(caller)?,
            keys: self.describe_keys(caller),
        })
    }

    fn key_info(&self, caller: Caller, view: &KeyView, dependants: Dependants) -> KeyInfo {
        let versions = (1..).zip(&view.versions).map(|(version, created)| VersionInfo {
            version,
            created: shown_time(*created),
            disks: dependants.held.get(&version).copied().unwrap_or(0),
        });
        KeyInfo {
            id: view.id,
            alias: view.alias.clone(),
            state: view.state.name(),
            origin: match view.origin {
                Origin::Kms => "kms",
                Origin::External => "external",
            },
            created: shown_time(view.created),
            deletion_date: view.deletion_date.map(shown_time),
            version: view.version,
            rotation: view.rotation_days.map_or("off".to_owned(), |days| days.to_string()),
            rotation_date: view.rotation_date.map(shown_time),
            expiry_date: view.expiry_date.map(shown_time),
            versions: versions.collect(),
            description: view.description.to_string(),
            deletion_waits_until: self.kms.deletion_waits_until(view).map(shown_time),
            disks: dependants.disks,
            attached_disks: dependants.attached,
            foreign_disks: self
                .authority
                .allows(caller, Action::ManageKeys)
                .then_some(dependants.foreign),
        }
    }
}
