//! A PKCS#11 token in the place of the software HSM: one suite for both, disks over a real mount
//! with SoftHSM2, and tokens that misbehave.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

/// `trials()` of functions that take a token, each by its name.
macro_rules! token_trials {
    ($($name:ident),* $(,)?) => {
        pub fn trials() -> Vec<libtest_mimic::Trial> {
            use crate::support::{Needs, trial};
            vec![$(trial(stringify!($name), Needs::Token, $name)),*]
        }
    };
}

mod conformance;
mod life;
mod login;
mod losses;
mod moving;
mod shim;
mod token;
mod trouble;

fn main() -> std::process::ExitCode {
    // SoftHSM2 finds its tokens by an environment variable, which a process with threads must not
    // set: the trials run in a second process that was started with it.
    if support::soft_token_module().is_some()
        && let Some(ended) = token::in_a_place_for_tokens()
    {
        return ended;
    }
    let trials = [
        conformance::trials(),
        life::trials(),
        login::trials(),
        losses::trials(),
        moving::trials(),
        trouble::trials(),
    ];
    support::run_trials(trials.into_iter().flatten().collect())
}
