//! Making a state directory and its root key.

use super::assembly::not_built_in;
use super::state_dir;
use crate::config::{Config, HsmChoice, RootKeyProtection};
use crate::error::Result;
use crate::kms::SoftHsm;
use std::path::PathBuf;

/// Where the root key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKeyKind {
    /// A file of random bytes, readable by its owner alone.
    File,
}

/// How to initialise.
#[derive(Debug, Clone, Copy)]
pub struct InitOptions {
    /// Where the root key comes from.
    pub root_key: RootKeyKind,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct InitReport {
    /// Directories and files, in the order they were made.
    pub created: Vec<PathBuf>,
}

/// Makes the state directory and the root key.
///
/// # Errors
/// `exists` when there is a root key already: a second one would make every disk unreadable;
/// `io`, `no-space`, `denied`.
pub fn init(config: &Config, options: InitOptions) -> Result<InitReport> {
    let RootKeyKind::File = options.root_key;
    let root_key_file = match &config.kms.hsm {
        HsmChoice::Soft { root_key_file, protection: RootKeyProtection::FilePermissions } => {
            root_key_file
        }
        HsmChoice::Soft { protection: RootKeyProtection::Passphrase, .. } => {
            return Err(not_built_in("kms.passphrase", "leave out kms.passphrase"));
        }
        HsmChoice::Pkcs11 { .. } => {
            return Err(not_built_in("kms.hsm = \"pkcs11\"", "set kms.hsm = \"soft\""));
        }
    };
    let is_new = !config.state_dir.exists();
    state_dir::create(&config.state_dir)?;
    state_dir::check_privacy(&config.state_dir)?;
    let _lock = state_dir::lock(&config.state_dir)?;
    SoftHsm::initialise(root_key_file, &config.state_dir.join("hsm"))?;
    let created = is_new.then(|| config.state_dir.clone()).into_iter();
    Ok(InitReport { created: created.chain([root_key_file.clone()]).collect() })
}
