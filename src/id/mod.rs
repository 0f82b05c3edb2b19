//! Identifiers, and names that have been checked.

mod name;
mod number;

pub use name::{Alias, Description, Name};
pub use number::{BackupId, DiskId, ImageId, JobId, KeyId, ServerId, Uid};
