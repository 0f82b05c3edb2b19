//! A configuration that has passed every rule.

use super::document::Document;
use super::mistake::mistake;
use super::role::Role;
use super::rules;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Alias, Uid};
use crate::units::SectorSize;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest `mount.toml` that is read; a bigger file is a mistake of another sort.
const MAX_FILE_LEN: u64 = 1 << 20;

/// What `mount.toml` says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file this came from, for messages.
    pub file: PathBuf,
    /// Where the filesystem is mounted.
    pub mountpoint: PathBuf,
    /// Where records, keys and payloads lie.
    pub state_dir: PathBuf,
    /// The region's name.
    pub region: String,
    /// The project's name.
    pub project: String,
    /// Where `--backing` may point: directories and block devices (RULES A6).
    pub backing_dirs: Vec<PathBuf>,
    /// `[mount]`.
    pub mount: MountSettings,
    /// `[kms]`.
    pub kms: KmsSettings,
    /// `[defaults]`.
    pub defaults: Defaults,
    /// Every `[[user]]`, names and uids without repeats.
    pub users: Vec<User>,
}

/// How the filesystem is mounted and served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSettings {
    /// The user that a daemon becomes which root starts.
    pub user: Option<String>,
    /// Whether other users reach the mount at all; what they may do there is up to their roles.
    pub allow_other: bool,
    /// Threads that serve the kernel; 0: one per core, at least 2.
    pub threads: usize,
    /// What the kernel keeps of disk files.
    pub cache: CacheMode,
    /// How sectors are encrypted.
    pub kernel: KernelChoice,
    /// Whether the kernel may read unencrypted disks that are attached read-only by itself.
    pub passthrough: bool,
    /// Whether payloads are read and written past the kernel's page cache.
    pub direct_backing: bool,
    /// Whether the daemon restricts itself once it is mounted.
    pub sandbox: bool,
    /// What it may use all the same, besides what it is known to need.
    pub sandbox_also: Vec<PathBuf>,
    /// Whether disks attached at the last stop are attached again (RULES D9).
    pub reattach: bool,
    /// Jobs that run at a time.
    pub jobs: usize,
    /// How long a stop waits for open files.
    pub shutdown_grace: Duration,
}

/// What the kernel keeps of disk files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Page cache; write(2) goes through to the backing, shared mappings are written back later.
    Writeback,
    /// Nothing: every read and write reaches the daemon.
    None,
}

/// Which of the ways to compute the disk cipher is used. All give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelChoice {
    /// The fastest that the processor can run.
    Auto,
    /// Fused, on 512-bit registers.
    Vaes512,
    /// Fused, on 256-bit registers.
    Vaes256,
    /// Many blocks at once, on any processor.
    Batched,
    /// Block by block, on any processor.
    Portable,
}

/// How keys are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsSettings {
    /// Where the root key lives.
    pub hsm: HsmChoice,
}

/// Where the root key lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HsmChoice {
    /// The software HSM.
    Soft {
        /// The file with the root key.
        root_key_file: PathBuf,
        /// What else it takes to use that file.
        protection: RootKeyProtection,
    },
    /// A token behind a PKCS#11 module.
    Pkcs11 {
        /// The module's shared library.
        module: PathBuf,
        /// The token's label.
        token: String,
        /// The file with the user's PIN; without one it is given at the start.
        pin_file: Option<PathBuf>,
    },
}

/// What it takes, besides reading it, to use the file of the root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKeyProtection {
    /// Nothing: who reads the file has the root key.
    FilePermissions,
    /// A passphrase (`passphrase = true`).
    Passphrase,
}

/// What `disk create` does when it is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Whether new disks are encrypted.
    pub encryption: bool,
    /// The key they use.
    pub key: Alias,
    /// Their sector size.
    pub sector_size: SectorSize,
}

/// A user of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name in messages.
    pub name: String,
    /// The uid the kernel gives with this user's requests.
    pub uid: Uid,
    /// What the user may do, without repeats.
    pub roles: Vec<Role>,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// `not-found` without a file, `io` when it cannot be read, and as [`Config::parse`].
    pub fn load(path: &Path) -> Result<Config> {
        let refuse = |cause: std::io::Error| match cause.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, format!("there is no {}", path.display()))
                    .remedy(format!("evsfs init -c {}", path.display()))
            }
            std::io::ErrorKind::PermissionDenied => {
                Error::new(ErrorKind::Denied, format!("{} cannot be read", path.display()))
                    .remedy("run as the user the file belongs to, or name another with -c FILE")
                    .caused_by(cause)
            }
            _ => Error::io(format!("reading {}", path.display()), cause),
        };
        let file = std::fs::File::open(path).map_err(refuse)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_LEN + 1).read_to_end(&mut bytes).map_err(refuse)?;
        if bytes.len() as u64 > MAX_FILE_LEN {
            return Err(mistake(path, "", "the file is larger than 1 MiB"));
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| mistake(path, "", "the file is not UTF-8 text"))?;
        Config::parse(text, path)
    }

    /// Checks `text`; `path` is the file that messages name.
    ///
    /// # Errors
    /// `invalid` with the file, the key and the reason.
    pub fn parse(text: &str, path: &Path) -> Result<Config> {
        rules::check(Document::parse(text, path)?, path)
    }

    /// The same configuration with another mountpoint, as the command line may ask.
    ///
    /// # Errors
    /// `invalid` when the new mountpoint breaks a rule.
    pub fn with_mountpoint(mut self, mountpoint: PathBuf) -> Result<Config> {
        self.mountpoint = mountpoint;
        rules::check_places(&self)?;
        Ok(self)
    }

    /// `mount.toml.example`: every key with its default and what it is for.
    pub const fn example() -> &'static str {
        include_str!("../../mount.toml.example")
    }
}
