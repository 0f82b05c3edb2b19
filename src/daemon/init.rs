//! Making a state directory and its root key, and changing the passphrase of that.

use super::assembly::not_built_in;
use super::hsm_secret::{HsmSecret, demand};
use super::state_dir;
use crate::config::{Config, HsmChoice, RootKeyProtection};
use crate::crypto::{SecretText, StretchCost};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::{RootKeyFile, SoftHsm};
use std::path::PathBuf;

/// What was made.
#[derive(Debug, Clone)]
pub struct InitReport {
    /// Directories and files, in the order they were made.
    pub created: Vec<PathBuf>,
}

/// Makes the state directory and the root key of the kind that the configuration names; `secret`
/// is what [`super::needed_secret`] says.
///
/// # Errors
/// `exists` when there is a root key already: a second one would make every disk unreadable;
/// `io`, `no-space`, `denied`.
pub fn init(config: &Config, secret: Option<&SecretText>) -> Result<InitReport> {
    let (root_key_file, passphrase) = match &config.kms.hsm {
        HsmChoice::Soft { root_key_file, protection: RootKeyProtection::FilePermissions } => {
            (root_key_file, None)
        }
        HsmChoice::Soft { root_key_file, protection: RootKeyProtection::Passphrase } => {
            let passphrase = demand(secret, HsmSecret::Passphrase)?;
            (root_key_file, Some((passphrase, StretchCost::RECOMMENDED)))
        }
        HsmChoice::Pkcs11 { .. } => {
            return Err(not_built_in("kms.hsm = \"pkcs11\"", "set kms.hsm = \"soft\""));
        }
    };
    let is_new = !config.state_dir.exists();
    state_dir::create(&config.state_dir)?;
    state_dir::check_privacy(&config.state_dir)?;
    let _lock = state_dir::lock(&config.state_dir)?;
    SoftHsm::initialise_under(passphrase, root_key_file, &config.state_dir.join("hsm"))?;
    let created = is_new.then(|| config.state_dir.clone()).into_iter();
    Ok(InitReport { created: created.chain([root_key_file.clone()]).collect() })
}

/// The root key of a software HSM that no daemon works with.
pub struct OfflineRootKey<'a> {
    path: &'a PathBuf,
    _lock: state_dir::StateLock,
}

impl<'a> OfflineRootKey<'a> {
    /// Takes the lock of the state directory.
    ///
    /// # Errors
    /// `in-use` while a daemon lives; `unsupported` when the HSM is none in software; `denied`.
    pub fn lock(config: &'a Config) -> Result<Self> {
        let HsmChoice::Soft { root_key_file, .. } = &config.kms.hsm else {
            let message = "a passphrase is for kms.hsm = \"soft\"";
            return Err(Error::new(ErrorKind::Unsupported, message)
                .remedy("change the PIN of a token with its own tools"));
        };
        state_dir::check_privacy(&config.state_dir)?;
        let lock = state_dir::lock(&config.state_dir)?;
        Ok(OfflineRootKey { path: root_key_file, _lock: lock })
    }

    /// The file.
    pub fn path(&self) -> &PathBuf {
        self.path
    }

    /// What it takes to change the passphrase; a root key that has none needs nothing.
    ///
    /// # Errors
    /// `not-found`, `integrity`.
    pub fn needed_secret(&self) -> Result<Option<HsmSecret>> {
        let has_passphrase = RootKeyFile::at(self.path).has_passphrase()?;
        Ok(has_passphrase.then_some(HsmSecret::Passphrase))
    }

    /// Refuses a passphrase that is not the present one.
    ///
    /// # Errors
    /// `wrong-secret`.
    pub fn try_passphrase(&self, present: &SecretText) -> Result<()> {
        RootKeyFile::at(self.path).open_with_passphrase(present).map(|_| ())
    }

    /// Puts the root key under another passphrase.
    ///
    /// # Errors
    /// `wrong-secret`, `io`, `no-space`; the old passphrase holds then.
    pub fn change_passphrase(&self, present: Option<&SecretText>, new: &SecretText) -> Result<()> {
        RootKeyFile::at(self.path).change_passphrase(present, new, StretchCost::RECOMMENDED)
    }
}
