//! Watching a mount: metrics, `top`, `status`, `doctor`, logs, and what `contrib` and `docs` say of
//! them.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod contrib;
mod doctor;
mod glance;
mod json;
mod logs;
mod metrics;
mod openmetrics;

fn main() -> std::process::ExitCode {
    let files = [
        metrics::trials(),
        glance::trials(),
        doctor::trials(),
        logs::trials(),
        contrib::trials(),
        json::trials(),
    ];
    support::run_trials(files.into_iter().flatten().collect())
}
