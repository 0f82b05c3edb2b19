//! The one door: from words to a command, from a command to a reply.

use super::agency::AgencyCommand;
use super::audit::AuditCommand;
use super::backup::BackupCommand;
use super::default_encryption::DefaultEncryptionCommand;
use super::disk::DiskCommand;
use super::image::ImageCommand;
use super::job::JobCommand;
use super::key::KeyCommand;
use super::mount::MountCommand;
use super::server::ServerCommand;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::service::{Fields, Reply, Service};

/// One command, by the noun it is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// On disks.
    Disk(DiskCommand),
    /// On master keys.
    Key(KeyCommand),
    /// On the agency.
    Agency(AgencyCommand),
    /// On the audit log.
    Audit(AuditCommand),
    /// On backups.
    Backup(BackupCommand),
    /// On the default encryption of the project.
    DefaultEncryption(DefaultEncryptionCommand),
    /// On images.
    Image(ImageCommand),
    /// On servers.
    Server(ServerCommand),
    /// On long work.
    Job(JobCommand),
    /// On the whole mount.
    Mount(MountCommand),
}

impl Command {
    /// The command that `op` (`noun.verb`) and its words ask for.
    ///
    /// # Errors
    /// `invalid` or `out-of-range`, naming the word that is unknown, missing or malformed; with a
    /// remedy always.
    pub fn from_request(op: &str, words: Fields) -> Result<Command> {
        Command::parse(op, words).map_err(|error| match error.suggested_remedy() {
            Some(_) => error,
            None => error.remedy("read the file `help` in the control directory, or docs/JSON.md"),
        })
    }

    fn parse(op: &str, mut words: Fields) -> Result<Command> {
        let (noun, verb) = op.split_once('.').ok_or_else(|| no_operation(op))?;
        let fields = &mut words;
        let command = match noun {
            "disk" => DiskCommand::from_words(verb, fields)?.map(Command::Disk),
            "key" => KeyCommand::from_words(verb, fields)?.map(Command::Key),
            "agency" => AgencyCommand::from_words(verb).map(Command::Agency),
            "audit" => AuditCommand::from_words(verb, fields)?.map(Command::Audit),
            "backup" => BackupCommand::from_words(verb, fields)?.map(Command::Backup),
            "default-encryption" => {
                DefaultEncryptionCommand::from_words(verb, fields)?.map(Command::DefaultEncryption)
            }
            "image" => ImageCommand::from_words(verb, fields)?.map(Command::Image),
            "server" => ServerCommand::from_words(verb, fields)?.map(Command::Server),
            "job" => JobCommand::from_words(verb, fields)?.map(Command::Job),
            "mount" => MountCommand::from_words(verb, fields)?.map(Command::Mount),
            _ => None,
        };
        let command = command.ok_or_else(|| no_operation(op))?;
        words.finish()?;
        Ok(command)
    }
}

impl Service {
    /// Carries out a command for a caller.
    ///
    /// # Errors
    /// Everything that can be refused; see RULES. Nothing has changed then, unless it says so.
    pub fn execute(&self, caller: Caller, command: impl Into<Command>) -> Result<Reply> {
        match command.into() {
            Command::Disk(command) => self.execute_on_disks(caller, command),
            Command::Key(command) => self.execute_on_keys(caller, command),
            Command::Agency(command) => self.execute_on_agency(caller, command),
            Command::Audit(command) => self.execute_on_audit(caller, command),
            Command::Backup(command) => self.execute_on_backups(caller, command),
            Command::DefaultEncryption(command) => {
                self.execute_on_default_encryption(caller, command)
            }
            Command::Image(command) => self.execute_on_images(caller, command),
            Command::Server(command) => self.execute_on_servers(caller, command),
            Command::Job(command) => self.execute_on_jobs(caller, command),
            Command::Mount(command) => self.execute_on_mount(caller, command),
        }
    }
}

fn no_operation(op: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("there is no operation {op:?}"))
        .remedy("read the file `help` in the control directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(op: &str, words: &[(&str, &str)]) -> Result<Command> {
        let mut fields = Fields::new();
        for (word, value) in words {
            fields.insert_text(word, value)?;
        }
        Command::from_request(op, fields)
    }

    #[test]
    fn unknown_repeated_missing_and_malformed_words_are_refused() {
        let refused: [(&str, &[(&str, &str)]); 11] = [
            ("disk.create", &[("name", "db")]),
            ("disk.create", &[("name", "db"), ("size", "10G"), ("colour", "red")]),
            ("disk.create", &[("name", "db"), ("name", "db"), ("size", "10G")]),
            ("disk.create", &[("name", "db"), ("size", "10G"), ("encrypted", "maybe")]),
            ("disk.create", &[("name", "db"), ("size", "10G"), ("sector_size", "1024")]),
            ("disk.create", &[("name", "../db"), ("size", "10G")]),
            ("disk.list", &[("name", "db")]),
            ("disk.explode", &[]),
            ("disk", &[]),
            ("planet.list", &[]),
            ("key.create", &[("alias", "evs/mine")]),
        ];
        for (op, words) in refused {
            let refusal = request(op, words).unwrap_err();
            assert_eq!(refusal.kind(), ErrorKind::Invalid, "{op} {words:?}");
        }
    }
}
