//! All that the control plane can do: the reviewable list.

use crate::config::CacheMode;
use crate::crypto::Kernel;
use crate::disk::Access;
use crate::id::{Alias, Description, Name};
use crate::kms::{Origin, Upload};
use crate::units::{ByteLen, SectorSize};
use std::path::PathBuf;

/// One command. The text of control files, the JSON of `control` and the command line all become
/// one of these before anything is decided.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make a disk.
    DiskCreate(NewDisk),
    /// All disks the caller may see.
    DiskList,
    /// One disk.
    DiskShow(Name),
    /// Open the disk's key and make it a file in the mount.
    DiskAttach(Name, Access),
    /// Flush, wipe the key, take the file away.
    DiskDetach(Name, DetachMode),
    /// Grow, also while attached.
    DiskExtend(Name, ByteLen),
    /// Wrap the data key by the newest version of its master key.
    DiskRewrap(Name),
    /// Remove payload and record.
    DiskDelete(Name),
    /// Make a master key.
    KeyCreate(NewKeyRequest),
    /// All keys.
    KeyList,
    /// One key.
    KeyShow(Alias),
    /// Disabled becomes enabled.
    KeyEnable(Alias),
    /// Enabled becomes disabled.
    KeyDisable(Alias),
    /// Delete after this many days.
    KeyScheduleDeletion(Alias, u32),
    /// Keep the key after all.
    KeyCancelDeletion(Alias),
    /// Add a version.
    KeyRotate(Alias),
    /// Rotate every so many days, or no longer.
    KeySetRotation(Alias, Option<u32>),
    /// Make a one-time key to wrap material under.
    KeyImportParameters(Alias),
    /// Take a key's material, for ever or until a moment.
    KeyImport(Alias, Upload, Option<jiff::Timestamp>),
    /// Give imported material up.
    KeyDeleteMaterial(Alias),
    /// Do not wait for a clock in doubt: the deadline has passed (RULES K10).
    KeyConfirmDeletion(Alias),
    /// Rename.
    KeySetAlias(Alias, Alias),
    /// Set the description.
    KeyDescribe(Alias, Description),
    /// Let EVS use the KMS.
    AgencyCreate,
    /// Is there an agency?
    AgencyShow,
    /// No longer let EVS use the KMS.
    AgencyDelete,
    /// The audit log after this entry, some of it.
    AuditShow(u64),
    /// Is the audit log whole?
    AuditVerify,
    /// What becomes of disks whose creator does not say whether to encrypt them.
    DefaultEncryptionShow,
    /// Choose it: `None` is off, else the key.
    DefaultEncryptionSet(Option<Alias>),
    /// The whole mount at a glance.
    MountStatus,
    /// End the daemon.
    MountStop(StopMode),
}

/// What a new disk shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDisk {
    /// Its name.
    pub name: Name,
    /// Its size.
    pub size: ByteLen,
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
}

/// What a new key shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewKeyRequest {
    /// Its alias.
    pub alias: Alias,
    /// Where its material comes from.
    pub origin: Origin,
    /// Its description.
    pub description: Description,
}

/// How to detach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetachMode {
    /// Only when no file is open.
    WhenIdle,
    /// Whoever has it open loses it (RULES D8).
    Forced,
}

/// How to end the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Give open files the configured grace.
    Graceful,
    /// Detach everything at once.
    Forced,
}

/// What the service needs to know of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the mount is, for `status`.
    pub mountpoint: PathBuf,
    /// Where records and payloads lie.
    pub state_dir: PathBuf,
    /// Where `--backing` may point (RULES A6).
    pub backing_dirs: Vec<PathBuf>,
    /// Names shown in `status`.
    pub region: String,
    /// Names shown in `status`.
    pub project: String,
    /// Encrypt when the request does not say, unless the project has chosen otherwise.
    pub encrypt_by_default: bool,
    /// The key when the request does not say, unless the project has chosen another.
    pub default_key: Alias,
    /// The sector size when the request does not say.
    pub default_sector_size: SectorSize,
    /// Attach again what was attached (RULES D9).
    pub reattach: bool,
    /// How the kernel caches disk files.
    pub cache: CacheMode,
    /// How sectors are encrypted.
    pub kernel: Kernel,
    /// Let the kernel read plain payloads by itself where it can.
    pub passthrough: bool,
    /// Read and write payloads past the kernel's page cache where they allow it.
    pub direct_backing: bool,
}
