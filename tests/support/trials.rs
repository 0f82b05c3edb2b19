//! Trials that say what they need; what the machine does not have makes them ignored, aloud.

use libtest_mimic::{Arguments, Trial};
use std::path::Path;

/// What a trial needs of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// `/dev/fuse`.
    Fuse,
    /// `/dev/fuse` and root: loop devices, other uids.
    Root,
    /// Nothing but the program.
    Nothing,
}

impl Needs {
    fn missing(self) -> Option<&'static str> {
        let has_fuse = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok();
        let is_root = rustix::process::geteuid().is_root();
        match self {
            Needs::Nothing => None,
            _ if !has_fuse => Some("/dev/fuse cannot be opened"),
            Needs::Root if !is_root => Some("it takes root"),
            Needs::Root if !Path::new("/dev/loop-control").exists() => Some("no loop devices"),
            Needs::Fuse | Needs::Root => None,
        }
    }
}

/// A trial by its function's name.
pub fn trial(name: &str, needs: Needs, body: fn()) -> Trial {
    let missing = needs.missing();
    if let Some(missing) = missing {
        eprintln!("skipped: {name}: {missing}");
    }
    Trial::test(name, move || {
        body();
        Ok(())
    })
    .with_ignored_flag(missing.is_some())
}

/// Runs the trials as `cargo test` and nextest expect it.
pub fn run_trials(trials: Vec<Trial>) -> std::process::ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
