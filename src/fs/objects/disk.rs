//! `.evs/disks/NAME`

use super::object::Object;
use crate::auth::Caller;
use crate::disk::Access;
use crate::error::{Code, Result};
use crate::fs::files::control_files;
use crate::fs::handle::Handle;
use crate::fs::namespace::Namespace;
use crate::fs::values::{gone, yes_or_no};
use crate::fs::verbs::{not_written, wants};
use crate::id::{DiskId, Name};
use crate::service::{Command, DetachMode, DiskCommand, DiskEntry, DiskInfo};
use crate::units::ByteLen;

control_files! {
    /// The files of a disk's control directory.
    DiskFile {
        Id = "id" Value,
        Status = "status" Value,
        Size = "size" Value,
        Encrypted = "encrypted" Value,
        Key = "key" Value,
        KeyState = "key-state" Value,
        KeyVersion = "key-version" Value,
        SectorSize = "sector-size" Value,
        Owner = "owner" Value,
        Created = "created" Value,
        Attached = "attached" Value,
        ReadOnly = "read-only" Value,
        Source = "source" Value,
        Server = "server" Value,
        Error = "error" Value,
        Io = "io" Value,
        Attach = "attach" Verb,
        Detach = "detach" Verb,
        Suspend = "suspend" Verb,
        Resume = "resume" Verb,
        Extend = "extend" Verb,
        Rewrap = "rewrap" Verb,
        Data = "data" Both,
        Finish = "finish" Verb,
        Materialize = "materialize" Verb,
        Delete = "delete" Verb,
    }
}

impl Namespace {
    pub(super) fn disks(&self, caller: Caller) -> Vec<(String, Object)> {
        let visible = self.service().visible_disks(caller).into_iter();
        visible.map(|entry| (entry.name().to_string(), Object::Disk(entry.id()))).collect()
    }

    pub(super) fn disk_named(&self, caller: Caller, name: &str) -> Option<Object> {
        let name = Name::parse(name).ok()?;
        let entry = self.service().visible_disk_named(caller, &name)?;
        Some(Object::Disk(entry.id()))
    }

    pub(super) fn disk_value(&self, caller: Caller, id: DiskId, file: DiskFile) -> Result<String> {
        let entry = self.service().visible_disk(caller, id).ok_or_else(gone)?;
        match file {
            DiskFile::Io => Ok(io_counters(&entry)),
            file => Ok(shown(&self.service().describe_disk(&entry), file)),
        }
    }

    pub(super) fn disk_command(
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
                "" | "rw" => Ok(DiskCommand::Attach(name, Access::ReadWrite).into()),
                "ro" => Ok(DiskCommand::Attach(name, Access::ReadOnly).into()),
                _ => Err(wants("attach", "rw, ro or a newline")),
            },
            DiskFile::Detach => match text {
                "" => Ok(DiskCommand::Detach(name, DetachMode::WhenIdle).into()),
                "force" => Ok(DiskCommand::Detach(name, DetachMode::Forced).into()),
                _ => Err(wants("detach", "a newline or force")),
            },
            DiskFile::Suspend if text.is_empty() => Ok(DiskCommand::Suspend(name).into()),
            DiskFile::Suspend => Err(wants("suspend", "a newline")),
            DiskFile::Resume if text.is_empty() => Ok(DiskCommand::Resume(name).into()),
            DiskFile::Resume => Err(wants("resume", "a newline")),
            DiskFile::Extend => {
                let size = ByteLen::parse(text).map_err(|cause| cause.code(Code::EVS_1010))?;
                Ok(DiskCommand::Extend(name, size).into())
            }
            DiskFile::Rewrap if text.is_empty() => Ok(DiskCommand::Rewrap(name).into()),
            DiskFile::Rewrap => Err(wants("rewrap", "a newline")),
            DiskFile::Finish if text.is_empty() => Ok(DiskCommand::FinishImport(name).into()),
            DiskFile::Finish => Err(wants("finish", "a newline")),
            DiskFile::Materialize if text.is_empty() => {
                Ok(DiskCommand::Materialize(name, None).into())
            }
            DiskFile::Materialize => Err(wants("materialize", "a newline")),
            DiskFile::Delete if text == name.as_str() => Ok(DiskCommand::Delete(name).into()),
            DiskFile::Delete => Err(wants("delete", "the disk's own name")),
            _ => Err(not_written()),
        }
    }
}

impl Namespace {
    /// Size and permission bits of `data`, which is there while the disk is imported.
    pub(in crate::fs) fn disk_data(&self, caller: Caller, id: DiskId) -> Result<(u64, u16)> {
        let entry = self.service().visible_disk(caller, id).ok_or_else(gone)?;
        let mode = if self.service().awaits_content(id) { 0o600 } else { 0 };
        let size = entry.state().record.size().get();
        Ok((size, mode))
    }

    /// Opens `data`, to write it, and to read again what was written.
    pub(in crate::fs) fn open_disk_data(&self, caller: Caller, id: DiskId) -> Result<Handle> {
        let entry = self.service().visible_disk(caller, id).ok_or_else(gone)?;
        let upload = self.service().open_disk_upload(caller, &entry)?;
        Ok(Handle::DiskUpload { caller, upload })
    }
}

fn shown(disk: &DiskInfo, file: DiskFile) -> String {
    let optional = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let value = match file {
        DiskFile::Id => disk.id.to_string(),
        DiskFile::Status => disk.status.to_owned(),
        DiskFile::Size => disk.size.to_string(),
        DiskFile::Encrypted => yes_or_no(disk.encrypted),
        DiskFile::Key => optional(disk.key.as_deref()),
        DiskFile::KeyState => optional(disk.key_state),
        DiskFile::KeyVersion => disk.key_version.map(|n| n.to_string()).unwrap_or_default(),
        DiskFile::SectorSize => disk.sector_size.to_string(),
        DiskFile::Owner => disk.owner.to_string(),
        DiskFile::Created => disk.created.clone(),
        DiskFile::Attached => yes_or_no(disk.attached),
        DiskFile::ReadOnly => yes_or_no(disk.read_only),
        DiskFile::Source => optional(disk.source.as_deref()),
        DiskFile::Server => optional(disk.server.as_ref().map(|name| name.as_str())),
        DiskFile::Error => optional(disk.error.as_deref()),
        DiskFile::Io
        | DiskFile::Attach
        | DiskFile::Detach
        | DiskFile::Suspend
        | DiskFile::Resume
        | DiskFile::Extend
        | DiskFile::Rewrap
        | DiskFile::Data
        | DiskFile::Finish
        | DiskFile::Materialize
        | DiskFile::Delete => String::new(),
    };
    value + "\n"
}

fn io_counters(entry: &DiskEntry) -> String {
    let attachment = entry.state().attachment.clone();
    let Some(attachment) = attachment else { return String::new() };
    let counters = attachment.disk().counters();
    format!(
        "reads: {}\nread-bytes: {}\nwrites: {}\nwritten-bytes: {}\ndiscards: {}\nflushes: {}\nerrors: {}\npassthrough-opens: {}\n",
        counters.reads,
        counters.read_bytes,
        counters.writes,
        counters.written_bytes,
        counters.discards,
        counters.flushes,
        counters.errors,
        attachment.passthrough_opens()
    )
}
