//! Whether a module loads and has a token, without logging in.

use super::pkcs11_module::Module;
use crate::error::{Error, ErrorKind, Result};
use std::path::Path;

/// Loads a module and looks for the token with this label. To be called in a process of its own, since
/// modules are foreign code.
///
/// # Errors
/// `kms-unreachable`, saying whether the module or the token is missing.
pub fn probe_pkcs11(module: &Path, label: &str) -> Result<()> {
    let failed = |what: &str, cause: cryptoki::error::Error| {
        let message = format!("the PKCS#11 module {} {what}", module.display());
        Error::new(ErrorKind::KmsUnreachable, message)
            .remedy("try it with: pkcs11-tool --module M -L")
            .caused_by(cause)
    };
    let loaded = Module::load(module)?;
    loaded.start().map_err(|cause| failed("does not start", cause))?;
    let slots = loaded.pkcs11.get_slots_with_token();
    let slots = slots.map_err(|cause| failed("does not list its tokens", cause))?;
    let mut labels = Vec::new();
    for slot in slots {
        let Ok(token) = loaded.pkcs11.get_token_info(slot) else { continue };
        labels.push(token.label().trim_end().to_owned());
    }
    if labels.iter().any(|found| found == label) {
        return Ok(());
    }
    let message = match labels.is_empty() {
        true => format!("token {label:?} is not there, nor any other"),
        false => format!("token {label:?} is not there; there are: {}", labels.join(", ")),
    };
    Err(Error::new(ErrorKind::KmsUnreachable, message)
        .remedy("connect the token, or set kms.token to its label"))
}
