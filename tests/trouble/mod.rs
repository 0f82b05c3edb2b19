//! What crash tests and fault tests share: content that says what became of it, a state directory
//! with some of everything, the verbs that change it, and ways to interrupt and to fail them.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::print_stderr)]

mod amount;
mod ledger;
mod medium;
mod reference;
mod stamp;
mod strace;
mod verb;
mod world;

pub use amount::Amount;
pub use ledger::{Damage, Harm, Ledger};
pub use medium::{Manner, Medium, Unflushed};
pub use reference::{Reference, State, difference, has_half_deleted, is_tried};
pub use stamp::{Found, SECTOR, read_stamp, stamp};
pub use strace::{CHANGING_CALLS, Call, EVERY_CALL, Injection, Strace, calls_in, let_go_of};
pub use verb::{VERBS, Verb};
pub use world::{Observed, World};
