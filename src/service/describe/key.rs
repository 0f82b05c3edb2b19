//! Master keys.

use super::time::shown_time;
use crate::auth::{Action, Caller};
use crate::id::{Alias, KeyId, Name};
use crate::kms::{ImportParameters, KeyView, Origin};
use crate::service::Service;
use crate::service::dependants::{Dependants, Held};
use serde::Serialize;

/// What is shown as the state of a key whose record cannot be used.
pub(super) const DAMAGED: &str = "damaged";

/// A key; the fields are the files of its control directory.
#[derive(Debug, Clone, Serialize)]
pub struct KeyInfo {
    /// Its id.
    pub id: KeyId,
    /// Its alias; its id when it is damaged.
    pub alias: Alias,
    /// `enabled`, `disabled`, `pending-deletion` or `pending-import`; `damaged` when its record cannot
    /// be used, and then the description says why.
    pub state: &'static str,
    /// `kms` or `external`; `unknown` when it is damaged.
    pub origin: &'static str,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it will be destroyed, RFC 3339.
    pub deletion_date: Option<String>,
    /// The newest version.
    pub version: u32,
    /// `off`, or the interval in days.
    pub rotation: String,
    /// When the next automatic rotation is due, RFC 3339.
    pub rotation_date: Option<String>,
    /// When imported material is given up, RFC 3339.
    pub expiry_date: Option<String>,
    /// Every version, the oldest first.
    pub versions: Vec<VersionInfo>,
    /// Its description.
    pub description: String,
    /// Until when its destruction waits, RFC 3339: the deletion date has passed by a clock that is
    /// in doubt (RULES K10).
    pub deletion_waits_until: Option<String>,
    /// The disks under it that the caller may see.
    pub disks: Vec<Name>,
    /// Those of them that are attached.
    pub attached_disks: Vec<Name>,
    /// How many more disks are under it; none for a caller who may not know, who manages no keys.
    pub foreign_disks: Option<usize>,
    /// The backups under it that the caller may see.
    pub backups: Vec<Name>,
    /// How many more backups are under it; as for disks.
    pub foreign_backups: Option<usize>,
    /// The images under it that the caller may see.
    pub images: Vec<Name>,
    /// How many more images are under it; none for a caller who may not know.
    pub foreign_images: Option<usize>,
}

/// A version of a key.
#[derive(Debug, Clone, Serialize)]
pub struct VersionInfo {
    /// Its number, counted from 1.
    pub version: u32,
    /// When it got its material, RFC 3339.
    pub created: String,
    /// How many disks have their data key wrapped by it: all, for those who manage keys; for others, of
    /// those they may see.
    pub disks: usize,
    /// How many backups, as for disks.
    pub backups: usize,
    /// How many images, as for disks.
    pub images: usize,
}

/// What a customer needs to wrap key material.
#[derive(Debug, Clone, Serialize)]
pub struct ImportParametersInfo {
    /// The key the material is for.
    pub alias: Alias,
    /// How to wrap.
    pub algorithm: &'static str,
    /// Under what: PEM, SubjectPublicKeyInfo.
    pub public_key: String,
    /// Names this import key; no secret.
    pub token: String,
    /// Until when it can be used, RFC 3339; the end of the daemon ends it too.
    pub valid_until: String,
}

impl From<ImportParameters> for ImportParametersInfo {
    fn from(made: ImportParameters) -> Self {
        let ImportParameters { alias, algorithm, public_key, token, valid_until } = made;
        let valid_until = shown_time(valid_until);
        ImportParametersInfo { alias, algorithm, public_key, token, valid_until }
    }
}

impl Service {
    /// All keys as replies show them, the default key first, damaged ones last.
    pub(in crate::service) fn describe_keys(&self, caller: Caller) -> Vec<KeyInfo> {
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
            foreign_disks: self.foreign_count(caller, dependants.foreign),
            foreign_backups: self.foreign_count(caller, dependants.foreign_backups),
            foreign_images: self.foreign_count(caller, dependants.foreign_images),
            disks: dependants.disks,
            attached_disks: dependants.attached,
            backups: dependants.backups,
            images: dependants.images,
        }
    }

    /// How many there are of other owners, for those who may know.
    fn foreign_count(&self, caller: Caller, count: usize) -> Option<usize> {
        self.authority.allows(caller, Action::ManageKeys).then_some(count)
    }

    /// A key as replies and control files show it.
    pub fn describe_key(&self, caller: Caller, view: &KeyView) -> KeyInfo {
        let dependants = self.dependants_of(caller, view.id);
        self.key_info(caller, view, dependants)
    }

    fn key_info(&self, caller: Caller, view: &KeyView, dependants: Dependants) -> KeyInfo {
        let versions = (1..).zip(&view.versions).map(|(version, created)| {
            let Held { disks, backups, images } =
                dependants.held.get(&version).copied().unwrap_or_default();
            VersionInfo { version, created: shown_time(*created), disks, backups, images }
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
            foreign_disks: self.foreign_count(caller, dependants.foreign),
            foreign_backups: self.foreign_count(caller, dependants.foreign_backups),
            foreign_images: self.foreign_count(caller, dependants.foreign_images),
            backups: dependants.backups,
            disks: dependants.disks,
            attached_disks: dependants.attached,
            images: dependants.images,
        }
    }
}
