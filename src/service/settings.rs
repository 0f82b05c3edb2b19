//! What the service needs to know of the configuration.

use crate::config::CacheMode;
use crate::crypto::Kernel;
use crate::id::Alias;
use crate::units::SectorSize;
use std::path::PathBuf;

/// The settings of a service.
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
    /// Jobs that run at a time.
    pub jobs: usize,
    /// How the kernel caches disk files.
    pub cache: CacheMode,
    /// How sectors are encrypted.
    pub kernel: Kernel,
    /// Let the kernel read plain payloads by itself where it can.
    pub passthrough: bool,
    /// Read and write payloads past the kernel's page cache where they allow it.
    pub direct_backing: bool,
}
