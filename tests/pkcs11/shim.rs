//! A module in front of SoftHSM2 that loses its token, takes its time, and counts: shim.c.

use crate::support::{Mount, Output, Setup, run, soft_token_module};
use crate::token::Token;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The module and the directory it is told things by. The daemon has to be started with
/// [`Shim::start`], which sets the module's environment variable.
pub struct Shim {
    directory: tempfile::TempDir,
}

impl Shim {
    pub fn new() -> Shim {
        let shim = Shim { directory: tempfile::tempdir().unwrap() };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pkcs11/shim.c");
        let softhsm = format!("-DSOFTHSM=\"{}\"", soft_token_module().unwrap());
        let module = shim.module();
        let module = module.to_str().unwrap();
        run("gcc", &["-Wall", "-shared", "-fPIC", "-o", module, &softhsm, source, "-ldl"]).ok();
        shim
    }

    pub fn module(&self) -> PathBuf {
        self.directory.path().join("shim.so")
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
        self.start(&mount).ok();
        mount.evsfs(&["agency", "create"]).ok();
        mount
    }

    pub fn start(&self, mount: &Mount) -> Output {
        self.evsfs(mount, &["mount", "-c", mount.config_path().to_str().unwrap()])
    }

    /// Runs `evsfs` in an environment in which this module is told things.
    pub fn evsfs(&self, mount: &Mount, arguments: &[&str]) -> Output {
        let output = Command::new(mount.program())
            .args(arguments)
            .env("EVSFS_TEST_SHIM", self.directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
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

    pub fn logins(&self) -> usize {
        read(&self.file("logins")).len()
    }

    /// Sessions that are open now.
    pub fn sessions(&self) -> usize {
        let counted = read(&self.file("sessions"));
        counted.matches('+').count() - counted.matches('-').count()
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
