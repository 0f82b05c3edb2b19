//! The life of a disk and what is promised of data: sentences D and S of docs/SEMANTICS.md.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod content;
mod detach;
mod durability;
mod faults;
mod forced_detach;
mod keys;
mod names_and_sizes;
mod restart;
mod rig;
mod status;
mod suspended;

fn main() -> std::process::ExitCode {
    let files = [
        status::trials(),
        keys::trials(),
        detach::trials(),
        forced_detach::trials(),
        restart::trials(),
        content::trials(),
        names_and_sizes::trials(),
        durability::trials(),
        faults::trials(),
        alone::trials(),
        suspended::trials(),
    ];
    support::run_trials(files.into_iter().flatten().collect())
}
