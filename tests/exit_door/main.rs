//! Disks that leave evsfs, and disks that come in: the sentences E of docs/SEMANTICS.md, with the
//! programs that people will use.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod export;
mod hostile;
mod import;
mod interrupted;
mod rig;
mod secrecy;

fn main() -> std::process::ExitCode {
    let trials = [
        export::trials(),
        secrecy::trials(),
        import::trials(),
        hostile::trials(),
        interrupted::trials(),
    ];
    support::run_trials(trials.into_iter().flatten().collect())
}
