//! Mounting at boot: the helper of mount(8), units of the service manager, the package.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod helper;
mod package;
mod units;

fn main() -> std::process::ExitCode {
    let files = [helper::trials(), units::trials(), package::trials()];
    support::run_trials(files.into_iter().flatten().collect())
}
