//! What depends on a key, disks and images: the blast radius of disabling or deleting it.

use super::backup::BackupEntry;
use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::images::ImageEntry;
use crate::auth::{Action, Caller};
use crate::id::{KeyId, Name};
use std::collections::{BTreeMap, HashMap};

/// The disks under one key, as one caller may know of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Dependants {
    /// Those the caller may see, sorted.
    pub disks: Vec<Name>,
    /// Those of them that are attached.
    pub attached: Vec<Name>,
    /// The backups under it that the caller may see, sorted.
    pub backups: Vec<Name>,
    /// How many more backups there are.
    pub foreign_backups: usize,
    /// How many more disks there are, for callers who manage keys: the names of other owners' disks are
    /// not theirs to know (RULES A7), but they must not take a key for unused that is not.
    pub foreign: usize,
    /// The images under it that the caller may see, sorted.
    pub images: Vec<Name>,
    /// How many more images there are, as for disks.
    pub foreign_images: usize,
    /// How many data keys each version of the key has wrapped: all for callers who manage keys, since
    /// the number tells whether an old version is still needed; for others, of what they may see.
    pub held: BTreeMap<u32, Held>,
}

/// What has its data key wrapped by one version of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub disks: usize,
    pub backups: usize,
    pub images: usize,
}

impl Service {
    /// What depends on one key.
    pub(super) fn dependants_of(&self, caller: Caller, key: KeyId) -> Dependants {
        let mut dependants = Dependants::default();
        for entry in self.catalogue.all() {
            if let Some((_, version)) = version_of(&entry).filter(|(of, _)| *of == key) {
                self.add_dependant(caller, &entry, version, &mut dependants);
            }
        }
        for backup in self.backups.all() {
            if let Some((_, version)) = version_of_backup(&backup).filter(|(of, _)| *of == key) {
                self.add_backup(caller, &backup, version, &mut dependants);
            }
        }
        for entry in self.images.all() {
            if let Some((_, version)) = version_of_image(&entry).filter(|(of, _)| *of == key) {
                self.add_image(caller, &entry, version, &mut dependants);
            }
        }
        dependants
    }

    /// What depends on each key, found in one pass over disks and images.
    pub(super) fn dependants_by_key(&self, caller: Caller) -> HashMap<KeyId, Dependants> {
        let mut all = HashMap::new();
        for entry in self.catalogue.all() {
            if let Some((key, version)) = version_of(&entry) {
                self.add_dependant(caller, &entry, version, all.entry(key).or_default());
            }
        }
        for backup in self.backups.all() {
            if let Some((key, version)) = version_of_backup(&backup) {
                self.add_backup(caller, &backup, version, all.entry(key).or_default());
            }
        }
        for entry in self.images.all() {
            if let Some((key, version)) = version_of_image(&entry) {
                self.add_image(caller, &entry, version, all.entry(key).or_default());
            }
        }
        all
    }

    fn add_backup(
        &self,
        caller: Caller,
        backup: &BackupEntry,
        version: u32,
        dependants: &mut Dependants,
    ) {
        let allows = |action| self.authority.allows(caller, action);
        let is_visible = allows(Action::UseObject { owner: backup.owner() });
        if is_visible || allows(Action::ManageKeys) {
            dependants.held.entry(version).or_default().backups += 1;
        }
        match is_visible {
            true => dependants.backups.push(backup.name().clone()),
            false => dependants.foreign_backups += 1,
        }
    }

    fn add_image(
        &self,
        caller: Caller,
        entry: &ImageEntry,
        version: u32,
        dependants: &mut Dependants,
    ) {
        let allows = |action| self.authority.allows(caller, action);
        let is_visible = allows(Action::UseObject { owner: entry.owner() });
        if is_visible || allows(Action::ManageKeys) {
            dependants.held.entry(version).or_default().images += 1;
        }
        match is_visible {
            true => dependants.images.push(entry.name().clone()),
            false => dependants.foreign_images += 1,
        }
    }

    fn add_dependant(
        &self,
        caller: Caller,
        entry: &DiskEntry,
        version: u32,
        dependants: &mut Dependants,
    ) {
        let allows = |action| self.authority.allows(caller, action);
        let is_visible = allows(Action::UseObject { owner: entry.owner() });
        if is_visible || allows(Action::ManageKeys) {
            dependants.held.entry(version).or_default().disks += 1;
        }
        if is_visible {
            dependants.disks.push(entry.name().clone());
            if entry.state().attachment.is_some() {
                dependants.attached.push(entry.name().clone());
            }
        } else {
            dependants.foreign += 1;
        }
    }
}

/// The key that opens a backup, once it is whole.
fn version_of_backup(backup: &BackupEntry) -> Option<(KeyId, u32)> {
    let state = backup.state();
    let sealing = state.record.archive.as_ref()?.sealing()?;
    Some((sealing.dk.key, sealing.dk.version))
}

fn version_of_image(entry: &ImageEntry) -> Option<(KeyId, u32)> {
    let state = entry.state();
    let sealing = state.record.archive.as_ref()?.sealing()?;
    Some((sealing.dk.key, sealing.dk.version))
}

fn version_of(entry: &DiskEntry) -> Option<(KeyId, u32)> {
    entry.state().record.dk.as_ref().map(|dk| (dk.key, dk.version))
}
