//! Crashes: no acknowledged byte is lost, every object is in its old or its new state, nothing
//! leaks. `docs/RELIABILITY.md` says what is run and what came of it.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../trouble/mod.rs"]
mod trouble;

mod syscalls;

fn main() -> std::process::ExitCode {
    let files = [syscalls::trials()];
    support::run_trials(files.into_iter().flatten().collect())
}
