//! Replies about what there is.

use super::catalogue::DiskEntry;
use super::dependants::Dependants;
use super::execute::Service;
use super::reply::{DiskInfo, KeyInfo, StatusInfo, VersionInfo, shown_time};
use crate::auth::{AGENCY_NAME, Action, Caller, Permit};
use crate::disk::Access;
use crate::error::{ErrorKind, Result};
use crate::id::{Alias, KeyId};
use crate::kms::{KeyView, Origin};

/// What is shown as the state of a key whose record cannot be used.
const DAMAGED: &str = "damaged";

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
            source: None,
            server: None,
            error: record.error,
        }
    }

    /// All keys as replies show them, the default key first, damaged ones last.
    pub(super) fn describe_keys(&self, caller: Caller) -> Vec<KeyInfo> {
        let mut all = self.dependants_by_key(caller);
        let mut of = |id| all.remove(&id).unwrap_or_default();
        let keys = self.kms.list();
        let sound = keys.iter().map(|view| self.key_info(caller, view, of(view.id)));
        let mut keys: Vec<KeyInfo> = sound.collect();
        for key in self.kms.damaged() {
            // What is no key's file is in the log and in `evsfs check` only.
            if let Some(id) = key.id
                && let Ok(alias) = Alias::parse(&id.to_string())
            {
                keys.push(self.damaged_key_info(caller, id, alias, &key.problem, of(id)));
            }
        }
        keys
    }

    /// A key of which nothing is known but its id, which stands in the place of its alias.
    fn damaged_key_info(
        &self,
        caller: Caller,
        id: KeyId,
        alias: Alias,
        problem: &str,
        dependants: Dependants,
    ) -> KeyInfo {
        let foreign_disks = self.foreign_count(caller, &dependants);
        KeyInfo {
            id,
            alias,
            state: DAMAGED,
            origin: "unknown",
            created: String::new(),
            deletion_date: None,
            version: 0,
            rotation: String::new(),
            rotation_date: None,
            expiry_date: None,
            versions: Vec::new(),
            description: problem.to_owned(),
            deletion_waits_until: None,
            disks: dependants.disks,
            attached_disks: dependants.attached,
            foreign_disks,
        }
    }

    fn foreign_count(&self, caller: Caller, dependants: &Dependants) -> Option<usize> {
        self.authority.allows(caller, Action::ManageKeys).then_some(dependants.foreign)
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
            foreign_disks: self.foreign_count(caller, &dependants),
            disks: dependants.disks,
            attached_disks: dependants.attached,
        }
    }
}
