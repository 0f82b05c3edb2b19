//! Trials that say what they need; what the machine does not have makes them ignored, aloud.

use super::run::{program_file, run};
use libtest_mimic::{Arguments, Trial};
use std::path::Path;

/// What a trial needs of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// `/dev/fuse`.
    Fuse,
    /// `/dev/fuse` and root: loop devices, other uids.
    Root,
    /// `/dev/fuse` and a token in software: softhsm2 and opensc.
    FuseAndToken,
    /// Root, and a kernel that can read files of a FUSE mount by itself (6.9).
    Passthrough,
    /// A token in software, and a compiler for the module in front of it.
    Token,
    /// What `Root` needs, and these programs.
    RootAnd(&'static [&'static str]),
    /// What `RootAnd` needs, and a token in software.
    RootAndToken(&'static [&'static str]),
    /// Nothing but the program.
    Nothing,
}

impl Needs {
    fn missing(self) -> Option<String> {
        let has_fuse = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok();
        let is_root = rustix::process::geteuid().is_root();
        match self {
            Needs::Nothing => None,
            Needs::Token | Needs::FuseAndToken | Needs::RootAndToken(_)
                if soft_token_module().is_none() =>
            {
                Some("softhsm2 or opensc is not installed".to_owned())
            }
            Needs::Token if !is_installed("gcc") => Some("gcc is not installed".to_owned()),
            Needs::Token => None,
            _ if !has_fuse => Some("/dev/fuse cannot be opened".to_owned()),
            Needs::Fuse | Needs::FuseAndToken => None,
            _ if !is_root => Some("it takes root".to_owned()),
            _ if !Path::new("/dev/loop-control").exists() => Some("no loop devices".to_owned()),
            Needs::Root => None,
            Needs::Passthrough if kernel_version() < (6, 9) => {
                Some("the kernel has no FUSE passthrough".to_owned())
            }
            Needs::Passthrough => None,
            Needs::RootAnd(programs) | Needs::RootAndToken(programs) => {
                let program = programs.iter().find(|program| !is_installed(program))?;
                Some(format!("{program} is not installed"))
            }
        }
    }
}

fn kernel_version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The PKCS#11 module of SoftHSM2, where it is installed with its tools.
pub fn soft_token_module() -> Option<&'static str> {
    if !is_installed("softhsm2-util") || !is_installed("pkcs11-tool") {
        return None;
    }
    [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/lib64/libsofthsm2.so",
    ]
    .into_iter()
    .find(|module| Path::new(module).exists())
}

fn is_installed(program: &str) -> bool {
    program_file(program).is_some()
}

/// A trial by its function's name.
pub fn trial(name: &str, needs: Needs, body: impl FnOnce() + Send + 'static) -> Trial {
    let missing = needs.missing();
    if let Some(missing) = &missing {
        eprintln!("skipped: {name}: {missing}");
    }
    Trial::test(name, move || {
        body();
        Ok(())
    })
    .with_ignored_flag(missing.is_some())
}

/// A trial in a process of its own, for one that sees each flush of its files: a program that another
/// trial starts has them too until it begins, and flushes them when it lets go of them.
pub fn trial_alone(name: &str, needs: Needs, body: impl FnOnce() + Send + 'static) -> Trial {
    // Asked for by its exact name, as nextest does it, and as below.
    if Arguments::from_args().exact {
        return trial(name, needs, body);
    }
    let asked_for = name.to_owned();
    trial(name, needs, move || {
        let program = std::env::current_exe().unwrap();
        let ended = run(program.to_str().unwrap(), &["--exact", &asked_for, "--nocapture"]);
        eprint!("{}", ended.stderr);
        assert_eq!(ended.code, 0, "{}", ended.stdout);
    })
}

/// A trial that this machine cannot run, for a reason besides [`Needs`]; said aloud.
pub fn skipped(name: &str, why: &str) -> Trial {
    eprintln!("skipped: {name}: {why}");
    Trial::test(name, || Ok(())).with_ignored_flag(true)
}

/// Runs the trials as `cargo test` and nextest expect it.
pub fn run_trials(trials: Vec<Trial>) -> std::process::ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
