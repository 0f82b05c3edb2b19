//! What a disk's file does: one test for each sentence F of docs/SEMANTICS.md.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod sentences;

fn main() -> std::process::ExitCode {
    support::run_trials(sentences::trials())
}
