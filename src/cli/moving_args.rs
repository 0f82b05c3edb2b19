//! The arguments of `evsfs disk export-header` and `evsfs disk import`.

use super::args::SecretArgs;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct ExportHeaderArgs {
    /// The disk
    pub name: String,
    /// luks1 (sectors of 512 bytes; QEMU, nbdkit, cryptsetup), luks2 (cryptsetup), or dk: the 64 bytes
    /// of the data key, as they are
    #[arg(long, value_name = "FORMAT")]
    pub format: HeaderFormat,
    /// The file to make, which must not exist
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// How long one try of the passphrase is to take, as cryptsetup has it: less for a slow machine that
    /// will open it, more against guessing [default: that of cryptsetup]
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub iter_time: Option<u32>,
    /// Seal zeros into what was never written first, which other programs read as noise otherwise
    #[arg(long)]
    pub materialize: bool,
    /// Seal at most so much a second, such as 200M
    #[arg(long, value_name = "RATE", requires = "materialize")]
    pub limit: Option<String>,
    /// A header to stand before the payload in one file or device, for programs that do not take the
    /// header apart from it
    #[arg(long)]
    pub joined: bool,
}

/// The forms in which a data key leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum HeaderFormat {
    Luks1,
    Luks2,
    Dk,
}

/// Where the passphrase of a LUKS header is taken from; else the credential evsfs-header-passphrase,
/// else it is asked for at the terminal.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct PassphraseArgs {
    /// Take the passphrase of the header from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Take the passphrase of the header from the first line of this open descriptor
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    pub passphrase_fd: Option<i32>,
}

impl PassphraseArgs {
    /// As the arguments of all commands that take secrets.
    pub fn as_secret(&self) -> SecretArgs {
        SecretArgs {
            passphrase_file: self.passphrase_file.clone(),
            passphrase_fd: self.passphrase_fd,
            ..SecretArgs::default()
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["luks", "raw"]))]
pub(super) struct DiskImportArgs {
    /// The new disk's name
    pub name: String,
    /// Take over a LUKS image or device (aes-xts-plain64, key of 512 bits) without encrypting it anew
    #[arg(long, value_name = "FILE")]
    pub luks: Option<PathBuf>,
    /// Take in a plain image or block device
    #[arg(long, value_name = "FILE")]
    pub raw: Option<PathBuf>,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Leave the data where it lies, in this file or block device, from this offset on [default
    /// offset: as the header says]
    #[arg(long, value_name = "PATH[@OFFSET]", conflicts_with = "raw")]
    pub backing: Option<PathBuf>,
    /// Encrypt the disk, whatever the default is; stays so for its whole life
    #[arg(long, conflicts_with = "luks")]
    pub encrypted: bool,
    /// Do not encrypt the disk, whatever the default is; stays so for its whole life
    #[arg(long, conflicts_with_all = ["encrypted", "key", "luks"])]
    pub unencrypted: bool,
    /// The alias of the key to protect it with
    #[arg(long, value_name = "ALIAS")]
    pub key: Option<String>,
    /// The sector size, 4096 or 512
    #[arg(long, value_name = "BYTES", conflicts_with = "luks")]
    pub sector_size: Option<u64>,
}
