//! Making a state directory and its root key, and changing the passphrase of that.

use super::assembly::token_settings;
use super::hsm_secret::{HsmSecret, demand};
use super::service_user::{ServiceUser, account_of};
use super::state_dir;
use crate::config::{Config, HsmChoice, RootKeyProtection};
use crate::crypto::{SecretText, StretchCost};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::{Pkcs11Hsm, RootKeyFile, SoftHsm};
use std::path::{Path, PathBuf};

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
    let is_new = !config.state_dir.exists();
    if rustix::process::geteuid().is_root()
        && let Some(account) = account_of(config)?
    {
        state_dir::make_for(&account, &config.state_dir)?;
    }
    ServiceUser::act_for(config, |_| fill(config, secret, is_new))
}

/// Makes what is in a state directory, and that itself if it is not there.
fn fill(config: &Config, secret: Option<&SecretText>, is_new: bool) -> Result<InitReport> {
    state_dir::create(&config.state_dir)?;
    state_dir::check_privacy(config)?;
    let _lock = state_dir::lock(&config.state_dir)?;
    let mut created: Vec<PathBuf> = is_new.then(|| config.state_dir.clone()).into_iter().collect();
    match &config.kms.hsm {
        HsmChoice::Soft { root_key_file, protection } => {
            let passphrase = match protection {
                RootKeyProtection::FilePermissions => None,
                RootKeyProtection::Passphrase => {
                    let passphrase = demand(secret, HsmSecret::Passphrase)?;
                    Some((passphrase, StretchCost::RECOMMENDED))
                }
            };
            SoftHsm::initialise_under(passphrase, root_key_file, &config.state_dir.join("hsm"))?;
            created.push(root_key_file.clone());
        }
        HsmChoice::Pkcs11 { module, token, pin_file } => {
            token_settings(module, token, pin_file.as_deref(), secret)
                .and_then(Pkcs11Hsm::initialise)
                .map_err(|error| with_token_help(error, module, token))?;
        }
    }
    Ok(InitReport { created })
}

/// A token that is not there may not have been made yet: says how.
fn with_token_help(error: Error, module: &Path, token: &str) -> Error {
    if !error.message().contains("shows no token") {
        return error;
    }
    let fix = match module.to_string_lossy().contains("softhsm") {
        true => format!("softhsm2-util --init-token --free --label {token}"),
        false => format!(
            "pkcs11-tool --module {m} --init-token --label {token}, then pkcs11-tool --module {m} \
             --init-pin --login --login-type so",
            m = module.display()
        ),
    };
    Error::new(error.kind(), error.message().to_owned()).remedy(fix)
}

/// The root key of a software HSM that no daemon works with.
pub struct OfflineRootKey<'a> {
    config: &'a Config,
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
        let lock = ServiceUser::act_for(config, |_| {
            state_dir::check_privacy(config)?;
            state_dir::lock(&config.state_dir)
        })?;
        Ok(OfflineRootKey { config, path: root_key_file, _lock: lock })
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
        let has_passphrase =
            ServiceUser::act_for(self.config, |_| RootKeyFile::at(self.path).has_passphrase())?;
        Ok(has_passphrase.then_some(HsmSecret::Passphrase))
    }

    /// Refuses a passphrase that is not the present one.
    ///
    /// # Errors
    /// `wrong-secret`.
    pub fn try_passphrase(&self, present: &SecretText) -> Result<()> {
        ServiceUser::act_for(self.config, |_| {
            RootKeyFile::at(self.path).open_with_passphrase(present).map(|_| ())
        })
    }

    /// Puts the root key under another passphrase.
    ///
    /// # Errors
    /// `wrong-secret`, `io`, `no-space`; the old passphrase holds then, or the new one when only the
    /// last synchronisation failed.
    pub fn change_passphrase(&self, present: Option<&SecretText>, new: &SecretText) -> Result<()> {
        ServiceUser::act_for(self.config, |_| {
            RootKeyFile::at(self.path).change_passphrase(present, new, StretchCost::RECOMMENDED)
        })
    }
}
