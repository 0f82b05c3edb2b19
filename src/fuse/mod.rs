//! The kernel protocol: requests in, replies out, and nothing decided here.
//!
//! Types of the protocol library end in this directory. What knows of event loops over
//! `/dev/fuse` stands in `session.rs` alone, so that another transport can stand beside it.
//!
//! Reads and writes of disk files run on the event loops from end to end. Whatever may wait for
//! something slower than memory or a local disk (commands, syncs, discards) is answered from a
//! worker thread, so that a slow key service never holds up disk I/O. Requests of suspended disks are
//! kept aside, where they hold up nobody.

mod adapter;
mod disk_io;
mod kernel_cache;
mod mountpoint;
mod parked;
mod passthrough;
mod refused;
mod session;
mod translate;
mod waiting;
mod workers;

pub use kernel_cache::FuseKernelCache;
pub use mountpoint::{Lazily, prepare_mountpoint, unmount};
pub use session::{Channels, MountOptions, MountedSession, NewMount, Visitors, mount};
