//! The life of a disk and what is promised of data: sentences D and S of docs/SEMANTICS.md.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::run_trials(Vec::new())
}
