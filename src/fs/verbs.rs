//! Writes to control files, as commands.

use super::files::ControlFile;
use super::grammar;
use super::namespace::Namespace;
use super::node::Node;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Alias;
use crate::service::{AgencyCommand, Command, DefaultEncryptionCommand};

impl Namespace {
    /// The command that writing `bytes` to a control file gives.
    ///
    /// # Errors
    /// `invalid` when the text is not what the file takes; `not-found` when the object has gone.
    pub(super) fn command_of(&self, caller: Caller, node: Node, bytes: &[u8]) -> Result<Command> {
        let line = grammar::line(bytes)?;
        match node {
            Node::Create(collection) => match collection.create_operation() {
                Some(operation) => Command::from_request(operation, grammar::words(line)?),
                None => Err(not_written()),
            },
            Node::ControlFile(ControlFile::Agency) => match line.trim() {
                "create" => Ok(AgencyCommand::Create.into()),
                "delete" => Ok(AgencyCommand::Delete.into()),
                _ => Err(wants("agency", "create or delete")),
            },
            Node::ControlFile(ControlFile::DefaultEncryption) => default_encryption(line.trim()),
            Node::ObjectFile(file) => self.object_command(caller, file, line.trim()),
            _ => Err(not_written()),
        }
    }
}

fn default_encryption(text: &str) -> Result<Command> {
    match text.strip_prefix("on ") {
        Some(alias) => Ok(DefaultEncryptionCommand::Set(Some(Alias::parse(alias.trim())?)).into()),
        None if text == "off" => Ok(DefaultEncryptionCommand::Set(None).into()),
        None => Err(wants("default-encryption", "off, or on and the alias of a key")),
    }
}

pub(super) fn wants(file: &str, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("`{file}` takes {what}"))
        .remedy("read the file `help` in the control directory")
}

pub(super) fn not_written() -> Error {
    Error::new(ErrorKind::Denied, "this file is not to be written")
}
