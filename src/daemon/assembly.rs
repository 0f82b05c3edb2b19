//! From a configuration to a service.

use super::hsm_secret::{HsmSecret, demand};
use crate::auth::{Authority, Project};
use crate::config::{Config, HsmChoice, KernelChoice, RootKeyProtection};
use crate::crypto::{Kernel, SecretText};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Uid;
use crate::kms::{Hsm, Kms, PinSource, Pkcs11Hsm, Pkcs11Settings, RootKeyFile, SoftHsm};
use crate::records::{DirStore, Records};
use crate::service::{KernelCache, Parts, Service, Settings};
use crate::sys::{Clock, SystemClock};
use std::path::Path;
use std::sync::Arc;

/// Opens the HSM that the configuration names; `secret` is what it needs besides files.
pub(super) fn open_hsm(config: &Config, secret: Option<&SecretText>) -> Result<Arc<dyn Hsm>> {
    match &config.kms.hsm {
        HsmChoice::Soft { root_key_file, protection: RootKeyProtection::FilePermissions } => {
            Ok(Arc::new(SoftHsm::open(root_key_file, &config.state_dir.join("hsm"))?))
        }
        HsmChoice::Soft { root_key_file, protection: RootKeyProtection::Passphrase } => {
            let passphrase = demand(secret, HsmSecret::Passphrase)?;
            let root = RootKeyFile::at(root_key_file).open_with_passphrase(passphrase)?;
            Ok(Arc::new(SoftHsm::with_root(root, &config.state_dir.join("hsm"))?))
        }
        HsmChoice::Pkcs11 { module, token, pin_file } => {
            let settings = token_settings(module, token, pin_file.as_deref(), secret)?;
            Ok(Arc::new(Pkcs11Hsm::open(settings)?))
        }
    }
}

/// The token of a configuration, and where its PIN is.
pub(super) fn token_settings(
    module: &Path,
    token: &str,
    pin_file: Option<&Path>,
    secret: Option<&SecretText>,
) -> Result<Pkcs11Settings> {
    let pin = match pin_file {
        Some(path) => PinSource::File(path.to_owned()),
        None => PinSource::Given(Arc::new(demand(secret, HsmSecret::Pin)?.duplicate()?)),
    };
    Ok(Pkcs11Settings { module: module.to_owned(), token: token.to_owned(), pin })
}

/// Opens the records of a state directory under the HSM's authentication key, and ends what a crash
/// left half-done.
pub(super) fn open_records(config: &Config, hsm: &dyn Hsm) -> Result<Records> {
    Records::open(Arc::new(DirStore::open(&config.state_dir)?), hsm.record_key()?)
}

/// As [`open_records`], for who only looks and must write nothing.
pub(super) fn look_at_records(config: &Config, hsm: &dyn Hsm) -> Result<Records> {
    Records::look_at(Arc::new(DirStore::open(&config.state_dir)?), hsm.record_key()?)
}

/// Puts a service together; its disks are not loaded yet.
pub(super) fn assemble(
    config: &Config,
    secret: Option<&SecretText>,
    kernel: Arc<dyn KernelCache>,
) -> Result<Arc<Service>> {
    let hsm = open_hsm(config, secret)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Opened once: opening a store looks for leftovers in every directory of it.
    let records = open_records(config, &*hsm)?;
    let kms = Kms::open(records.clone(), hsm.clone(), clock.clone())?;
    let records = Arc::new(records);
    let owner = Uid::new(rustix::process::geteuid().as_raw());
    Ok(Service::new(Parts {
        settings: settings(config)?,
        authority: Authority::new(owner, &config.users),
        project: Project::load(records.clone())?,
        kms: Arc::new(kms),
        records,
        clock,
        kernel,
    }))
}

fn settings(config: &Config) -> Result<Settings> {
    Ok(Settings {
        mountpoint: config.mountpoint.clone(),
        state_dir: config.state_dir.clone(),
        backing_dirs: config.backing_dirs.clone(),
        region: config.region.clone(),
        project: config.project.clone(),
        encrypt_by_default: config.defaults.encryption,
        default_key: config.defaults.key.clone(),
        default_sector_size: config.defaults.sector_size,
        reattach: config.mount.reattach,
        jobs: config.mount.jobs,
        cache: config.mount.cache,
        kernel: sector_kernel(config.mount.kernel)?,
        passthrough: config.mount.passthrough,
        direct_backing: config.mount.direct_backing,
    })
}

/// The kernel that is configured, if this processor can run it.
fn sector_kernel(choice: KernelChoice) -> Result<Kernel> {
    let kernel = match choice {
        KernelChoice::Auto => Kernel::best(),
        KernelChoice::Vaes512 => Kernel::Vaes512,
        KernelChoice::Vaes256 => Kernel::Vaes256,
        KernelChoice::Batched => Kernel::Batched,
        KernelChoice::Portable => Kernel::Portable,
    };
    if kernel.is_available() {
        return Ok(kernel);
    }
    let message = format!("this processor cannot run mount.kernel = {:?}", kernel.name());
    Err(Error::new(ErrorKind::Unsupported, message)
        .remedy("set mount.kernel = \"auto\" in mount.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel has the same name in `mount.toml` as everywhere else.
    #[test]
    fn every_kernel_can_be_configured_by_its_name() {
        for kernel in Kernel::ALL {
            let text = format!(
                "mountpoint = '/m'\nstate_dir = '/s'\n[mount]\nkernel = '{}'",
                kernel.name()
            );
            let config = Config::parse(&text, std::path::Path::new("/mount.toml")).unwrap();
            match sector_kernel(config.mount.kernel) {
                Ok(configured) => assert_eq!(configured, kernel),
                Err(refusal) => {
                    assert!(!kernel.is_available());
                    assert_eq!(refusal.kind(), ErrorKind::Unsupported);
                }
            }
        }
        assert_eq!(sector_kernel(KernelChoice::Auto).unwrap(), Kernel::best());
    }
}
