//! The arguments of `evsfs backup`.

use super::job_args::WorkArgs;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum BackupCommand {
    /// Copy a disk as it is now, attached or not; what changed since its last backup, or all of it
    Create {
        /// The disk
        disk: String,
        /// The backup's name [default: the disk's name and the time]
        name: Option<String>,
        /// Copy all of the disk
        #[arg(long)]
        full: bool,
        /// Copy what changed since the last backup, which must be there
        #[arg(long, conflicts_with = "full")]
        incremental: bool,
        #[command(flatten)]
        work: WorkArgs,
    },
    /// List the backups you may use
    List,
    /// Show a backup, and what it is built upon
    Show {
        /// The backup
        name: String,
    },
    /// Read a backup, and all it is built upon, against their digests; needs no key
    Verify {
        /// The backup
        name: String,
        #[command(flatten)]
        work: WorkArgs,
    },
    /// Write a backup, as it is with all it is built upon, to a new file; needs no key
    Export {
        /// The backup
        name: String,
        /// The file, which must not exist; in a directory NAME.evsbackup, and - is standard output
        file: PathBuf,
        /// Write at most so much a second, such as 200M
        #[arg(long, value_name = "RATE")]
        limit: Option<String>,
    },
    /// Make a backup of an exported file, where the root key is the same; needs no other key
    Import {
        /// The new backup's name
        name: String,
        /// The file; in a directory NAME.evsbackup, and - is standard input
        file: PathBuf,
        /// Read at most so much a second, such as 200M
        #[arg(long, value_name = "RATE")]
        limit: Option<String>,
    },
    /// Delete a backup; those built upon it stay whole
    Delete {
        /// The backup
        name: String,
        /// Say what would be deleted and what is built upon it, and delete nothing
        #[arg(long, conflicts_with_all = ["limit", "no_wait"])]
        dry_run: bool,
        #[command(flatten)]
        work: WorkArgs,
    },
}

impl BackupCommand {
    /// What did not happen when the command was refused.
    pub fn undone(&self) -> String {
        match self {
            BackupCommand::Create { disk, .. } => format!("disk {disk:?} was not backed up"),
            BackupCommand::List => "the backups cannot be listed".to_owned(),
            BackupCommand::Show { name } => format!("backup {name:?} cannot be shown"),
            BackupCommand::Verify { name, .. } => format!("backup {name:?} is not verified"),
            BackupCommand::Export { name, .. } => format!("backup {name:?} was not exported"),
            BackupCommand::Import { name, file, .. } => {
                format!("backup {name:?} was not made of {}", file.display())
            }
            BackupCommand::Delete { name, .. } => format!("backup {name:?} was not deleted"),
        }
    }

    /// The words that name the command.
    pub fn path(&self) -> &'static str {
        match self {
            BackupCommand::Create { .. } => "backup create",
            BackupCommand::List => "backup list",
            BackupCommand::Show { .. } => "backup show",
            BackupCommand::Verify { .. } => "backup verify",
            BackupCommand::Export { .. } => "backup export",
            BackupCommand::Import { .. } => "backup import",
            BackupCommand::Delete { .. } => "backup delete",
        }
    }
}
