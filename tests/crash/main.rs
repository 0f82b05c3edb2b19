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
mod moving;
mod power;
mod start;
mod syscalls;
#[path = "../pkcs11/token.rs"]
#[allow(dead_code)]
mod token;
mod writers;

fn main() -> std::process::ExitCode {
    if let Some(code) = writers::be_a_writer() {
        return code;
    }
    // SoftHSM2 finds its tokens by an environment variable, which a process with threads must not
    // set.
    if support::soft_token_module().is_some()
        && let Some(ended) = token::in_a_place_for_tokens()
    {
        return ended;
    }
    let files = [
        start::trials(),
        moving::trials(),
        kills::trials(),
        power::trials(),
        syscalls::trials(),
        controls::trials(),
    ];
    support::run_trials(files.into_iter().flatten().collect())
}
