//! Making a state directory and its root key.

use super::assembly::{Unlock, not_built_in, token_settings};
use super::state_dir;
use crate::config::{Config, HsmChoice, RootKeyProtection};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::{Pkcs11Hsm, SoftHsm};
use std::path::{Path, PathBuf};

/// Where the root key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKeyKind {
    /// A file of random bytes, readable by its owner alone.
    File,
    /// A key that a token makes and keeps.
    Token,
}

/// How to initialise.
#[derive(Default)]
pub struct InitOptions {
    /// Where the root key comes from; without a word, from where the configuration says.
    pub root_key: Option<RootKeyKind>,
    /// What the HSM may ask for.
    pub unlock: Unlock,
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
    let configured = match &config.kms.hsm {
        HsmChoice::Soft { protection: RootKeyProtection::FilePermissions, .. } => RootKeyKind::File,
        HsmChoice::Soft { protection: RootKeyProtection::Passphrase, .. } => {
            return Err(not_built_in("kms.passphrase", "leave out kms.passphrase"));
        }
        HsmChoice::Pkcs11 { .. } => RootKeyKind::Token,
    };
    if options.root_key.is_some_and(|asked| asked != configured) {
        return Err(contradicted(config, configured));
    }
    let is_new = !config.state_dir.exists();
    state_dir::create(&config.state_dir)?;
    state_dir::check_privacy(&config.state_dir)?;
    let _lock = state_dir::lock(&config.state_dir)?;
    let mut created: Vec<PathBuf> = is_new.then(|| config.state_dir.clone()).into_iter().collect();
    match &config.kms.hsm {
        HsmChoice::Soft { root_key_file, .. } => {
            SoftHsm::initialise(root_key_file, &config.state_dir.join("hsm"))?;
            created.push(root_key_file.clone());
        }
        HsmChoice::Pkcs11 { module, token, pin_file } => {
            let pin_file = pin_file.as_deref();
            let made = token_settings(module, token, pin_file, &options.unlock)
                .and_then(Pkcs11Hsm::initialise);
            if let Err(error) = made {
                return Err(with_token_help(error, module, token));
            }
        }
    }
    Ok(InitReport { created })
}

/// A root key was asked for that the configuration does not name.
fn contradicted(config: &Config, configured: RootKeyKind) -> Error {
    let file = config.file.display();
    match configured {
        RootKeyKind::Token => {
            Error::new(ErrorKind::Invalid, format!("{file} says kms.hsm = \"pkcs11\""))
                .remedy("evsfs init --root-key pkcs11")
        }
        RootKeyKind::File => Error::new(ErrorKind::Invalid, format!("{file} names no token"))
            .remedy(format!(
                "write hsm = \"pkcs11\", module, token and pin_file under [kms] in {file}; see \
                 mount.toml.example"
            )),
    }
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
