//! From a configuration to a service.

use crate::auth::{Authority, Project};
use crate::config::{Config, HsmChoice, RootKeyProtection};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Uid;
use crate::kms::{Hsm, Kms, SoftHsm};
use crate::records::{DirStore, Records};
use crate::service::{KernelCache, Parts, Service, Settings};
use crate::sys::{Clock, SystemClock};
use std::sync::Arc;

/// Opens the HSM that the configuration names.
pub(super) fn open_hsm(config: &Config) -> Result<Arc<dyn Hsm>> {
    match &config.kms.hsm {
        HsmChoice::Soft { root_key_file, protection: RootKeyProtection::FilePermissions } => {
            Ok(Arc::new(SoftHsm::open(root_key_file, &config.state_dir.join("hsm"))?))
        }
        HsmChoice::Soft { protection: RootKeyProtection::Passphrase, .. } => {
            Err(not_built_in("kms.passphrase", "leave out kms.passphrase"))
        }
        HsmChoice::Pkcs11 { .. } => {
            Err(not_built_in("kms.hsm = \"pkcs11\"", "set kms.hsm = \"soft\""))
        }
    }
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
pub(super) fn assemble(config: &Config, kernel: Arc<dyn KernelCache>) -> Result<Service> {
    let hsm = open_hsm(config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Opened once: opening a store looks for leftovers in every directory of it.
    let records = open_records(config, &*hsm)?;
    let kms = Kms::open(records.clone(), hsm.clone(), clock.clone())?;
    let records = Arc::new(records);
    let owner = Uid::new(rustix::process::geteuid().as_raw());
    Ok(Service::new(Parts {
        settings: settings(config),
        authority: Authority::new(owner, &config.users),
        project: Project::load(records.clone())?,
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
