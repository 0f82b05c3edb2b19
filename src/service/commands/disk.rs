//! Commands on disks.

use super::command::Command;
use super::disk_import::{DiskImport, import};
use super::disk_source::DiskSource;
use crate::auth::{Action, Caller, Permit};
use crate::disk::Access;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{Alias, Name};
use crate::service::{DiskEntry, Fields, JobKind, NewJob, Reply, Service, StartedJob};
use crate::units::{ByteLen, SectorSize};
use std::path::PathBuf;
use std::sync::Arc;

/// A command on disks.
#[derive(Debug, Clone, PartialEq)]
pub enum DiskCommand {
    /// Make a disk.
    Create(NewDisk),
    /// All disks the caller may see.
    List,
    /// One disk.
    Show(Name),
    /// Open the disk's key and make it a file in the mount.
    Attach(Name, Access),
    /// Flush, wipe the key, take the file away.
    Detach(Name, DetachMode),
    /// Wipe the key of an attached disk, whose file stays and waits.
    Suspend(Name),
    /// Do so with all encrypted disks in use that the caller may use.
    SuspendAll,
    /// Open the key of a suspended disk again.
    Resume(Name),
    /// Do so with all suspended disks that the caller may use.
    ResumeAll,
    /// Grow, also while attached.
    Extend(Name, ByteLen),
    /// Wrap the data key by the newest version of its master key.
    Rewrap(Name),
    /// Do so with all disks, backups and images the caller may use: a job, of so many data keys a
    /// second.
    RewrapAll(Option<u64>),
    /// Make one of what comes from elsewhere.
    Import(DiskImport),
    /// Its content is complete.
    FinishImport(Name),
    /// Open the data key for it to leave evsfs.
    ExportKey(Name),
    /// Seal what was never written: a job, of so many bytes a second.
    Materialize(Name, Option<u64>),
    /// Remove payload and record.
    Delete(Name),
    /// Say what that would do.
    PreviewDeletion(Name),
}

/// What a new disk shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDisk {
    /// Its name.
    pub name: Name,
    /// Its size; `None` is that of its source.
    pub size: Option<ByteLen>,
    /// What fills it; `None` leaves it empty.
    pub from: Option<DiskSource>,
    /// Encrypted or not for life; `None` leaves it to the project's default (RULES D2).
    pub encrypted: Option<bool>,
    /// The master key; `None` leaves it to the project's default (RULES D4).
    pub key: Option<Alias>,
    /// The sector size; `None` leaves it to the project's default.
    pub sector_size: Option<SectorSize>,
    /// Where the payload shall lie, if not in the state directory.
    pub backing: Option<PathBuf>,
    /// Whether data that lies at `backing` may be overwritten.
    pub overwrite: bool,
    /// At most so many bytes a second of its source.
    pub limit: Option<u64>,
}

/// How to detach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetachMode {
    /// Only when no file is open.
    WhenIdle,
    /// Whoever has it open loses it (RULES D8).
    Forced,
}

impl DiskCommand {
    pub(super) fn from_words(verb: &str, words: &mut Fields) -> Result<Option<DiskCommand>> {
        if !matches!(verb, "create" | "import") && words.has("encrypted") {
            return Err(encryption_never_changes());
        }
        Ok(Some(match verb {
            "create" => DiskCommand::Create(new_disk(words)?),
            "list" => DiskCommand::List,
            "show" => DiskCommand::Show(words.need_name("name")?),
            "attach" => DiskCommand::Attach(words.need_name("name")?, access(words)?),
            "detach" => DiskCommand::Detach(words.need_name("name")?, detach_mode(words)?),
            "suspend" => match words.take_flag("all")? {
                Some(true) => DiskCommand::SuspendAll,
                Some(false) | None => DiskCommand::Suspend(words.need_name("name")?),
            },
            "resume" => match words.take_flag("all")? {
                Some(true) => DiskCommand::ResumeAll,
                Some(false) | None => DiskCommand::Resume(words.need_name("name")?),
            },
            "extend" => DiskCommand::Extend(words.need_name("name")?, size(words)?),
            "rewrap" => match words.take_flag("all")? {
                Some(true) => DiskCommand::RewrapAll(words.take_limit()?),
                Some(false) | None => DiskCommand::Rewrap(words.need_name("name")?),
            },
            "import" => DiskCommand::Import(import(words)?),
            "finish" => DiskCommand::FinishImport(words.need_name("name")?),
            "export-key" => DiskCommand::ExportKey(words.need_name("name")?),
            "materialize" => {
                DiskCommand::Materialize(words.need_name("name")?, words.take_limit()?)
            }
            "delete" => match words.take_flag("dry_run")? {
                Some(true) => DiskCommand::PreviewDeletion(words.need_name("name")?),
                Some(false) | None => DiskCommand::Delete(words.need_name("name")?),
            },
            _ => return Ok(None),
        }))
    }
}

impl From<DiskCommand> for Command {
    fn from(command: DiskCommand) -> Self {
        Command::Disk(command)
    }
}

impl Service {
    pub(super) fn execute_on_disks(&self, caller: Caller, command: DiskCommand) -> Result<Reply> {
        match command {
            DiskCommand::Create(request) => {
                let permit = self.permit(caller, Action::CreateObject)?;
                self.create_disk(permit, request)
            }
            DiskCommand::List => Ok(Reply::Disks(self.list_disks(caller)?)),
            DiskCommand::Show(name) => self.on_disk(caller, &name, |_, _| Ok(())),
            DiskCommand::Attach(name, access) => {
                self.on_disk(caller, &name, |permit, entry| self.attach(permit, entry, access))
            }
            DiskCommand::Detach(name, mode) => self.on_disk(caller, &name, |permit, entry| {
                self.must_not_be_system_disk(entry, "detached")?;
                self.detach(permit, entry, mode)
            }),
            DiskCommand::Suspend(name) => {
                self.on_disk(caller, &name, |permit, entry| self.suspend(permit, entry))
            }
            DiskCommand::SuspendAll => {
                let _permit = self.permit(caller, Action::EnterControl)?;
                Ok(self.describe_disks(&self.suspend_all(caller)?))
            }
            DiskCommand::Resume(name) => {
                self.on_disk(caller, &name, |permit, entry| self.resume(permit, entry))
            }
            DiskCommand::ResumeAll => {
                let _permit = self.permit(caller, Action::EnterControl)?;
                Ok(self.describe_disks(&self.resume_all(caller)?))
            }
            DiskCommand::Extend(name, size) => {
                self.on_disk(caller, &name, |permit, entry| self.extend(permit, entry, size))
            }
            DiskCommand::Rewrap(name) => {
                self.on_disk(caller, &name, |permit, entry| self.rewrap(permit, entry))
            }
            DiskCommand::RewrapAll(limit) => {
                let _permit = self.permit(caller, Action::CreateObject)?;
                self.require_agency(caller)?;
                let new = NewJob {
                    kind: JobKind::RewrapAll,
                    subject: "all data keys".to_owned(),
                    total: None,
                    limit,
                };
                let job = self.start_job(caller, new, move |service, context| {
                    service.rewrap_all(caller, context)
                })?;
                Ok(Reply::Started(StartedJob { job: job.id }))
            }
            DiskCommand::Import(request) => Ok(Reply::Disk(self.import_disk(caller, request)?)),
            DiskCommand::FinishImport(name) => Ok(Reply::Disk(self.finish_import(caller, &name)?)),
            DiskCommand::ExportKey(name) => {
                Ok(Reply::DataKey(Box::new(self.export_data_key(caller, &name)?)))
            }
            DiskCommand::Materialize(name, limit) => {
                Ok(Reply::Started(self.start_materializing(caller, &name, limit)?))
            }
            DiskCommand::Delete(name) => {
                let (entry, permit) = self.usable(caller, &name)?;
                self.must_not_be_system_disk(&entry, "deleted")?;
                if self.abort_upload(entry.id()) {
                    return Ok(Reply::DONE);
                }
                self.delete(permit, &entry)?;
                Ok(Reply::DONE)
            }
            DiskCommand::PreviewDeletion(name) => {
                let (entry, _permit) = self.usable(caller, &name)?;
                self.must_not_be_system_disk(&entry, "deleted")?;
                // An import that is given up is nothing but its upload.
                if !self.has_upload(entry.id()) {
                    self.check_deletion(&entry)?;
                }
                Ok(Reply::DiskDeletion(Box::new(self.describe_deletion(caller, &entry))))
            }
        }
    }

    fn describe_disks(&self, entries: &[Arc<DiskEntry>]) -> Reply {
        Reply::Disks(entries.iter().map(|entry| self.describe_disk(entry)).collect())
    }

    /// Works on the disk of that name, if the caller may use it, and answers how it is afterwards.
    fn on_disk(
        &self,
        caller: Caller,
        name: &Name,
        work: impl FnOnce(Permit, &DiskEntry) -> Result<()>,
    ) -> Result<Reply> {
        let (entry, permit) = self.usable(caller, name)?;
        work(permit, &entry)?;
        Ok(Reply::Disk(self.describe_disk(&entry)))
    }
}

/// The refusal of every request to change a disk's encryption attribute (RULES D2).
pub fn encryption_never_changes() -> Error {
    Error::new(ErrorKind::Protected, "a disk's encryption is chosen when it is created, for life")
        .code(Code::EVS_2041)
        .remedy("create another disk and copy the data")
}

pub(super) fn new_disk(words: &mut Fields) -> Result<NewDisk> {
    let from = words.take_text("from")?.map(|text| DiskSource::parse(&text)).transpose()?;
    // Nothing takes long where nothing is copied, and there is nothing to limit.
    let is_filled = from.is_some();
    let sector_size = sector_size(words)?;
    Ok(NewDisk {
        name: words.need_name("name")?,
        size: match (words.has("size"), &from) {
            // The source has a size.
            (false, Some(_)) => None,
            _ => Some(size(words)?),
        },
        from,
        encrypted: words.take_flag("encrypted")?,
        key: words.take_alias("key")?,
        sector_size,
        backing: words.take_text("backing")?.map(PathBuf::from),
        overwrite: words.take_flag("overwrite")?.unwrap_or(false),
        limit: if is_filled { words.take_limit()? } else { None },
    })
}

pub(super) fn sector_size(words: &mut Fields) -> Result<Option<SectorSize>> {
    let Some(text) = words.take_text("sector_size")? else { return Ok(None) };
    let bytes = text.parse().map_err(|_| {
        Error::new(ErrorKind::Invalid, format!("sector size {text:?} is not a number"))
    })?;
    SectorSize::from_bytes(bytes).map(Some)
}

pub(super) fn size(words: &mut Fields) -> Result<ByteLen> {
    ByteLen::parse(&words.need_text("size")?).map_err(|cause| cause.code(Code::EVS_1010))
}

fn access(words: &mut Fields) -> Result<Access> {
    Ok(match words.take_flag("read_only")? {
        Some(true) => Access::ReadOnly,
        Some(false) | None => Access::ReadWrite,
    })
}

fn detach_mode(words: &mut Fields) -> Result<DetachMode> {
    Ok(match words.take_flag("force")? {
        Some(true) => DetachMode::Forced,
        Some(false) | None => DetachMode::WhenIdle,
    })
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
    fn a_disk_request_becomes_a_typed_command() {
        let command =
            request("disk.create", &[("name", "db"), ("size", "10G"), ("encrypted", "yes")])
                .unwrap();
        let Command::Disk(DiskCommand::Create(disk)) = command else { panic!("{command:?}") };
        assert_eq!((disk.size, disk.from), (Some(ByteLen::new(10 << 30)), None));
        assert_eq!((disk.encrypted, disk.key, disk.sector_size), (Some(true), None, None));
    }

    #[test]
    fn a_request_to_change_the_encryption_is_evs_2041() {
        for op in ["disk.extend", "disk.attach", "disk.set-encryption"] {
            let refusal = request(op, &[("name", "db"), ("encrypted", "no")]).unwrap_err();
            assert_eq!(refusal.documented_code(), Some(Code::EVS_2041), "{op}");
        }
    }
}
