//! A clock that is ahead of the machine's.

use super::mount::Mount;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Moves the clock of daemons that are started by it.
pub struct ForwardClock {
    library: PathBuf,
    switch: PathBuf,
}

impl ForwardClock {
    /// `None`, aloud, where there is no compiler.
    pub fn compile(directory: &Path) -> Option<ForwardClock> {
        let library = directory.join("forward_clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/forward_clock.c");
        let compiled =
            Command::new("gcc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
        if !compiled.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no gcc to move the clock with");
            return None;
        }
        let clock = ForwardClock { library, switch: directory.join("days-ahead") };
        clock.set_back();
        Some(clock)
    }

    /// What a daemon must find in its environment.
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("FORWARD_CLOCK_FILE", &self.switch)]
    }

    pub fn start(&self, mount: &Mount) {
        let started = Command::new(mount.program())
            .args(["mount", "-c", mount.config_path().to_str().unwrap()])
            .envs(self.environment())
            .stdout(std::process::Stdio::null())
            .status();
        assert!(started.unwrap().success());
    }

    /// From now on the clock is so many days ahead.
    pub fn set_ahead(&self, days: u32) {
        self.set(&days.to_string());
    }

    /// From now on the clock is so many days behind.
    pub fn set_behind(&self, days: u32) {
        self.set(&format!("-{days}"));
    }

    /// From now on it is right.
    pub fn set_back(&self) {
        self.set("0");
    }

    /// The same file always, since daemons keep it open; the same length too, since they read it at
    /// any moment.
    fn set(&self, days: &str) {
        let mut file =
            File::options().write(true).create(true).truncate(false).open(&self.switch).unwrap();
        file.write_all(format!("{days:<12}").as_bytes()).unwrap();
    }
}
