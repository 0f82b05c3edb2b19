//! Failing media: the error reaches the caller, nothing else is touched, and when the medium is
//! well again so is everything. `docs/RELIABILITY.md` says what is run and what came of it.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../trouble/mod.rs"]
mod trouble;

mod backing;
mod full;
mod payload;
mod state_dir;

fn main() -> std::process::ExitCode {
    let files = [backing::trials(), payload::trials(), full::trials(), state_dir::trials()];
    support::run_trials(files.into_iter().flatten().collect())
}
