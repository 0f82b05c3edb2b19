//! A root key under a passphrase: every way to give it, a wrong one, and a change of it.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod terminal;
mod trials;

fn main() -> std::process::ExitCode {
    support::run_trials(trials::trials())
}
