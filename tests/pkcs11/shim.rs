//! A module in front of SoftHSM2 that is told to be an unruly one, and counts: shim.c.

use crate::support::{Mount, Setup, run, soft_token_module};
use crate::token::Token;
use evsfs::error::Result;
use evsfs::kms::{Pkcs11Hsm, Pkcs11Settings};
use std::path::{Path, PathBuf};

/// The mechanism's number.
pub const AES_GCM: &str = "1087";

/// What functions answer: the `CKR_` of the standard.
pub mod ckr {
    pub const DEVICE_ERROR: u64 = 0x30;
    pub const DEVICE_REMOVED: u64 = 0x32;
    pub const KEY_HANDLE_INVALID: u64 = 0x60;
    pub const OPERATION_ACTIVE: u64 = 0x90;
    pub const PIN_INVALID: u64 = 0xA1;
    pub const PIN_LEN_RANGE: u64 = 0xA2;
    pub const PIN_LOCKED: u64 = 0xA4;
    pub const SESSION_CLOSED: u64 = 0xB0;
    pub const SESSION_COUNT: u64 = 0xB1;
    pub const SESSION_HANDLE_INVALID: u64 = 0xB3;
    pub const USER_ALREADY_LOGGED_IN: u64 = 0x100;
    pub const USER_NOT_LOGGED_IN: u64 = 0x101;
    pub const USER_PIN_NOT_INITIALIZED: u64 = 0x102;
}

/// The module and the directory it is told things by.
pub struct Shim {
    directory: tempfile::TempDir,
}

impl Shim {
    pub fn new() -> Shim {
        let shim = Shim { directory: tempfile::tempdir().unwrap() };
        // A copy, so that trials in one process do not start and stop each other's SoftHSM2.
        let softhsm = shim.file("softhsm.so");
        std::fs::copy(soft_token_module().unwrap(), &softhsm).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pkcs11/shim.c");
        let defined = |name: &str, path: &Path| format!("-D{name}=\"{}\"", path.display());
        let place = defined("PLACE", shim.directory.path());
        let softhsm = defined("SOFTHSM", &softhsm);
        let module = shim.module();
        let module = module.to_str().unwrap();
        run("gcc", &["-Wall", "-shared", "-fPIC", "-o", module, &place, &softhsm, source, "-ldl"])
            .ok();
        shim
    }

    pub fn without_gcm() -> Shim {
        let shim = Shim::new();
        shim.tell("lacks", AES_GCM);
        shim
    }

    pub fn module(&self) -> PathBuf {
        self.file("shim.so")
    }

    /// For the library.
    pub fn settings(&self, token: &Token) -> Pkcs11Settings {
        Pkcs11Settings { module: self.module(), ..token.settings() }
    }

    /// The HSM behind this module, with a record key.
    pub fn hsm(&self, token: &Token) -> Pkcs11Hsm {
        Pkcs11Hsm::initialise(self.settings(token)).unwrap();
        self.open(token).unwrap()
    }

    pub fn open(&self, token: &Token) -> Result<Pkcs11Hsm> {
        Pkcs11Hsm::open(self.settings(token))
    }

    /// A state directory on this token; its daemon is not started.
    pub fn prepare(&self, token: &Token) -> Mount {
        // Where the module writes what it counts.
        let own = format!("[mount]\nsandbox_also = [\"{}\"]\n", self.directory.path().display());
        Setup::with(&(own + &token.config_with(&self.module()))).prepare()
    }

    /// As [`Shim::prepare`], with the daemon started and an agency.
    pub fn mount(&self, token: &Token) -> Mount {
        let mount = self.prepare(token);
        mount.start();
        mount.evsfs(&["agency", "create"]).ok();
        mount
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn tell(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    pub fn tell_no_more(&self, name: &str) {
        std::fs::remove_file(self.file(name)).unwrap();
    }

    /// The next `times` calls of this function are answered so, without being done; all for 0.
    pub fn answers(&self, function: &str, code: u64, times: u64) {
        self.tell(&format!("before-{function}"), &format!("{code:x} {times}"));
    }

    /// The next call of this function is done and answered so.
    pub fn answers_when_done(&self, function: &str, code: u64) {
        self.tell(&format!("after-{function}"), &format!("{code:x} 1"));
    }

    /// How often this function was called.
    pub fn calls(&self, function: &str) -> usize {
        self.read(&format!("called-{function}")).len()
    }

    pub fn logins(&self) -> usize {
        self.calls("Login")
    }

    /// Sessions that are open now.
    pub fn sessions(&self) -> usize {
        let counted = self.read("sessions");
        counted.matches('+').count() - counted.matches('-').count()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }
}
