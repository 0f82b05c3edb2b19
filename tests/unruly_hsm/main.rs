//! A mount over an HSM that panics, takes its time, or does not answer: requests are refused or
//! wait, disks go on, the mount lives.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod rig;
mod trials;

fn main() -> std::process::ExitCode {
    support::run_trials(trials::trials())
}
