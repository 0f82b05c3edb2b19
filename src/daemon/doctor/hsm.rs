//! What protects all keys.

use super::checkup::Area;
use super::patience::ends_within;
use super::place;
use crate::config::{Config, HsmChoice, RootKeyProtection};
use crate::daemon::assembly::{look_at_records, open_hsm};
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::kms::probe_pkcs11;
use crate::records::PrivateFile;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The hidden argument by which this program asks a module about a token, as a child of itself: a
/// module is foreign code, which may crash or hang.
pub const PROBE_TOKEN: &str = "--probe-token";

/// As long as the daemon waits for a token.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn look(area: &mut Area<'_>, config: &Config) {
    match &config.kms.hsm {
        HsmChoice::Soft { root_key_file, protection } => {
            if !private_file(area, "root-key", root_key_file, "evsfs init") {
                return;
            }
            match protection {
                _ if place::is_in_use(config) => area.ok("hsm", "in software; a daemon uses it"),
                RootKeyProtection::FilePermissions => opens(area, config),
                RootKeyProtection::Passphrase => {
                    area.ok("hsm", "in software, under a passphrase that was not asked for here");
                }
            }
        }
        HsmChoice::Pkcs11 { module, token, pin_file } => {
            if let Some(pin_file) = pin_file {
                private_file(area, "pin", pin_file, "write the token's user PIN into it");
            }
            token_answers(area, module, token);
        }
    }
}

/// Whether a secret file is there, ours, and closed to others.
fn private_file(area: &mut Area<'_>, name: &'static str, path: &Path, remedy: &str) -> bool {
    match PrivateFile::open(path) {
        Ok(Some(_)) => {
            area.ok(name, format!("{} is ours alone", path.display()));
            true
        }
        Ok(None) => {
            area.fail(name, format!("there is no {}", path.display()), remedy);
            false
        }
        Err(error) => {
            area.refused(name, &error);
            false
        }
    }
}

/// Whether the root key is the one of this state directory.
fn opens(area: &mut Area<'_>, config: &Config) {
    let opened = open_hsm(config, None).and_then(|hsm| look_at_records(config, &*hsm));
    match opened {
        Ok(_) => area.ok("hsm", "in software; the root key opens the records"),
        Err(error) => area.refused("hsm", &error),
    }
}

fn token_answers(area: &mut Area<'_>, module: &Path, token: &str) {
    if !module.exists() {
        let message = format!("there is no PKCS#11 module {}", module.display());
        let remedy = "install the token's software, or set kms.module to its shared library";
        return area.fail("hsm", message, remedy);
    }
    match ask_child(module, token) {
        Ok(()) => area.ok("hsm", format!("token {token:?} answers; its PIN was not tried")),
        Err(refusal) => {
            let remedy = refusal.remedy.unwrap_or_else(|| "see the token's software".to_owned());
            area.fail("hsm", refusal.message, remedy);
        }
    }
}

fn ask_child(module: &Path, token: &str) -> Result<(), Refusal> {
    let failed = |message: String| {
        let error = Error::new(ErrorKind::KmsUnreachable, message);
        Refusal::from(&error.remedy("try the module with: pkcs11-tool --module M -L"))
    };
    let mut child = Command::new("/proc/self/exe")
        .arg("doctor")
        .arg(PROBE_TOKEN)
        .arg(module)
        .arg(token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|cause| failed(format!("the module cannot be tried: {cause}")))?;
    let status = ends_within(PATIENCE, &mut child)
        .ok_or_else(|| failed(format!("the module did not answer for {} s", PATIENCE.as_secs())))?;
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // A few lines, which are in the pipe already.
        let _ = stdout.take(64 << 10).read_to_end(&mut answer);
    }
    match serde_json::from_slice::<Option<Refusal>>(&answer) {
        Ok(None) if status.success() => Ok(()),
        Ok(Some(refusal)) => Err(refusal),
        _ => Err(failed(format!("the module crashed ({status})"))),
    }
}

/// What a child with [`PROBE_TOKEN`] does: loads the module, looks for the token, and gives what it
/// found as JSON: `null`, or why not.
pub fn probe_token(module: &Path, token: &str) -> String {
    let refusal = probe_pkcs11(module, token).err().map(|error| Refusal::from(&error));
    serde_json::to_string(&refusal).unwrap_or_default()
}
