//! `.evs/backups/NAME`

use super::object::Object;
use crate::auth::Caller;
use crate::error::Result;
use crate::fs::files::control_files;
use crate::fs::handle::Handle;
use crate::fs::namespace::Namespace;
use crate::fs::values::{gone, yes_or_no};
use crate::fs::verbs::{not_written, wants};
use crate::id::{BackupId, Name};
use crate::service::{BackupCommand, BackupInfo, BackupStatus, Command};

control_files! {
    /// The files of a backup's control directory.
    BackupFile {
        Id = "id" Value,
        Disk = "disk" Value,
        Status = "status" Value,
        Size = "size" Value,
        Stored = "stored" Value,
        Encrypted = "encrypted" Value,
        Key = "key" Value,
        KeyState = "key-state" Value,
        Owner = "owner" Value,
        Created = "created" Value,
        Parent = "parent" Value,
        Chain = "chain" Value,
        Imported = "imported" Value,
        Error = "error" Value,
        Data = "data" Both,
        Finish = "finish" Verb,
        Verify = "verify" Verb,
        Delete = "delete" Verb,
    }
}

impl Namespace {
    pub(super) fn backups(&self, caller: Caller) -> Vec<(String, Object)> {
        let visible = self.service().visible_backups(caller).into_iter();
        visible.map(|entry| (entry.name().to_string(), Object::Backup(entry.id()))).collect()
    }

    pub(super) fn backup_named(&self, caller: Caller, name: &str) -> Option<Object> {
        let name = Name::parse(name).ok()?;
        let entry = self.service().visible_backup_named(caller, &name)?;
        Some(Object::Backup(entry.id()))
    }

    pub(super) fn backup_value(
        &self,
        caller: Caller,
        id: BackupId,
        file: BackupFile,
    ) -> Result<String> {
        let entry = self.service().visible_backup(caller, id).ok_or_else(gone)?;
        Ok(shown(&self.service().describe_backup(&entry), file))
    }

    pub(super) fn backup_command(
        &self,
        caller: Caller,
        id: BackupId,
        file: BackupFile,
        text: &str,
    ) -> Result<Command> {
        let entry = self.service().visible_backup(caller, id).ok_or_else(gone)?;
        let name = entry.name().clone();
        match file {
            BackupFile::Verify if text.is_empty() => Ok(BackupCommand::Verify(name, None).into()),
            BackupFile::Finish if text.is_empty() => Ok(BackupCommand::Finish(name).into()),
            BackupFile::Finish => Err(wants("finish", "a newline")),
            BackupFile::Verify => Err(wants("verify", "a newline")),
            BackupFile::Delete if text == name.as_str() => {
                Ok(BackupCommand::Delete(name, None).into())
            }
            BackupFile::Delete => Err(wants("delete", "the backup's own name")),
            _ => Err(not_written()),
        }
    }

    /// Permission bits of `data`: written while it is imported, read when it is whole.
    pub(super) fn backup_data(&self, caller: Caller, id: BackupId) -> Result<u16> {
        let entry = self.service().visible_backup(caller, id).ok_or_else(gone)?;
        let status = entry.state().status;
        Ok(match status {
            BackupStatus::Importing => 0o200,
            BackupStatus::Available => 0o400,
            BackupStatus::Creating
            | BackupStatus::Merging
            | BackupStatus::Rewrapping
            | BackupStatus::Deleting
            | BackupStatus::ErrorDeleting => 0,
        })
    }

    /// Opens `data`.
    pub(super) fn open_backup_data(
        &self,
        caller: Caller,
        id: BackupId,
        for_writing: bool,
    ) -> Result<Handle> {
        let service = self.service();
        let entry = service.visible_backup(caller, id).ok_or_else(gone)?;
        match for_writing {
            true => {
                let upload = service.open_backup_upload(caller, &entry)?;
                Ok(Handle::BackupUpload { caller, upload })
            }
            false => {
                let export = service.open_backup_export(caller, &entry)?;
                Ok(Handle::BackupExport { caller, export })
            }
        }
    }
}

fn shown(backup: &BackupInfo, file: BackupFile) -> String {
    let names = |list: &[Name]| list.iter().map(Name::as_str).collect::<Vec<_>>().join(" ");
    let value = match file {
        BackupFile::Id => backup.id.to_string(),
        BackupFile::Disk => backup.disk.as_ref().map(Name::to_string).unwrap_or_default(),
        BackupFile::Status => backup.status.to_owned(),
        BackupFile::Size => backup.size.to_string(),
        BackupFile::Stored => backup.stored.map(|bytes| bytes.to_string()).unwrap_or_default(),
        BackupFile::Encrypted => yes_or_no(backup.encrypted),
        BackupFile::Key => backup.key.clone().unwrap_or_default(),
        BackupFile::KeyState => backup.key_state.unwrap_or_default().to_owned(),
        BackupFile::Owner => backup.owner.to_string(),
        BackupFile::Created => backup.created.clone(),
        BackupFile::Parent => backup.parent.as_ref().map(Name::to_string).unwrap_or_default(),
        BackupFile::Chain => names(&backup.chain),
        BackupFile::Imported => backup.imported.clone().unwrap_or_default(),
        BackupFile::Error => backup.error.clone().unwrap_or_default(),
        BackupFile::Data | BackupFile::Finish | BackupFile::Verify | BackupFile::Delete => {
            String::new()
        }
    };
    value + "\n"
}
