//! Users and files that want to do harm: whatever comes in is refused with a reason or means what it
//! says, whatever is done to the tree has its documented errno, and the daemon lives on.
//!
//! `EVSFS_SLOW=1` runs the long forms; docs/RELIABILITY.md has their figures.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod clock;
mod crowd;
mod inputs;
mod operations;
mod planted;
mod project;
mod strangers;
mod targets;
mod through_the_mount;

#[path = "../trouble/amount.rs"]
mod amount;
#[path = "../support/mod.rs"]
mod support;

/// A figure for docs/RELIABILITY.md.
fn report(line: &str) {
    println!("{line}");
}

/// Waits for what takes long on a busy machine.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn main() -> std::process::ExitCode {
    let trials = [
        inputs::trials(),
        through_the_mount::trials(),
        strangers::trials(),
        operations::trials(),
        planted::trials(),
        crowd::trials(),
        clock::trials(),
    ];
    support::run_trials(trials.into_iter().flatten().collect())
}
