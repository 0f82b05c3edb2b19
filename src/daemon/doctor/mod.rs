//! Whether this machine and a configuration are fit for a mount: looked at from outside, with nothing
//! changed. Each look gives a [`Check`], and what is not well comes with its remedy.
//!
//! What may hang (a mount whose daemon does not answer, a PKCS#11 module) is looked at from a thread
//! or a process of its own, and given up after a while.

mod checkup;
mod hsm;
mod machine;
mod memory;
mod mounts;
mod patience;
mod place;
mod user;

pub use checkup::{Check, Health, checkup};
pub use hsm::{PROBE_TOKEN, probe_token};
