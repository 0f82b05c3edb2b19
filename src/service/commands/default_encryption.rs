//! Commands on the default encryption of the project (RULES D4).

use super::command::Command;
use crate::auth::{Action, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Alias;
use crate::service::{Fields, Reply, Service};

/// A command on the default encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultEncryptionCommand {
    /// What becomes of disks whose creator does not say whether to encrypt them.
    Show,
    /// Choose it: `None` is off, else the key.
    Set(Option<Alias>),
}

impl DefaultEncryptionCommand {
    pub(super) fn from_words(verb: &str, words: &mut Fields) -> Result<Option<Self>> {
        Ok(Some(match verb {
            "show" => DefaultEncryptionCommand::Show,
            "set" => DefaultEncryptionCommand::Set(key(words)?),
            _ => return Ok(None),
        }))
    }
}

impl From<DefaultEncryptionCommand> for Command {
    fn from(command: DefaultEncryptionCommand) -> Self {
        Command::DefaultEncryption(command)
    }
}

impl Service {
    pub(super) fn execute_on_default_encryption(
        &self,
        caller: Caller,
        command: DefaultEncryptionCommand,
    ) -> Result<Reply> {
        match command {
            DefaultEncryptionCommand::Show => {
                let _permit = self.permit(caller, Action::SeeKeys)?;
            }
            DefaultEncryptionCommand::Set(key) => {
                let permit = self.permit(caller, Action::ChooseDefaultEncryption)?;
                self.set_default_encryption(permit, key)?;
            }
        }
        Ok(Reply::DefaultEncryption(self.describe_default_encryption()))
    }
}

/// The key of disks from now on, or `None` to switch it off.
fn key(words: &mut Fields) -> Result<Option<Alias>> {
    match words.take_flag("encrypted")? {
        Some(true) => words.need_alias("key").map(Some),
        Some(false) => Ok(None),
        None => Err(Error::new(ErrorKind::Invalid, "\"encrypted\" is missing")
            .remedy("say \"encrypted\": true with a \"key\", or false")),
    }
}
