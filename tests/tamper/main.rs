//! Somebody can write the state directory: every file of it is deleted, cut, edited, exchanged with
//! others of its kind, and put back as it was earlier, one at a time. What starts after that names the
//! file, or serves what it always served: never another key, never a key that is usable and was not,
//! never changed data (RULES K6, K8, K9, K11).
//!
//! The service runs in this process, without a mount; `tests/verbs/damage.rs` has the same on mounts.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod bits;
mod damage;
mod every_file;
mod judge;
mod observation;
mod random;
mod together;
mod world;

#[path = "../trouble/amount.rs"]
#[allow(dead_code)]
mod amount;
#[path = "../support/files.rs"]
#[allow(dead_code)]
mod files;
#[path = "../support/kernel.rs"]
#[allow(dead_code)]
mod kernel;
#[path = "../support/mutation.rs"]
#[allow(dead_code)]
mod mutation;
