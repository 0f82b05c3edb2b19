//! The disk against its model: a vector of bytes.
//!
//! Every test runs without a kernel mount, on memory or on a scratch file.

#![allow(clippy::unwrap_used)]

mod allocation;
mod at_rest;
mod changes;
mod concurrency;
mod crash;
mod faults;
mod limits;
mod random_operations;
mod rig;
mod snapshot_faults;
mod snapshot_threads;
mod snapshots;
mod suspension;
mod tearing;

#[path = "../support/kernel.rs"]
#[allow(dead_code)]
mod kernel;
