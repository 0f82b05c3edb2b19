//! The concrete parts put together, and their life: init, serve, stop, check.

mod assembly;
mod audit;
mod check;
mod deadlines;
mod doctor;
mod hsm_secret;
mod init;
mod migrate;
mod sandbox;
mod serve;
mod service_manager;
mod service_user;
mod shutdown;
mod state_dir;
mod unmounter;

pub use crate::crypto::{Dk, SecretText, wrap_material};
pub use crate::kms::AuditFault;
pub use crate::sys::{
    SecretFile, block_termination_signals, end_process, forbid_dumps, lend_descriptor,
    wait_for_termination,
};
pub use audit::verify_audit;
pub use check::{CheckMode, CheckReport, Finding, Mending, check};
pub use doctor::{Check, Health, PROBE_TOKEN, checkup, probe_token};
pub use hsm_secret::{HsmSecret, needed_secret};
pub use init::{InitReport, OfflineRootKey, init};
pub use migrate::{MoveReport, migrate, preview_migration};
pub use serve::{Ready, serve};
pub use service_user::ServiceUser;
pub use unmounter::serve_unmounts;
