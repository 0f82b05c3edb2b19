//! The content of value files: one value, ASCII, ends in a newline.

use super::files::ControlFile;
use super::help::HELP;
use super::namespace::Namespace;
use super::node::Node;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Name;
use crate::service::{AgencyCommand, DefaultEncryptionCommand, Reply};

impl Namespace {
    /// What a value file holds for this caller now.
    ///
    /// # Errors
    /// `not-found` when the object has gone.
    pub(super) fn value(&self, caller: Caller, node: Node) -> Result<String> {
        match node {
            Node::ControlFile(ControlFile::Help) => Ok(HELP.to_owned()),
            Node::ControlFile(ControlFile::Version) => {
                Ok(concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned())
            }
            Node::ControlFile(ControlFile::Error) => Ok(self.refusals().text(caller.uid())),
            Node::ControlFile(ControlFile::Metrics) => self.service().metrics(caller),
            Node::ControlFile(ControlFile::Agency) => self.agency(caller),
            Node::ControlFile(ControlFile::DefaultEncryption) => self.default_encryption(caller),
            Node::ObjectFile(file) => self.object_value(caller, file),
            _ => Err(Error::new(ErrorKind::Denied, "this file is not to be read")),
        }
    }

    fn agency(&self, caller: Caller) -> Result<String> {
        match self.service().execute(caller, AgencyCommand::Show)? {
            Reply::Agency(agency) => {
                Ok(agency.name.map(|name| format!("{name}\n")).unwrap_or_default())
            }
            _ => Err(Error::new(ErrorKind::Internal, "asking for the agency")),
        }
    }

    fn default_encryption(&self, caller: Caller) -> Result<String> {
        match self.service().execute(caller, DefaultEncryptionCommand::Show)? {
            Reply::DefaultEncryption(default) => Ok(match default.key {
                Some(key) => format!("on {key}\n"),
                None => "off\n".to_owned(),
            }),
            _ => Err(Error::new(ErrorKind::Internal, "asking for the default encryption")),
        }
    }
}

/// The exception to one value a file, as in configfs lists.
pub(super) fn one_a_line(names: &[Name]) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
}

pub(super) fn yes_or_no(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

pub(super) fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "this object has gone")
}
