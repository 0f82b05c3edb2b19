//! The tree people see: names, inodes, handles, and the control directory (INTERFACE 1 to 3).
//!
//! Nothing here knows the FUSE protocol or needs a kernel. The protocol adapter hands requests to
//! [`Namespace`] and turns the answers into replies. Inode numbers are computed, not remembered:
//! an object's serial number and the slot of the file within it, so nothing has to be forgotten.
//!
//! Every answer about `.evs` depends on the caller (RULES A7), so nothing of it may be cached.

mod attributes;
mod control;
mod disk_file;
mod event_stream;
mod files;
pub mod grammar;
mod handle;
mod help;
mod inode;
pub mod json;
mod listing;
mod namespace;
mod node;
mod objects;
mod passthrough;
mod refusals;
mod values;
mod verbs;

pub use crate::service::{AttachmentId, Events, KernelCache};
pub use attributes::{Attributes, FileKind, Wish};
pub use disk_file::{Allocation, Whence};
pub use handle::{HandleId, OpenMode, Opened, PageCache, Passthrough};
pub use inode::Inode;
pub use listing::Listed;
pub use namespace::Namespace;
