//! A PKCS#11 module: the shared library, loaded once for all tokens behind it.

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::sync::{Mutex, PatientRwLock};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error as TokenError;
use cryptoki::error::RvError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Modules that were loaded. They stay: few survive being unloaded.
static LOADED: Mutex<Vec<Arc<Module>>> = Mutex::new(Vec::new());

/// A loaded module.
pub(super) struct Module {
    pub path: PathBuf,
    pub pkcs11: Pkcs11,
    /// How often the module was started. Shared during every call, exclusive while it is started
    /// anew: that makes all its sessions and handles void, whoever holds them.
    pub starts: PatientRwLock<u64>,
}

impl Module {
    /// The module of this path, loaded now if it was not before.
    ///
    /// # Errors
    /// `kms-unreachable` when it cannot be loaded.
    pub fn load(path: &Path) -> Result<Arc<Module>> {
        let mut loaded = LOADED.lock();
        if let Some(module) = loaded.iter().find(|module| module.path == path) {
            return Ok(Arc::clone(module));
        }
        let pkcs11 = Pkcs11::new(path).map_err(|cause| {
            let message = format!("the PKCS#11 module {} cannot be loaded", path.display());
            Error::new(ErrorKind::KmsUnreachable, message)
                .remedy("install the token's software, or set kms.module to its shared library")
                .caused_by(cause)
        })?;
        let module =
            Arc::new(Module { path: path.to_owned(), pkcs11, starts: PatientRwLock::new(1) });
        loaded.push(Arc::clone(&module));
        Ok(module)
    }

    /// Starts the module if it is not running.
    pub fn start(&self) -> Result<(), TokenError> {
        match self.pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Err(TokenError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            started => started,
        }
    }

    /// Stops it. Some modules see only at their start which tokens there are.
    pub fn stop(&self) {
        if let Err(error) = self.pkcs11.clone().finalize() {
            log::debug!("event=module-not-stopped error=\"{error}\"");
        }
    }
}
