//! `.evs/keys/ALIAS`

use super::object::Object;
use crate::auth::{Action, Caller};
use crate::error::Result;
use crate::fs::files::{Use, control_files};
use crate::fs::grammar;
use crate::fs::listing::{CREATE, EVS};
use crate::fs::namespace::Namespace;
use crate::fs::values::{gone, one_a_line};
use crate::fs::verbs::{not_written, wants};
use crate::id::{Alias, KeyId};
use crate::service::{Command, Fields, KeyCommand, KeyInfo, KeyView, VersionInfo};

control_files! {
    /// The files of a key's control directory.
    KeyFile {
        Id = "id" Value,
        State = "state" Value,
        Origin = "origin" Value,
        Created = "created" Value,
        DeletionDate = "deletion-date" Value,
        Version = "version" Value,
        Versions = "versions" Value,
        Rotation = "rotation" Both,
        RotationDate = "rotation-date" Value,
        ExpiryDate = "expiry-date" Value,
        Description = "description" Value,
        DeletionWaitsUntil = "deletion-waits-until" Value,
        Disks = "disks" Value,
        AttachedDisks = "attached-disks" Value,
        ForeignDisks = "foreign-disks" Value,
        Backups = "backups" Value,
        ForeignBackups = "foreign-backups" Value,
        Images = "images" Value,
        ForeignImages = "foreign-images" Value,
        Enable = "enable" Verb,
        Disable = "disable" Verb,
        ScheduleDeletion = "schedule-deletion" Verb,
        CancelDeletion = "cancel-deletion" Verb,
        Rotate = "rotate" Verb,
        ImportParameters = "import-parameters" Both,
        Import = "import" Verb,
        DeleteMaterial = "delete-material" Verb,
        ConfirmDeletion = "confirm-deletion" Verb,
    }
}

impl Namespace {
    /// The keys of customers; those that the names of directories and verbs hide are reached by
    /// `control` and the command line.
    pub(super) fn keys(&self, caller: Caller) -> Vec<(String, Object)> {
        let is_shown = |view: &KeyView| {
            !view.alias.is_reserved() && ![CREATE, EVS].contains(&view.alias.as_str())
        };
        let visible = self.service().visible_keys(caller).into_iter().filter(is_shown);
        visible.map(|view| (view.alias.to_string(), Object::Key(view.id))).collect()
    }

    /// The keys whose aliases begin with `evs/`, by the rest of their aliases.
    pub(in crate::fs) fn evs_keys(&self, caller: Caller) -> Vec<(String, Object)> {
        let visible = self.service().visible_keys(caller).into_iter();
        visible
            .filter_map(|view| {
                let name = view.alias.as_str().strip_prefix(Alias::EVS_PREFIX)?;
                Some((name.to_owned(), Object::Key(view.id)))
            })
            .collect()
    }

    pub(in crate::fs) fn key_named(&self, caller: Caller, alias: &str) -> Option<Object> {
        let alias = Alias::parse(alias).ok()?;
        Some(Object::Key(self.service().visible_key(caller, &alias)?.id))
    }

    pub(super) fn key_with_id(&self, caller: Caller, id: KeyId) -> Option<KeyView> {
        self.service().visible_key_with_id(caller, id)
    }

    pub(super) fn operates_key(&self, caller: Caller, file: KeyFile) -> bool {
        file.usage() != Use::Verb || self.service().authority().allows(caller, Action::ManageKeys)
    }

    pub(super) fn key_value(&self, caller: Caller, id: KeyId, file: KeyFile) -> Result<String> {
        let view = self.key_with_id(caller, id).ok_or_else(gone)?;
        match file {
            KeyFile::ImportParameters => {
                let made = self.service().import_parameters(caller, view.id);
                Ok(made.map(|made| made.public_key).unwrap_or_default())
            }
            file => Ok(shown(&self.service().describe_key(caller, &view), file)),
        }
    }

    pub(super) fn key_command(
        &self,
        caller: Caller,
        id: KeyId,
        file: KeyFile,
        text: &str,
    ) -> Result<Command> {
        let alias = self.key_with_id(caller, id).ok_or_else(gone)?.alias;
        if file == KeyFile::ScheduleDeletion {
            let mut words = Fields::new();
            words.insert_text("alias", alias.as_str())?;
            words.insert_text("days", text)?;
            return Command::from_request("key.schedule-deletion", words);
        }
        if file == KeyFile::Rotation {
            return rotation_command(&alias, text);
        }
        if file == KeyFile::Import {
            return import_command(&alias, text);
        }
        if file == KeyFile::ConfirmDeletion {
            // It cannot be undone, so it takes the name, as deleting a disk does.
            return match text == alias.as_str() {
                true => Ok(KeyCommand::ConfirmDeletion(alias).into()),
                false => Err(wants("confirm-deletion", "the key's own alias")),
            };
        }
        if !text.is_empty() {
            return Err(wants(file.name(), "a newline"));
        }
        match file {
            KeyFile::Enable => Ok(KeyCommand::Enable(alias).into()),
            KeyFile::Disable => Ok(KeyCommand::Disable(alias).into()),
            KeyFile::Rotate => Ok(KeyCommand::Rotate(alias).into()),
            KeyFile::ImportParameters => Ok(KeyCommand::ImportParameters(alias).into()),
            KeyFile::DeleteMaterial => Ok(KeyCommand::DeleteMaterial(alias).into()),
            KeyFile::CancelDeletion => Ok(KeyCommand::CancelDeletion(alias).into()),
            _ => Err(not_written()),
        }
    }
}

fn shown(key: &KeyInfo, file: KeyFile) -> String {
    let value = match file {
        KeyFile::Id => key.id.to_string(),
        KeyFile::State => key.state.to_owned(),
        KeyFile::Origin => key.origin.to_owned(),
        KeyFile::Created => key.created.clone(),
        KeyFile::DeletionDate => key.deletion_date.clone().unwrap_or_default(),
        KeyFile::Version => key.version.to_string(),
        KeyFile::Versions => {
            // One version a line: number, date, disks, backups, images.
            let line = |of: &VersionInfo| {
                let VersionInfo { version, created, disks, backups, images } = of;
                format!("{version} {created} {disks} {backups} {images}\n")
            };
            return key.versions.iter().map(line).collect();
        }
        KeyFile::Rotation => key.rotation.clone(),
        KeyFile::RotationDate => key.rotation_date.clone().unwrap_or_default(),
        KeyFile::ExpiryDate => key.expiry_date.clone().unwrap_or_default(),
        KeyFile::Description => key.description.clone(),
        KeyFile::DeletionWaitsUntil => key.deletion_waits_until.clone().unwrap_or_default(),
        KeyFile::Disks => return one_a_line(&key.disks),
        KeyFile::AttachedDisks => return one_a_line(&key.attached_disks),
        KeyFile::Backups => return one_a_line(&key.backups),
        KeyFile::ForeignBackups => key.foreign_backups.map(|n| n.to_string()).unwrap_or_default(),
        KeyFile::Images => return one_a_line(&key.images),
        KeyFile::ForeignImages => key.foreign_images.map(|n| n.to_string()).unwrap_or_default(),
        KeyFile::ForeignDisks => key.foreign_disks.map(|n| n.to_string()).unwrap_or_default(),
        KeyFile::Enable
        | KeyFile::Disable
        | KeyFile::ScheduleDeletion
        | KeyFile::CancelDeletion
        | KeyFile::Rotate
        | KeyFile::ImportParameters
        | KeyFile::Import
        | KeyFile::DeleteMaterial
        | KeyFile::ConfirmDeletion => String::new(),
    };
    value + "\n"
}

/// `off`, `on`, or `on` and a number of days.
fn rotation_command(alias: &Alias, text: &str) -> Result<Command> {
    let (switch, days) = text.split_once(' ').unwrap_or((text, ""));
    let days = days.trim();
    let mut words = Fields::new();
    words.insert_text("alias", alias.as_str())?;
    words.insert_text("on", switch)?;
    match (switch, days) {
        ("on" | "off", "") => {}
        ("on", days) => words.insert_text("days", days)?,
        _ => return Err(wants("rotation", "off, on, or on and a number of days")),
    }
    Command::from_request("key.rotation", words)
}

/// The words of an import. What is written is secret and stands where it does not belong when it is
/// malformed, so nothing of it is quoted.
fn import_command(alias: &Alias, text: &str) -> Result<Command> {
    const WORDS: [&str; 4] = ["material", "wrapped", "token", "expires"];
    let malformed = || {
        wants("import", "material=HEX or wrapped=HEX [token=TOKEN], and [expires=DATE] with either")
    };
    let mut words = grammar::words(text).map_err(|_| malformed())?;
    if !words.has_only(&WORDS) {
        return Err(malformed());
    }
    words.insert_text("alias", alias.as_str())?;
    Command::from_request("key.import", words)
}
