//! What the HSM must be told before it opens, besides what lies in files.

use crate::config::{Config, HsmChoice, RootKeyProtection};
use crate::crypto::SecretText;
use crate::error::{Error, ErrorKind, Result};

/// A secret that a person, or whoever starts the daemon, has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HsmSecret {
    /// The passphrase of the software HSM's root key.
    Passphrase,
    /// The user PIN of a token.
    Pin,
}

impl HsmSecret {
    /// Its name, for people and as the end of a credential's name.
    pub const fn name(self) -> &'static str {
        match self {
            HsmSecret::Passphrase => "passphrase",
            HsmSecret::Pin => "pin",
        }
    }
}

/// What [`super::serve`] and all others who open the HSM of this configuration must be given.
pub fn needed_secret(config: &Config) -> Option<HsmSecret> {
    match &config.kms.hsm {
        HsmChoice::Soft { protection: RootKeyProtection::Passphrase, .. } => {
            Some(HsmSecret::Passphrase)
        }
        HsmChoice::Pkcs11 { pin_file: None, .. } => Some(HsmSecret::Pin),
        HsmChoice::Soft { protection: RootKeyProtection::FilePermissions, .. }
        | HsmChoice::Pkcs11 { pin_file: Some(_), .. } => None,
    }
}

/// The secret, which must be there.
pub(super) fn demand(secret: Option<&SecretText>, kind: HsmSecret) -> Result<&SecretText> {
    secret.ok_or_else(|| {
        let name = kind.name();
        Error::new(ErrorKind::Invalid, format!("no {name} was given"))
            .remedy(format!("--{name}-file FILE, --{name}-fd N, or type it at a terminal"))
    })
}
