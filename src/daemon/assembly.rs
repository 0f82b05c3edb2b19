//! From a configuration to a service.

use crate::auth::{Agency, Authority};
use crate::config::{Config, HsmChoice, RootKeyProtection};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Uid;
use crate::kms::{Hsm, Kms, Pin, PinSource, Pkcs11Hsm, Pkcs11Settings, SoftHsm};
use crate::records::{DirStore, Records};
use crate::service::{KernelCache, Parts, Service, Settings};
use crate::sys::{Clock, SystemClock};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What somebody gave at the start so that the HSM opens.
#[derive(Default)]
pub struct Unlock {
    /// The PIN of the token.
    pub pin: Option<Pin>,
}

/// Opens the HSM that the configuration names.
pub(super) fn open_hsm(config: &Config, unlock: &Unlock) -> Result<Arc<dyn Hsm>> {
    match &config.kms.hsm {
        HsmChoice::Soft { root_key_file, protection: RootKeyProtection::FilePermissions } => {
            Ok(Arc::new(SoftHsm::open(root_key_file, &config.state_dir.join("hsm"))?))
        }
        HsmChoice::Soft { protection: RootKeyProtection::Passphrase, .. } => {
            Err(not_built_in("kms.passphrase", "leave out kms.passphrase"))
        }
        HsmChoice::Pkcs11 { module, token, pin_file } => {
            let settings = token_settings(module, token, pin_file.as_deref(), unlock)?;
            Ok(Arc::new(Pkcs11Hsm::open(settings)?))
        }
    }
}

/// Whether the configuration names a token and nothing but a person can give its PIN.
pub fn wants_pin(config: &Config) -> bool {
    matches!(&config.kms.hsm, HsmChoice::Pkcs11 { pin_file: None, .. })
        && pin_credential().is_none()
}

/// The token, and where its PIN is: given by somebody, else in the file, else a credential.
pub(super) fn token_settings(
    module: &Path,
    token: &str,
    pin_file: Option<&Path>,
    unlock: &Unlock,
) -> Result<Pkcs11Settings> {
    let pin = match (&unlock.pin, pin_file, pin_credential()) {
        (Some(pin), _, _) => PinSource::Given(pin.clone()),
        (None, Some(path), _) => PinSource::File(path.to_owned()),
        (None, None, Some(path)) => PinSource::Credential(path),
        (None, None, None) => {
            let message = format!("token \"{token}\" cannot be used: there is no PIN for it");
            return Err(Error::new(ErrorKind::KmsUnreachable, message).remedy(
                "set kms.pin_file, or give --pin-fd N, or mount from a terminal and type it",
            ));
        }
    };
    Ok(Pkcs11Settings { module: module.to_owned(), token: token.to_owned(), pin })
}

/// The credential a service manager has put there for us.
fn pin_credential() -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?);
    Some(directory.join("evsfs-pin")).filter(|path| path.is_absolute() && path.exists())
}

pub(super) fn not_built_in(setting: &str, instead: &str) -> Error {
    let message = format!("{setting} is not built into this version");
    Error::new(ErrorKind::Unsupported, message).remedy(format!("{instead} in mount.toml"))
}

/// Opens the records of a state directory under the HSM's authentication key.
pub(super) fn open_records(config: &Config, hsm: &dyn Hsm) -> Result<Records> {
    Ok(Records::new(Arc::new(DirStore::open(&config.state_dir)?), hsm.record_key()?))
}

/// Puts a service together; its disks are not loaded yet.
pub(super) fn assemble(
    config: &Config,
    unlock: &Unlock,
    kernel: Arc<dyn KernelCache>,
) -> Result<Service> {
    let hsm = open_hsm(config, unlock)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let kms = Kms::open(open_records(config, &*hsm)?, hsm.clone(), clock.clone())?;
    let records = Arc::new(open_records(config, &*hsm)?);
    let owner = Uid::new(rustix::process::geteuid().as_raw());
    Ok(Service::new(Parts {
        settings: settings(config),
        authority: Authority::new(owner, &config.users),
        agency: Agency::load(records.clone())?,
        kms: Arc::new(kms),
        records,
        clock,
        kernel,
    }))
}

fn settings(config: &Config) -> Settings {
    Settings {
        mountpoint: config.mountpoint.clone(),
        state_dir: config.state_dir.clone(),
        backing_dirs: config.backing_dirs.clone(),
        region: config.region.clone(),
        project: config.project.clone(),
        encrypt_by_default: config.defaults.encryption,
        default_key: config.defaults.key.clone(),
        default_sector_size: config.defaults.sector_size,
        reattach: config.mount.reattach,
        cache: config.mount.cache,
    }
}
