//! What the project as a whole decides, and what depends on its keys: default encryption, the
//! blast radius of a key, deletion under a clock in doubt, many clients at once, and long work.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod blast_radius;
mod default_encryption;
mod doubted_deletion;
mod jobs;
mod storm;

fn main() -> std::process::ExitCode {
    let mut trials = default_encryption::trials();
    trials.extend(blast_radius::trials());
    trials.extend(doubted_deletion::trials());
    trials.extend(storm::trials());
    trials.extend(jobs::trials());
    support::run_trials(trials)
}
