//! What a request costs on its way through a mount: counted, not timed.
//!
//! One trial at a time may count allocations, so there is one in this program that does.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod counting;
#[allow(dead_code)]
#[path = "../unruly_hsm/rig.rs"]
mod rig;
mod trials;

fn main() -> std::process::ExitCode {
    support::run_trials(trials::trials())
}
