//! The concrete parts put together, and their life: init, serve, stop, check.

mod assembly;
mod check;
mod deadlines;
mod init;
mod serve;
mod shutdown;
mod state_dir;

pub use assembly::{Unlock, wants_pin};
pub use check::{CheckReport, Finding, check};
pub use init::{InitOptions, InitReport, RootKeyKind, init};
pub use serve::{Ready, serve};

pub use crate::kms::Pin;
