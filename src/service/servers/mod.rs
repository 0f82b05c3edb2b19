//! Servers: a system disk made from an image and any number of data disks, made, attached and
//! deleted together (RULES P1).
//!
//! A server's record, `servers/<id>.toml`, says who it is; which disks are its own, the records of
//! the disks say. It is saved as `creating` before the first disk is made and as `ready` after the
//! last one is attached; a server that a crash left unfinished is removed at the next start with all
//! disks that name it. Deleting one is carried through at the next start.
//!
//! A system disk is neither detached nor deleted on its own. Data disks are disks like others that
//! happen to be attached with a server; without `with_data_disks` they outlive it.

mod create;
mod delete;
mod entry;
mod record;
mod startup;

pub use delete::DataDisks;
pub use entry::{ServerEntry, ServerStatus, Servers};
pub use record::{DiskRole, Membership, ServerRecord};
pub use startup::check_server_record;
pub(super) use startup::{Fate, UnfinishedServers};
