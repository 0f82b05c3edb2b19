//! The audit log of a real mount: who sees it, what it tells, what it refuses, and what is found in
//! it (RULES K11).

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod trials;

fn main() -> std::process::ExitCode {
    support::run_trials(trials::trials())
}
