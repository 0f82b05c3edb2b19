//! What people use disks with: partitions, copies, watches, containers, other layers of storage.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod copies;
mod layers;
#[path = "../support/mod.rs"]
mod support;
mod watches;

fn main() -> std::process::ExitCode {
    let mut trials = copies::trials();
    trials.extend(layers::trials());
    trials.extend(watches::trials());
    support::run_trials(trials)
}
