//! Crashes: no acknowledged byte is lost, every object is in its old or its new state, nothing
//! leaks. `docs/RELIABILITY.md` says what is run and what came of it.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../trouble/mod.rs"]
mod trouble;

mod clerk;
mod controls;
mod kills;
mod load;
mod machine;
mod power;
mod syscalls;
mod writers;

fn main() -> std::process::ExitCode {
    if let Some(code) = writers::be_a_writer() {
        return code;
    }
    let files = [kills::trials(), power::trials(), syscalls::trials(), controls::trials()];
    support::run_trials(files.into_iter().flatten().collect())
}
