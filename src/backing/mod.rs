//! Where payloads lie.
//!
//! A [`Backing`] is a flat run of bytes that can be read, written, discarded and made durable. It
//! knows nothing of sectors, ciphers or disks. Its promises, which one conformance suite checks on
//! every implementation:
//!
//! * a read gives every byte asked for or fails; a missing byte is an error, never a zero;
//! * a range that was never written, or was discarded, reads as zeros;
//! * what was written, discarded or grown before [`Backing::flush`] was called survives a power
//!   loss once it has returned `Ok`;
//! * interrupted and short system calls are finished here and never seen above.
//!
//! Files and devices can bypass the kernel's page cache ([`FileBacking::bypass_page_cache`]), so
//! that what the mount's page cache holds is not held twice.
//!
//! | implementation | what for |
//! |---|---|
//! | [`FileBacking`] | a sparse file, held by one opener at a time (RULES S3) |
//! | [`BlockDeviceBacking`] | a block device, likewise |
//! | [`MemoryBacking`] | examples, benchmarks and tests |
//! | [`OffsetBacking`] | what lies behind an offset of another one |
//! | [`FaultBacking`] | any other one, whose nth operation fails |
//! | [`CrashBacking`] | memory that knows what a power loss now would leave |

mod block_device;
#[cfg(test)]
mod conformance;
mod contract;
mod crash;
mod descriptor;
mod direct;
mod fault;
mod file;
mod memory;
mod offset;

pub use block_device::BlockDeviceBacking;
pub use contract::{Access, Backing, ReadableFile};
pub use crash::{CrashBacking, PowerLoss};
pub use fault::{Damage, FaultBacking, Operation};
pub use file::FileBacking;
pub use memory::MemoryBacking;
pub use offset::OffsetBacking;
