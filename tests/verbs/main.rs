//! The command line as people and scripts use it (INTERFACE section 4).

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::run_trials(Vec::new())
}
