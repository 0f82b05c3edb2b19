//! The whole project beside a model of it: RULES 2, 3 and 5 as plain data (`model`, over the rules of
//! keys in `tests/support/key_rules.rs`, with those of backups in `backup_rules`), and the real service in this process or behind a mount.
//!
//! * `cells`: every operation in every state of the key, on a disk attached or not, by every caller,
//!   one by one, held against `tables.txt`;
//! * `walks`: thousands of random walks of commands, I/O, time and restarts; a failure is shrunk to
//!   the commands that show it, as they are typed;
//! * `mounted`: some of these walks through the control directory of a mount.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../trouble/amount.rs"]
mod amount;
#[path = "../support/key_rules.rs"]
mod key_rules;
#[path = "../support/mod.rs"]
mod support;

mod backup_rules;
mod callers;
mod cells;
mod command;
mod model;
mod mounted;
mod refusal;
mod setting;
mod shown;
mod stand;
mod walks;
mod world;

fn main() -> std::process::ExitCode {
    let all = [cells::trials(), walks::trials(), mounted::trials()];
    support::run_trials(all.into_iter().flatten().collect())
}
