//! The key model over a token of SoftHSM2: some of its tests, run again in a process that finds one
//! in its environment.

use evsfs::crypto::SecretText;
use evsfs::error::ErrorKind;
use evsfs::kms::{Hsm, PinSource, Pkcs11Hsm, Pkcs11Settings};
use std::path::Path;
use std::process::Command;

const MODULE: &str = "EVSFS_TEST_TOKEN_MODULE";
const LABEL: &str = "key-model";
const PIN: &str = "31415926";
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// The token that the tests of this process are to use.
pub struct Token {
    module: std::ffi::OsString,
}

pub fn token() -> Option<Token> {
    std::env::var_os(MODULE).map(|module| Token { module })
}

impl Token {
    pub fn settings(&self) -> Pkcs11Settings {
        let pin = SecretText::read_line(&mut PIN.as_bytes(), "the test").unwrap();
        Pkcs11Settings {
            module: (&self.module).into(),
            token: LABEL.to_owned(),
            pin: PinSource::Given(pin.into()),
        }
    }

    /// A record key, and no keys of worlds before: one test at a time uses the token.
    pub fn initialise(&self) {
        let made = Pkcs11Hsm::initialise(self.settings());
        assert!(made.is_ok() || made.is_err_and(|error| error.kind() == ErrorKind::Exists));
        let hsm = Pkcs11Hsm::open(self.settings()).unwrap();
        for cmk in hsm.list().unwrap() {
            hsm.destroy(cmk).unwrap();
        }
    }
}

#[test]
#[allow(clippy::print_stderr)]
fn the_table_and_the_walks_hold_with_a_token_too() {
    let module = MODULES.into_iter().find(|module| Path::new(module).exists());
    let Some(module) = module.filter(|_| Path::new("/usr/bin/softhsm2-util").exists()) else {
        eprintln!("skipped: softhsm2 is not installed");
        return;
    };
    // Memory where there is some: SoftHSM2 writes a file for each key.
    let scratch = match Path::new("/dev/shm").is_dir() {
        true => tempfile::tempdir_in("/dev/shm").unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let conf = scratch.path().join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", scratch.path().display());
    std::fs::write(&conf, text).unwrap();
    let made = Command::new("/usr/bin/softhsm2-util")
        .args(["--init-token", "--free", "--label", LABEL, "--so-pin", "12345678", "--pin", PIN])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    for test in [
        "state_table_is_the_one_of_rules_k1",
        "a_destroyed_key_does_not_come_back_with_its_record_or_its_alias",
        "random_walks_of_the_service_and_of_the_table_stay_together",
    ] {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("SOFTHSM2_CONF", &conf)
            .env(MODULE, module)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        let why = String::from_utf8_lossy(&run.stderr);
        let is_passed = run.status.success() && said.contains("1 passed");
        assert!(is_passed, "{test}: {said}\n{why}");
    }
}
