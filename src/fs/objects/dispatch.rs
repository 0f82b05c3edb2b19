//! From an object to the file of its noun.

use super::backup::BackupFile;
use super::disk::DiskFile;
use super::image::ImageFile;
use super::object::{Collection, Object, ObjectFile};
use crate::auth::{Action, Caller};
use crate::error::Result;
use crate::fs::handle::Handle;
use crate::fs::namespace::{CONTROL_FILE_SIZE, Namespace};
use crate::service::Command;

impl Collection {
    /// The operation that a line written to `create` asks for; `None` where nothing is made so.
    pub const fn create_operation(self) -> Option<&'static str> {
        match self {
            Collection::Disks => Some("disk.create"),
            Collection::Keys => Some("key.create"),
            Collection::Images => Some("image.create"),
            Collection::Servers => Some("server.create"),
            Collection::Backups => Some("backup.create"),
            // Verbs that take long make them.
            Collection::Jobs => None,
        }
    }

    /// What a caller must be allowed to do to use `create`.
    pub const fn create_action(self) -> Action {
        match self {
            Collection::Disks
            | Collection::Backups
            | Collection::Images
            | Collection::Servers
            | Collection::Jobs => Action::CreateObject,
            Collection::Keys => Action::ManageKeys,
        }
    }
}

impl Namespace {
    /// The objects of a collection that a caller may see, by the names of their directories.
    pub(in crate::fs) fn objects(
        &self,
        caller: Caller,
        collection: Collection,
    ) -> Vec<(String, Object)> {
        match collection {
            Collection::Disks => self.disks(caller),
            Collection::Keys => self.keys(caller),
            Collection::Images => self.images(caller),
            Collection::Servers => self.servers(caller),
            Collection::Jobs => self.jobs(caller),
            Collection::Backups => self.backups(caller),
        }
    }

    /// The object of a collection with this name, if the caller may see it.
    pub(in crate::fs) fn object_named(
        &self,
        caller: Caller,
        collection: Collection,
        name: &str,
    ) -> Option<Object> {
        match collection {
            Collection::Disks => self.disk_named(caller, name),
            Collection::Keys => self.key_named(caller, name),
            Collection::Images => self.image_named(caller, name),
            Collection::Servers => self.server_named(caller, name),
            Collection::Jobs => self.job_named(caller, name),
            Collection::Backups => self.backup_named(caller, name),
        }
    }

    /// Whether an object is there for the caller.
    pub(in crate::fs) fn has_object(&self, caller: Caller, object: Object) -> bool {
        match object {
            Object::Disk(id) => self.service().visible_disk(caller, id).is_some(),
            Object::Key(id) => self.key_with_id(caller, id).is_some(),
            Object::Image(id) => self.service().visible_image(caller, id).is_some(),
            Object::Server(id) => self.service().visible_server(caller, id).is_some(),
            Object::Job(id) => self.service().visible_job(caller, id).is_some(),
            Object::Backup(id) => self.service().visible_backup(caller, id).is_some(),
        }
    }

    /// Whether a file of an object is one this caller may operate, as opposed to look at.
    pub(in crate::fs) fn operates(&self, caller: Caller, file: ObjectFile) -> bool {
        match file {
            ObjectFile::Disk(..)
            | ObjectFile::Backup(..)
            | ObjectFile::Image(..)
            | ObjectFile::Server(..)
            | ObjectFile::Job(..) => true,
            ObjectFile::Key(_, file) => self.operates_key(caller, file),
        }
    }

    /// Size and permission bits of a file of content, `data`; `None` for other files. What a stream
    /// is long is not known, so that it claims the size of a control file.
    ///
    /// # Errors
    /// `not-found` when the object has gone.
    pub(in crate::fs) fn data_attributes(
        &self,
        caller: Caller,
        file: ObjectFile,
    ) -> Option<Result<(u64, u16)>> {
        match file {
            ObjectFile::Disk(id, DiskFile::Data) => Some(self.disk_data(caller, id)),
            ObjectFile::Image(id, ImageFile::Data) => Some(self.image_data(caller, id)),
            ObjectFile::Backup(id, BackupFile::Data) => {
                Some(self.backup_data(caller, id).map(|mode| (CONTROL_FILE_SIZE, mode)))
            }
            _ => None,
        }
    }

    /// Opens a file of content; `None` for other files.
    ///
    /// # Errors
    /// `not-found`; `wrong-status`; what keeps it from being given out or taken.
    pub(in crate::fs) fn open_data(
        &self,
        caller: Caller,
        file: ObjectFile,
        for_writing: bool,
    ) -> Option<Result<Handle>> {
        match file {
            ObjectFile::Disk(id, DiskFile::Data) => Some(self.open_disk_data(caller, id)),
            ObjectFile::Image(id, ImageFile::Data) => {
                Some(self.open_image_data(caller, id, for_writing))
            }
            ObjectFile::Backup(id, BackupFile::Data) => {
                Some(self.open_backup_data(caller, id, for_writing))
            }
            _ => None,
        }
    }

    /// What a file of an object holds for this caller now.
    ///
    /// # Errors
    /// `not-found` when the object has gone.
    pub(in crate::fs) fn object_value(&self, caller: Caller, file: ObjectFile) -> Result<String> {
        match file {
            ObjectFile::Disk(id, file) => self.disk_value(caller, id, file),
            ObjectFile::Key(id, file) => self.key_value(caller, id, file),
            ObjectFile::Image(id, file) => self.image_value(caller, id, file),
            ObjectFile::Server(id, file) => self.server_value(caller, id, file),
            ObjectFile::Job(id, file) => self.job_value(caller, id, file),
            ObjectFile::Backup(id, file) => self.backup_value(caller, id, file),
        }
    }

    /// The command that writing `text` to a file of an object gives.
    ///
    /// # Errors
    /// `invalid` when the text is not what the file takes; `not-found` when the object has gone.
    pub(in crate::fs) fn object_command(
        &self,
        caller: Caller,
        file: ObjectFile,
        text: &str,
    ) -> Result<Command> {
        match file {
            ObjectFile::Disk(id, file) => self.disk_command(caller, id, file, text),
            ObjectFile::Key(id, file) => self.key_command(caller, id, file, text),
            ObjectFile::Image(id, file) => self.image_command(caller, id, file, text),
            ObjectFile::Server(id, file) => self.server_command(caller, id, file, text),
            ObjectFile::Job(id, file) => self.job_command(caller, id, file, text),
            ObjectFile::Backup(id, file) => self.backup_command(caller, id, file, text),
        }
    }
}
