//! Commands: the reviewable list of all the control plane can do.
//!
//! One noun a file. Each holds the noun's commands, the words they are asked for with, and how they
//! are carried out: permission first, then the part of the service that does the work. The text of
//! control files, the JSON of `control` and the command line all become a [`Command`] before
//! anything is decided.
//!
//! A new noun is a file here, a variant of [`Command`] and a line in each of its two matches.

mod agency;
mod audit;
mod backup;
mod command;
mod default_encryption;
mod disk;
mod disk_import;
mod disk_source;
mod image;
mod job;
mod key;
mod mount;
mod server;

pub use agency::AgencyCommand;
pub use audit::AuditCommand;
pub use backup::BackupCommand;
pub use command::Command;
pub use default_encryption::DefaultEncryptionCommand;
pub use disk::{DetachMode, DiskCommand, NewDisk, encryption_never_changes};
pub use disk_import::{DiskImport, ImportedContent};
pub use disk_source::DiskSource;
pub use image::{ImageCommand, ImageCopy, ImageImport};
pub use job::JobCommand;
pub use key::{KeyCommand, NewKeyRequest};
pub use mount::{MountCommand, StopMode};
pub use server::{NewServer, ServerCommand};
