//! Tokens of SoftHSM2, made for one trial each.

use crate::support::{Mount, Output, Setup, run, soft_token_module};
use evsfs::crypto::SecretText;
use evsfs::kms::{PinSource, Pkcs11Settings};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU32, Ordering};

pub const PIN: &str = "31415926";
const CONF: &str = "SOFTHSM2_CONF";
const OURS: &str = "EVSFS_TEST_TOKENS";

/// Runs this program again where tokens are made in a temporary directory; how that ended, or
/// nothing if this is the second run already.
pub fn in_a_place_for_tokens() -> Option<ExitCode> {
    if std::env::var_os(OURS).is_some() {
        return None;
    }
    let place = tempfile::Builder::new().prefix("evsfs-tokens-").tempdir().unwrap();
    let (conf, tokens) = (place.path().join("softhsm2.conf"), place.path().join("tokens"));
    std::fs::create_dir(&tokens).unwrap();
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&conf, text).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(CONF, conf)
        .env(OURS, place.path())
        .status()
        .unwrap();
    Some(ExitCode::from(u8::try_from(status.code().unwrap_or(101)).unwrap_or(101)))
}

/// An initialised token.
pub struct Token {
    pub label: String,
    scratch: tempfile::TempDir,
}

impl Token {
    pub fn new() -> Token {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // softhsm2-util looks at all tokens, and stumbles over one that its user is just writing. Then
        // nobody knows whether it has made this one.
        for _ in 0..20 {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let label = format!("evsfs-{}-{count}", std::process::id());
            if make(&label).code == 0 {
                let token = Token { label, scratch: tempfile::tempdir().unwrap() };
                token.set_pin(PIN);
                return token;
            }
        }
        panic!("{}", make("evsfs").stderr);
    }

    /// Makes another token of this label.
    pub fn make_twin(&self) {
        make(&self.label).ok();
    }

    pub fn pin_file(&self) -> PathBuf {
        self.scratch.path().join("pin")
    }

    pub fn set_pin(&self, pin: &str) {
        std::fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.pin_file(), mode).unwrap();
    }

    /// For the library.
    pub fn settings(&self) -> Pkcs11Settings {
        let pin = SecretText::read_line(&mut PIN.as_bytes(), "the trial").unwrap();
        Pkcs11Settings {
            module: soft_token_module().unwrap().into(),
            token: self.label.clone(),
            pin: PinSource::Given(pin.into()),
        }
    }

    /// `[kms]` of mount.toml, with the PIN file.
    pub fn config(&self) -> String {
        self.config_with(Path::new(soft_token_module().unwrap()))
    }

    pub fn config_with(&self, module: &Path) -> String {
        let pin_file = format!("pin_file = \"{}\"\n", self.pin_file().display());
        self.config_without_pin(module) + &pin_file
    }

    pub fn config_without_pin(&self, module: &Path) -> String {
        format!(
            "[kms]\nhsm = \"pkcs11\"\nmodule = \"{}\"\ntoken = \"{}\"\n",
            module.display(),
            self.label
        )
    }

    /// A mount over this token.
    pub fn mount(&self) -> Mount {
        Setup::with(&self.config()).mount()
    }

    /// What `pkcs11-tool` lists of secret keys, as a person would see it.
    pub fn objects(&self) -> String {
        self.tool(&["-O", "--type", "secrkey"])
    }

    /// Makes an AES key as somebody else would.
    pub fn make_key(&self, label: &str) {
        self.tool(&["--keygen", "--key-type", "AES:32", "--label", label]);
    }

    fn tool(&self, arguments: &[&str]) -> String {
        let module = soft_token_module().unwrap();
        let mut all =
            vec!["--module", module, "--token-label", &self.label, "--login", "--pin", PIN];
        all.extend(arguments);
        run("pkcs11-tool", &all).ok()
    }
}

fn make(label: &str) -> Output {
    let pins = ["--so-pin", "12345678", "--pin", PIN];
    let arguments = [&["--init-token", "--free", "--label", label][..], &pins].concat();
    run("softhsm2-util", &arguments)
}
