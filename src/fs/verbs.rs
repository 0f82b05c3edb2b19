//! Writes to control files, as commands.

use super::grammar;
use super::namespace::Namespace;
use super::node::{ControlFile, DiskFile, KeyFile, Node};
use super::values::gone;
use crate::auth::Caller;
use crate::disk::Access;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{Alias, DiskId, KeyId};
use crate::service::{Command, DetachMode, Fields};
use crate::units::ByteLen;

impl Namespace {
    /// The command that writing `bytes` to a control file gives.
    ///
    /// # Errors
    /// `invalid` when the text is not what the file takes; `not-found` when the object has gone.
    pub(super) fn command_of(&self, caller: Caller, node: Node, bytes: &[u8]) -> Result<Command> {
        let line = grammar::line(bytes)?;
        match node {
            Node::DiskCreate => Command::from_request("disk.create", grammar::words(line)?),
            Node::KeyCreate => Command::from_request("key.create", grammar::words(line)?),
            Node::ControlFile(ControlFile::Agency) => match line.trim() {
                "create" => Ok(Command::AgencyCreate),
                "delete" => Ok(Command::AgencyDelete),
                _ => Err(wants("agency", "create or delete")),
            },
            Node::ControlFile(ControlFile::DefaultEncryption) => default_encryption(line.trim()),
            Node::DiskFile(id, file) => self.disk_command(caller, id, file, line.trim()),
            Node::KeyFile(id, file) => self.key_command(caller, id, file, line.trim()),
            _ => Err(Error::new(ErrorKind::Denied, "this file is not to be written")),
        }
    }

    fn disk_command(
        &self,
        caller: Caller,
        id: DiskId,
        file: DiskFile,
        text: &str,
    ) -> Result<Command> {
        let entry = self.service().visible_disk(caller, id).ok_or_else(gone)?;
        let name = entry.name().clone();
        match file {
            DiskFile::Attach => match text {
                "" | "rw" => Ok(Command::DiskAttach(name, Access::ReadWrite)),
                "ro" => Ok(Command::DiskAttach(name, Access::ReadOnly)),
                _ => Err(wants("attach", "rw, ro or a newline")),
            },
            DiskFile::Detach => match text {
                "" => Ok(Command::DiskDetach(name, DetachMode::WhenIdle)),
                "force" => Ok(Command::DiskDetach(name, DetachMode::Forced)),
                _ => Err(wants("detach", "a newline or force")),
            },
            DiskFile::Extend => {
                let size = ByteLen::parse(text).map_err(|cause| cause.code(Code::EVS_1010))?;
                Ok(Command::DiskExtend(name, size))
            }
            DiskFile::Rewrap if text.is_empty() => Ok(Command::DiskRewrap(name)),
            DiskFile::Rewrap => Err(wants("rewrap", "a newline")),
            DiskFile::Delete if text == name.as_str() => Ok(Command::DiskDelete(name)),
            DiskFile::Delete => Err(wants("delete", "the disk's own name")),
            _ => Err(Error::new(ErrorKind::Denied, "this file is not to be written")),
        }
    }

    fn key_command(&self, caller: Caller, id: KeyId, file: KeyFile, text: &str) -> Result<Command> {
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
                true => Ok(Command::KeyConfirmDeletion(alias)),
                false => Err(wants("confirm-deletion", "the key's own alias")),
            };
        }
        if !text.is_empty() {
            return Err(wants(file.name(), "a newline"));
        }
        match file {
            KeyFile::Enable => Ok(Command::KeyEnable(alias)),
            KeyFile::Disable => Ok(Command::KeyDisable(alias)),
            KeyFile::Rotate => Ok(Command::KeyRotate(alias)),
            KeyFile::ImportParameters => Ok(Command::KeyImportParameters(alias)),
            KeyFile::DeleteMaterial => Ok(Command::KeyDeleteMaterial(alias)),
            KeyFile::CancelDeletion => Ok(Command::KeyCancelDeletion(alias)),
            _ => Err(Error::new(ErrorKind::Denied, "this file is not to be written")),
        }
    }
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

fn default_encryption(text: &str) -> Result<Command> {
    match text.strip_prefix("on ") {
        Some(alias) => Ok(Command::DefaultEncryptionSet(Some(Alias::parse(alias.trim())?))),
        None if text == "off" => Ok(Command::DefaultEncryptionSet(None)),
        None => Err(wants("default-encryption", "off, or on and the alias of a key")),
    }
}

fn wants(file: &str, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("`{file}` takes {what}"))
        .remedy("read the file `help` in the control directory")
}
