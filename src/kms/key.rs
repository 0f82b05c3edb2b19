//! A master key as the catalogue knows it: everything but its material.

use super::CmkVersion;
use super::{KeyState, Material, Operation, Outcome};
use crate::error::Code;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::Alias;
use crate::id::Description;
use crate::id::KeyId;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

/// Where a key's material comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The HSM made it.
    Kms,
    /// The administrator imports it.
    External,
}

/// What is asked for when a key is created.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its alias, free and not under `evs/`.
    pub alias: Alias,
    /// Where its material will come from.
    pub origin: Origin,
    /// What it is for.
    pub description: Description,
}

/// A key as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its id for life.
    pub id: KeyId,
    /// Its present alias.
    pub alias: Alias,
    /// Where it is in its life.
    pub state: KeyState,
    /// Where its material comes from.
    pub origin: Origin,
    /// When it was created.
    pub created: Timestamp,
    /// When its material is destroyed, if it is pending deletion.
    pub deletion_date: Option<Timestamp>,
    /// The newest version of its material, which wraps new data keys; 0 before the first.
    pub version: u32,
    /// Days between automatic rotations; `None` when rotation is off.
    pub rotation_days: Option<u32>,
    /// When the next automatic rotation is due.
    pub rotation_date: Option<Timestamp>,
    /// When imported material is given up.
    pub expiry_date: Option<Timestamp>,
    /// When each version got its material, from version 1 on.
    pub versions: Vec<Timestamp>,
    /// What it is for.
    pub description: Description,
}

/// A key's record, `kms/keys/<id>.toml`. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub id: KeyId,
    pub alias: Alias,
    pub description: Description,
    pub origin: Origin,
    pub state: KeyState,
    pub material: Material,
    pub version: u32,
    pub created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deletion_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rotation_days: Option<u32>,
    /// There exactly when `rotation_days` is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rotation_due: Option<Timestamp>,
    /// When version 2 was made, version 3, and so on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rotated: Vec<Timestamp>,
    /// The oldest version whose material is in the module: versions before it stayed in another one
    /// when the keys were moved.
    #[serde(skip_serializing_if = "is_first", default = "first")]
    pub oldest: u32,
    /// When material was first imported.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub imported: Option<Timestamp>,
    /// When imported material is given up; only while there is some.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<Timestamp>,
    /// By which the same material is recognised when it is imported again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub material_digest: Option<String>,
}

fn first() -> u32 {
    1
}

// The form serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_first(version: &u32) -> bool {
    *version == first()
}

impl Key {
    /// A key that has just been asked for; of origin KMS, its first material is in the HSM.
    pub fn new(id: KeyId, new: NewKey, created: Timestamp) -> Self {
        let (state, material, version) = match new.origin {
            Origin::Kms => (KeyState::Enabled, Material::Present, 1),
            Origin::External => (KeyState::PendingImport, Material::Absent, 0),
        };
        Key {
            id,
            alias: new.alias,
            description: new.description,
            origin: new.origin,
            state,
            material,
            version,
            created,
            deletion_date: None,
            rotation_days: None,
            rotation_due: None,
            rotated: Vec::new(),
            oldest: first(),
            imported: None,
            expires: None,
            material_digest: None,
        }
    }

    /// What the key's states would never show; a genuine record that does is a bug's work.
    pub fn contradiction(&self) -> Option<&'static str> {
        if (self.state == KeyState::PendingDeletion) != self.deletion_date.is_some() {
            return Some("has a deletion date without pending deletion, or the reverse");
        }
        if self.material == Material::Present && self.version == 0 {
            return Some("has material of no version");
        }
        let needs_material = matches!(self.state, KeyState::Enabled | KeyState::Disabled);
        if needs_material && self.material != Material::Present {
            return Some("has a state that needs material, and has none");
        }
        if self.state == KeyState::PendingImport && self.material == Material::Present {
            return Some("waits for material, and has it");
        }
        if self.origin == Origin::Kms && self.version as usize != 1 + self.rotated.len() {
            return Some("has more versions than dates of them, or the reverse");
        }
        if self.origin == Origin::External && self.version > 1 {
            return Some("has imported material and several versions");
        }
        if self.oldest == 0 || self.oldest > self.version.max(1) {
            return Some("has no version as old as its oldest");
        }
        if self.expires.is_some() && self.material != Material::Present {
            return Some("has an expiry date and no material");
        }
        if self.rotation_days.is_some() != self.rotation_due.is_some() {
            return Some("has an interval of rotation without a date, or the reverse");
        }
        if self.alias.is_default() && self.state != KeyState::Enabled {
            return Some("is the default key and not enabled");
        }
        None
    }

    /// Applies an operation's change of state, or refuses it.
    ///
    /// # Errors
    /// `wrong-status` with KMS.0309, 0312 or 2701 for what the key's origin does not allow;
    /// `protected` with KMS.0211 for what the default key forbids (RULES K2); the refusal of the
    /// transition table, with the command that helps.
    pub fn apply(&mut self, operation: Operation) -> Result<Outcome> {
        self.refuse_by_origin(operation)?;
        if self.alias.is_default() && operation.is_forbidden_on_the_default_key() {
            return Err(Error::new(
                ErrorKind::Protected,
                "the default key evs/default belongs to EVS and cannot be disabled, deleted, rotated \
                 by hand or renamed",
            )
            .code(Code::KMS_0211)
            .remedy("evsfs key create ALIAS, and use that key"));
        }
        let outcome = self.state.after(operation);
        match outcome {
            Outcome::Refuse(kind, code) => {
                return Err(Error::new(kind, self.refusal(operation))
                    .code(code)
                    .remedy(self.remedy(operation)));
            }
            Outcome::Become(next) => {
                self.state = next;
                if next != KeyState::PendingDeletion {
                    self.deletion_date = None;
                }
            }
            Outcome::Stay | Outcome::Gone => {}
        }
        Ok(outcome)
    }

    /// Gives up imported material because its date has come.
    ///
    /// # Errors
    /// `wrong-status` with KMS.2701 when there is none to give up.
    pub fn expire(&mut self) -> Result<()> {
        self.apply(Operation::Expire)?;
        self.material = Material::Leaving;
        self.expires = None;
        Ok(())
    }

    fn refuse_by_origin(&self, operation: Operation) -> Result<()> {
        let alias = &self.alias;
        let (code, why, remedy) = match (operation, self.origin) {
            (Operation::Rotate | Operation::ScheduleRotation, Origin::External) => (
                Code::KMS_0312,
                "has imported material, which is not rotated",
                "make another key for new disks: evsfs key create ALIAS --external".to_owned(),
            ),
            (Operation::Import, Origin::Kms) => (
                Code::KMS_0309,
                "has material of the KMS and takes no other",
                "evsfs key create ALIAS --external, and import into that key".to_owned(),
            ),
            (Operation::DeleteMaterial | Operation::Expire, Origin::Kms) => (
                Code::KMS_2701,
                "has material of the KMS, which goes with the key only",
                format!("evsfs key schedule-deletion {alias} --days 7"),
            ),
            _ => return Ok(()),
        };
        Err(Error::new(ErrorKind::WrongStatus, format!("key \"{alias}\" {why}"))
            .code(code)
            .remedy(remedy))
    }

    /// The material the module should hold for this key.
    pub fn cmks(&self) -> Vec<CmkVersion> {
        match self.material {
            Material::Present => self.versions().filter(|cmk| cmk.version >= self.oldest).collect(),
            Material::Leaving | Material::Absent => Vec::new(),
        }
    }

    /// Every version the key ever had, its material there or not.
    pub fn versions(&self) -> impl Iterator<Item = CmkVersion> + use<> {
        let key = self.id;
        (1..=self.version).map(move |version| CmkVersion { key, version })
    }

    /// The version that material may have been made for without the record naming it yet.
    pub fn next_version(&self) -> CmkVersion {
        CmkVersion { key: self.id, version: self.version.saturating_add(1) }
    }

    /// The key as it is shown.
    pub fn view(&self) -> KeyView {
        KeyView {
            id: self.id,
            alias: self.alias.clone(),
            state: self.state,
            origin: self.origin,
            created: self.created,
            deletion_date: self.deletion_date,
            version: self.version,
            rotation_days: self.rotation_days,
            rotation_date: self.rotation_due,
            expiry_date: self.expires,
            versions: match self.origin {
                Origin::Kms => std::iter::once(self.created).chain(self.rotated.clone()).collect(),
                Origin::External => self.imported.into_iter().collect(),
            },
            description: self.description.clone(),
        }
    }

    /// The refusal of anything that needs a key which is gone, or as good as.
    pub fn gone(what: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::KeyGone, format!("{what} was deleted, and its material with it"))
            .code(Code::KMS_0207)
            .remedy("none for data under it; new disks take another key: evsfs key list")
    }

    fn refusal(&self, operation: Operation) -> String {
        let Key { alias, state, .. } = self;
        match operation {
            Operation::UseForDataKey => format!("key \"{alias}\" is {state}"),
            Operation::Enable => format!("key \"{alias}\" is {state}, not disabled"),
            Operation::Disable => format!("key \"{alias}\" is {state}, not enabled"),
            Operation::CancelDeletion(_) | Operation::Destroy => {
                format!("key \"{alias}\" is {state}, not pending-deletion")
            }
            Operation::ScheduleDeletion
            | Operation::Import
            | Operation::DeleteMaterial
            | Operation::Expire
            | Operation::Rotate
            | Operation::ScheduleRotation
            | Operation::Rename
            | Operation::Describe => format!("key \"{alias}\" is {state}"),
        }
    }

    fn remedy(&self, operation: Operation) -> String {
        let alias = &self.alias;
        let needs_no_help = matches!(
            (operation, self.state),
            (Operation::Disable | Operation::CancelDeletion(_) | Operation::Destroy, _)
                | (_, KeyState::Enabled)
        );
        if needs_no_help && self.state != KeyState::PendingDeletion {
            return format!("evsfs key show {alias}");
        }
        match self.state {
            KeyState::Disabled => format!("evsfs key enable {alias}"),
            KeyState::PendingDeletion => format!("evsfs key cancel-deletion {alias}"),
            KeyState::PendingImport => format!("evsfs key import {alias} --file FILE"),
            KeyState::Enabled => format!("evsfs key show {alias}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(alias: &str, state: KeyState) -> Key {
        let new = NewKey {
            alias: Alias::parse(alias).unwrap(),
            origin: Origin::Kms,
            description: Description::default(),
        };
        let mut key = Key::new(KeyId::random(), new, Timestamp::UNIX_EPOCH);
        key.state = state;
        key
    }

    /// RULES D5 with K1: the refusal carries the code and the command that helps.
    #[test]
    fn an_unusable_key_says_which_command_helps() {
        let cases = [
            (KeyState::Disabled, "KMS.0209", "evsfs key enable finance"),
            (KeyState::PendingDeletion, "KMS.0210", "evsfs key cancel-deletion finance"),
            (KeyState::PendingImport, "KMS.1301", "evsfs key import finance --file FILE"),
        ];
        for (state, code, remedy) in cases {
            let error = key("finance", state).apply(Operation::UseForDataKey).unwrap_err();
            assert_eq!(
                (error.shown_code().as_str(), error.suggested_remedy()),
                (code, Some(remedy))
            );
            assert_eq!(error.message(), format!("key \"finance\" is {state}"));
        }
    }

    /// RULES K2.
    #[test]
    fn the_default_key_protects_itself_with_one_code() {
        for operation in
            [Operation::Disable, Operation::ScheduleDeletion, Operation::Rotate, Operation::Rename]
        {
            let error = key(Alias::DEFAULT, KeyState::Enabled).apply(operation).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protected, "{operation:?}");
            assert_eq!(error.documented_code(), Some(Code::KMS_0211));
        }
        assert!(key(Alias::DEFAULT, KeyState::Enabled).apply(Operation::Describe).is_ok());
    }

    #[test]
    fn a_refused_operation_changes_nothing() {
        let mut refused = key("finance", KeyState::Disabled);
        let before = refused.clone();
        assert!(refused.apply(Operation::Disable).is_err());
        assert_eq!(refused, before);
    }

    /// Numbers that no record shows: a genuine one that does is a bug's work, and is not used.
    #[test]
    fn every_contradiction_is_found_and_no_sound_key_has_one() {
        type Harm = fn(&mut Key);
        let sound = |state: KeyState| {
            let mut key = key("finance", state);
            if state == KeyState::PendingImport {
                (key.origin, key.version, key.material) = (Origin::External, 0, Material::Absent);
            }
            if state == KeyState::PendingDeletion {
                key.deletion_date = Some(Timestamp::UNIX_EPOCH);
            }
            key
        };
        for state in [
            KeyState::Enabled,
            KeyState::Disabled,
            KeyState::PendingDeletion,
            KeyState::PendingImport,
        ] {
            assert_eq!(sound(state).contradiction(), None, "{state}");
        }
        assert_eq!(key(Alias::DEFAULT, KeyState::Enabled).contradiction(), None);
        let mut rotated = sound(KeyState::Enabled);
        (rotated.version, rotated.oldest) = (2, 2);
        rotated.rotated.push(Timestamp::UNIX_EPOCH);
        assert_eq!(rotated.contradiction(), None);
        let harms: [(KeyState, Harm, &str); 13] = [
            (
                KeyState::Enabled,
                |key| key.deletion_date = Some(Timestamp::UNIX_EPOCH),
                "a deletion",
            ),
            (KeyState::PendingDeletion, |key| key.deletion_date = None, "a deletion"),
            (KeyState::Enabled, |key| key.version = 0, "material of no version"),
            (KeyState::Enabled, |key| key.material = Material::Absent, "a state that needs"),
            (KeyState::Disabled, |key| key.material = Material::Leaving, "a state that needs"),
            (
                KeyState::PendingImport,
                |key| (key.version, key.material) = (1, Material::Present),
                "for material",
            ),
            (KeyState::Enabled, |key| key.version = 2, "more versions than dates"),
            (
                KeyState::PendingImport,
                |key| key.version = 2,
                "imported material and several versions",
            ),
            (KeyState::Enabled, |key| key.oldest = 0, "no version as old"),
            (KeyState::Enabled, |key| key.oldest = 2, "no version as old"),
            (
                KeyState::PendingImport,
                |key| key.expires = Some(Timestamp::UNIX_EPOCH),
                "an expiry date",
            ),
            (KeyState::Enabled, |key| key.rotation_days = Some(30), "an interval"),
            (
                KeyState::Disabled,
                |key| key.alias = Alias::parse(Alias::DEFAULT).unwrap(),
                "the default key",
            ),
        ];
        for (state, harm, says) in harms {
            let mut key = sound(state);
            harm(&mut key);
            let found = key.contradiction().unwrap_or_else(|| panic!("not found: {says}"));
            assert!(found.contains(says), "{found}, not {says}");
        }
    }

    /// Records from before there was one have none, and such records are still written.
    #[test]
    fn the_oldest_version_is_written_down_only_where_versions_were_destroyed() {
        let mut key = key("finance", KeyState::Enabled);
        assert!(!toml::to_string(&key).unwrap().contains("oldest"));
        (key.version, key.oldest) = (3, 3);
        key.rotated = vec![Timestamp::UNIX_EPOCH; 2];
        let text = toml::to_string(&key).unwrap();
        assert!(text.contains("oldest = 3"), "{text}");
        assert_eq!(toml::from_str::<Key>(&text).unwrap(), key);
        let versions: Vec<u32> = key.cmks().iter().map(|cmk| cmk.version).collect();
        assert_eq!(versions, [3]);
    }
}
