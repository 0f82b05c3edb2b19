//! The arguments of `evsfs disk create`, and of verbs for one disk or all.

use super::job_args::WorkArgs;
use std::path::PathBuf;

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
