//! What a disk's file does: one test for each sentence F of docs/SEMANTICS.md.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod allocation;
mod copying;
mod growing;
mod limits;
mod loop_devices;
mod mapping;
mod names;
mod passthrough;
mod random_operations;
mod reading_writing;
mod sentences;
mod sharing;
mod syncing;

fn main() -> std::process::ExitCode {
    if let Some(lane) = sharing::Lane::of_this_process() {
        lane.run();
        return std::process::ExitCode::SUCCESS;
    }
    let trials = [
        allocation::trials(),
        copying::trials(),
        growing::trials(),
        limits::trials(),
        loop_devices::trials(),
        mapping::trials(),
        names::trials(),
        passthrough::trials(),
        random_operations::trials(),
        reading_writing::trials(),
        sentences::trials(),
        sharing::trials(),
        syncing::trials(),
    ];
    support::run_trials(trials.into_iter().flatten().collect())
}
