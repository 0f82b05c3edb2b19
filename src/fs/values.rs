//! The content of value files: one value, ASCII, ends in a newline.

use super::help::HELP;
use super::namespace::Namespace;
use super::node::{ControlFile, DiskFile, KeyFile, Node};
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Name;
use crate::service::{Command, DiskEntry, DiskInfo, KeyInfo, Reply, VersionInfo};

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
            Node::ControlFile(ControlFile::Agency) => self.agency(caller),
            Node::ControlFile(ControlFile::DefaultEncryption) => self.default_encryption(caller),
            Node::DiskFile(id, file) => {
                let entry = self.service().visible_disk(caller, id).ok_or_else(gone)?;
                match file {
                    DiskFile::Io => Ok(io_counters(&entry)),
                    file => Ok(disk_value(&self.service().describe_disk(&entry), file)),
                }
            }
            Node::KeyFile(id, KeyFile::ImportParameters) => {
                let view = self.key_with_id(caller, id).ok_or_else(gone)?;
                let made = self.service().import_parameters(caller, view.id);
                Ok(made.map(|made| made.public_key).unwrap_or_default())
            }
            Node::KeyFile(id, file) => {
                let view = self.key_with_id(caller, id).ok_or_else(gone)?;
                Ok(key_value(&self.service().describe_key(caller, &view), file))
            }
            _ => Err(Error::new(ErrorKind::Denied, "this file is not to be read")),
        }
    }

    fn agency(&self, caller: Caller) -> Result<String> {
        match self.service().execute(caller, Command::AgencyShow)? {
            Reply::Agency(agency) => {
                Ok(agency.name.map(|name| format!("{name}\n")).unwrap_or_default())
            }
            _ => Err(Error::new(ErrorKind::Internal, "asking for the agency")),
        }
    }

    fn default_encryption(&self, caller: Caller) -> Result<String> {
        match self.service().execute(caller, Command::DefaultEncryptionShow)? {
            Reply::DefaultEncryption(default) => Ok(match default.key {
                Some(key) => format!("on {key}\n"),
                None => "off\n".to_owned(),
            }),
            _ => Err(Error::new(ErrorKind::Internal, "asking for the default encryption")),
        }
    }
}

fn disk_value(disk: &DiskInfo, file: DiskFile) -> String {
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
        | DiskFile::Extend
        | DiskFile::Rewrap
        | DiskFile::Delete => String::new(),
    };
    value + "\n"
}

fn key_value(key: &KeyInfo, file: KeyFile) -> String {
    let value = match file {
        KeyFile::Id => key.id.to_string(),
        KeyFile::State => key.state.to_owned(),
        KeyFile::Origin => key.origin.to_owned(),
        KeyFile::Created => key.created.clone(),
        KeyFile::DeletionDate => key.deletion_date.clone().unwrap_or_default(),
        KeyFile::Version => key.version.to_string(),
        KeyFile::Versions => {
            // One version a line: number, date, disks.
            let line = |of: &VersionInfo| format!("{} {} {}\n", of.version, of.created, of.disks);
            return key.versions.iter().map(line).collect();
        }
        KeyFile::Rotation => key.rotation.clone(),
        KeyFile::RotationDate => key.rotation_date.clone().unwrap_or_default(),
        KeyFile::ExpiryDate => key.expiry_date.clone().unwrap_or_default(),
        KeyFile::Description => key.description.clone(),
        KeyFile::DeletionWaitsUntil => key.deletion_waits_until.clone().unwrap_or_default(),
        KeyFile::Disks => return one_a_line(&key.disks),
        KeyFile::AttachedDisks => return one_a_line(&key.attached_disks),
        KeyFile::ForeignDisks => key.foreign_disks.map(|n| n.to_string()).unwrap_or_default(),
        KeyFile::Enable
        | KeyFile::Disable
        | KeyFile::ScheduleDeletion
        | KeyFile::CancelDeletion
        | KeyFile::Rotate
        | KeyFile::ImportParameters
        | KeyFile::Import
        | KeyFile::DeleteMaterial
        | KeyFile::ConfirmDeletion => String::new(),
    };
    value + "\n"
}

/// The exception to one value a file, as in configfs lists.
fn one_a_line(names: &[Name]) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
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

fn yes_or_no(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

pub(super) fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "this object has gone")
}
