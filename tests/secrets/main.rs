//! Secrets: known keys are hunted in the memory of the daemon, in its dumps, logs and files.
//! `docs/SECURITY.md` says which adversary each trial stands for.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../trouble/amount.rs"]
mod amount;
mod attached;
mod calls;
mod confined;
mod detached;
mod documented;
mod dumps;
mod keys;
mod material;
mod memory;
mod needles;
mod panicking;
mod rig;
mod schedule;
#[path = "../pkcs11/token.rs"]
#[allow(dead_code)]
mod token;

fn main() -> std::process::ExitCode {
    if let Some(failed) = rig::be_a_launcher() {
        return failed;
    }
    if let Some(ended) = panicking::be_a_panicking_process() {
        return ended;
    }
    // SoftHSM2 finds its tokens by an environment variable, which a process with threads must not
    // set.
    if support::soft_token_module().is_some()
        && let Some(ended) = token::in_a_place_for_tokens()
    {
        return ended;
    }
    let files = [
        attached::trials(),
        detached::trials(),
        panicking::trials(),
        material::trials(),
        dumps::trials(),
        confined::trials(),
        documented::trials(),
    ];
    support::run_trials(files.into_iter().flatten().collect())
}
