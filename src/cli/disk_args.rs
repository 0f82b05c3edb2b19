//! The arguments of `evsfs disk`.

use super::job_args::WorkArgs;
use super::moving_args::{DiskImportArgs, ExportHeaderArgs};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum DiskCommand {
    /// Create a disk
    Create(DiskCreateArgs),
    /// List the disks you may use
    List,
    /// Show a disk
    Show {
        /// The disk
        name: String,
    },
    /// Make a disk appear as a file in the mount
    Attach {
        /// The disk
        name: String,
        /// Attach it for reading only
        #[arg(long)]
        read_only: bool,
    },
    /// Make an attached disk disappear from the mount and its data key from memory
    Detach {
        /// The disk
        name: String,
        /// Even while the file is open: I/O through it fails from then on
        #[arg(long)]
        force: bool,
    },
    /// Wipe the key of an attached disk from memory; whoever uses its file waits until it is resumed
    Suspend(DisksArgs),
    /// Get the key of a suspended disk again, if it is enabled; whoever waited goes on
    Resume(DisksArgs),
    /// Make a disk larger, attached or not
    Extend {
        /// The disk
        name: String,
        /// The new size, such as 20G
        #[arg(long)]
        size: String,
    },
    /// Wrap a disk's data key by the newest version of its key, attached or not
    Rewrap {
        /// The disk
        #[arg(required_unless_present = "all")]
        name: Option<String>,
        /// All encrypted disks you may use, one after the other, and their backups and images
        #[arg(long, conflicts_with = "name")]
        all: bool,
        #[command(flatten)]
        work: WorkArgs,
    },
    /// Make a disk of a plain image, or take over a LUKS volume as it is (kms-administrator)
    Import(DiskImportArgs),
    /// Take the key of a disk out of evsfs, so that its payload opens elsewhere (kms-administrator)
    ExportHeader(ExportHeaderArgs),
    /// Delete a disk and all data on it
    Delete {
        /// The disk
        name: String,
        /// Say what would be deleted and what would stay, and delete nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct DiskCreateArgs {
    /// The new disk's name
    pub name: String,
    /// Its size, such as 10G; with --from, the source's size is the default
    #[arg(long, required_unless_present = "from")]
    pub size: Option<String>,
    /// Encrypt the disk, whatever the default is; stays so for its whole life
    #[arg(long)]
    pub encrypted: bool,
    /// Do not encrypt the disk, whatever the default is; stays so for its whole life
    #[arg(long, conflicts_with_all = ["encrypted", "key"])]
    pub unencrypted: bool,
    /// The alias of the key to encrypt it with
    #[arg(long, value_name = "ALIAS")]
    pub key: Option<String>,
    /// Fill it from backup:NAME or image:NAME
    #[arg(long, value_name = "SOURCE")]
    pub from: Option<String>,
    /// The sector size, 4096 or 512
    #[arg(long, value_name = "BYTES")]
    pub sector_size: Option<u64>,
    /// Keep the payload in this file or block device
    #[arg(long, value_name = "PATH")]
    pub backing: Option<PathBuf>,
    /// Lose the data that is found there
    #[arg(long, requires = "backing")]
    pub overwrite: bool,
    #[command(flatten)]
    pub work: WorkArgs,
}

impl DiskCommand {
    /// What did not happen when the command was refused.
    pub fn undone(&self) -> String {
        let (name, what) = match self {
            DiskCommand::List => return "the disks cannot be listed".to_owned(),
            DiskCommand::Create(args) => (&args.name, "was not created"),
            DiskCommand::Show { name } => (name, "cannot be shown"),
            DiskCommand::Attach { name, .. } => (name, "was not attached"),
            DiskCommand::Detach { name, .. } => (name, "was not detached"),
            DiskCommand::Suspend(disks) => return disks.undone("suspended"),
            DiskCommand::Resume(disks) => return disks.undone("resumed"),
            DiskCommand::Extend { name, .. } => (name, "was not extended"),
            DiskCommand::Rewrap { name: None, .. } => {
                return "not every data key was rewrapped".to_owned();
            }
            DiskCommand::Rewrap { name: Some(name), .. } => (name, "was not rewrapped"),
            DiskCommand::Import(args) => (&args.name, "was not imported"),
            DiskCommand::ExportHeader(args) => (&args.name, "was not exported"),
            DiskCommand::Delete { name, .. } => (name, "was not deleted"),
        };
        format!("disk {name:?} {what}")
    }

    /// The words that name the command.
    pub fn path(&self) -> &'static str {
        match self {
            DiskCommand::Create(_) => "disk create",
            DiskCommand::List => "disk list",
            DiskCommand::Show { .. } => "disk show",
            DiskCommand::Attach { .. } => "disk attach",
            DiskCommand::Detach { .. } => "disk detach",
            DiskCommand::Suspend(_) => "disk suspend",
            DiskCommand::Resume(_) => "disk resume",
            DiskCommand::Extend { .. } => "disk extend",
            DiskCommand::Rewrap { .. } => "disk rewrap",
            DiskCommand::Import(_) => "disk import",
            DiskCommand::ExportHeader(_) => "disk export-header",
            DiskCommand::Delete { .. } => "disk delete",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct DisksArgs {
    /// The disk
    #[arg(required_unless_present = "all")]
    pub name: Option<String>,
    /// All encrypted disks that you may use and that are attached
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
}

impl DisksArgs {
    /// What has failed, if the disks are not `done`.
    pub fn undone(&self, done: &str) -> String {
        match &self.name {
            Some(name) => format!("disk {name:?} was not {done}"),
            None => format!("not every disk was {done}"),
        }
    }
}
