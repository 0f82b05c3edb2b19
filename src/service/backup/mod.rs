//! Backups: points in time of disks, and disks made of them (RULES P2 to P4).
//!
//! `archive` copies, checks and merges; this decides what may be done to which backup, keeps the
//! records (`backups/<id>/backup.toml`) and leaves nothing half-made behind.
//!
//! A backup names its parent, and no two backups have the same one, so the backups of a disk form
//! chains. A verb that reads a backup [holds](held::HeldChain) all of its chain: none of it is
//! deleted or merged meanwhile. A deleted backup's content moves into its child first.
//!
//! A backup can be carried to another machine as one stream, [exported](export) and
//! [imported](import) through `data`; the root key must be the same there, and no other key is asked
//! for.
//!
//! Every step is recorded before it is done: what a crash leaves at any moment is either as it was,
//! or is ended by [`load`](super::Service::load). A half-made backup is removed, a half-done
//! deletion ended, and what a half-done merge copied removed.

mod catalogue;
mod check;
mod create;
mod delete;
mod export;
mod guard;
mod held;
mod import;
mod record;
mod restore;
mod rewrap;
mod startup;
mod status;
mod stream;
mod told;
mod verify;

pub use catalogue::{BackupEntry, Backups};
pub use check::check_backup;
pub use create::{BackupMode, NewBackup};
pub use import::BackupUpload;
pub use record::{BackupRecord, BackupStage};
pub use status::{BackupEvent, BackupStatus};
pub use stream::OutStream;
