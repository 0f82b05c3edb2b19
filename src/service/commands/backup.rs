//! Commands on backups.

use super::command::Command;
use crate::auth::{Action, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Name;
use crate::service::{BackupMode, Fields, NewBackup, Reply, Service};

/// A command on backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupCommand {
    /// Copy a disk as it is now: a job.
    Create(NewBackup),
    /// Make one that waits for its content, an export.
    Import(Name),
    /// The content is complete.
    Finish(Name),
    /// All backups the caller may see.
    List,
    /// One backup.
    Show(Name),
    /// Read it against its digests: a job, of so many bytes a second.
    Verify(Name, Option<u64>),
    /// Remove it, once what is built upon it holds what it needs: a job.
    Delete(Name, Option<u64>),
    /// Say what that would do.
    PreviewDeletion(Name),
}

impl BackupCommand {
    pub(super) fn from_words(verb: &str, words: &mut Fields) -> Result<Option<BackupCommand>> {
        Ok(Some(match verb {
            "create" => create(words)?,
            "import" => BackupCommand::Import(words.need_name("name")?),
            "finish" => BackupCommand::Finish(words.need_name("name")?),
            "list" => BackupCommand::List,
            "show" => BackupCommand::Show(words.need_name("name")?),
            "verify" => BackupCommand::Verify(words.need_name("name")?, words.take_limit()?),
            "delete" => match words.take_flag("dry_run")? {
                Some(true) => BackupCommand::PreviewDeletion(words.need_name("name")?),
                Some(false) | None => {
                    BackupCommand::Delete(words.need_name("name")?, words.take_limit()?)
                }
            },
            _ => return Ok(None),
        }))
    }
}

impl From<BackupCommand> for Command {
    fn from(command: BackupCommand) -> Self {
        Command::Backup(command)
    }
}

impl Service {
    pub(super) fn execute_on_backups(
        &self,
        caller: Caller,
        command: BackupCommand,
    ) -> Result<Reply> {
        match command {
            BackupCommand::Create(new) => {
                let (disk, permit) = self.usable(caller, &new.disk)?;
                self.create_backup(&permit, disk, new).map(Reply::Started)
            }
            BackupCommand::Import(name) => {
                let permit = self.permit(caller, Action::CreateObject)?;
                Ok(Reply::Backup(Box::new(self.import_backup(&permit, name)?)))
            }
            BackupCommand::Finish(name) => {
                let (entry, permit) = self.usable_backup(caller, &name)?;
                Ok(Reply::Backup(Box::new(self.finish_backup(&permit, &entry)?)))
            }
            BackupCommand::List => {
                let _permit = self.permit(caller, Action::EnterControl)?;
                let backups = self.visible_backups(caller);
                Ok(Reply::Backups(
                    backups.iter().map(|entry| self.describe_backup(entry)).collect(),
                ))
            }
            BackupCommand::Show(name) => {
                let (entry, _permit) = self.usable_backup(caller, &name)?;
                Ok(Reply::Backup(Box::new(self.describe_backup(&entry))))
            }
            BackupCommand::Verify(name, limit) => {
                let (entry, permit) = self.usable_backup(caller, &name)?;
                self.verify_backup(&permit, &entry, limit).map(Reply::Started)
            }
            BackupCommand::Delete(name, limit) => {
                let (entry, permit) = self.usable_backup(caller, &name)?;
                self.delete_backup(&permit, entry, limit).map(Reply::Started)
            }
            BackupCommand::PreviewDeletion(name) => {
                let (entry, _permit) = self.usable_backup(caller, &name)?;
                let children = self.check_backup_deletion(&entry)?;
                let info = self.describe_backup_deletion(&entry, &children);
                Ok(Reply::BackupDeletion(Box::new(info)))
            }
        }
    }
}

/// One line makes a backup of a disk, or one that waits for its content.
fn create(words: &mut Fields) -> Result<BackupCommand> {
    match words.take_flag("import")? {
        Some(true) => Ok(BackupCommand::Import(words.need_name("name")?)),
        _ => Ok(BackupCommand::Create(new_backup(words)?)),
    }
}

fn new_backup(words: &mut Fields) -> Result<NewBackup> {
    let name = words.take_text("name")?.map(|text| Name::parse(&text)).transpose()?;
    let mode = match (words.take_flag("full")?, words.take_flag("incremental")?) {
        (Some(true), Some(true)) => {
            let message = "a backup is full or incremental, not both";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        (Some(true), _) => BackupMode::Full,
        (_, Some(true)) => BackupMode::Incremental,
        _ => BackupMode::Auto,
    };
    let disk = words.need_name("disk")?;
    Ok(NewBackup { disk, name, mode, limit: words.take_limit()? })
}
