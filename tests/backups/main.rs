//! Backups, and disks made of them, through real mounts (RULES P2 to P4).

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod broken;
mod busy;
mod chains;
mod check;
mod ended;
mod interrupted;
mod kept;
mod restored;
mod rewrapped;
mod rig;
mod told;
mod transfer;

fn main() -> std::process::ExitCode {
    let files = [
        restored::trials(),
        chains::trials(),
        broken::trials(),
        busy::trials(),
        interrupted::trials(),
        transfer::trials(),
        check::trials(),
        told::trials(),
        ended::trials(),
        kept::trials(),
        rewrapped::trials(),
    ];
    support::run_trials(files.into_iter().flatten().collect())
}
