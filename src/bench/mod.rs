//! How fast the data plane is on this machine.
//!
//! The sector kernels for themselves, and requests to whatever can be read and written: an open disk
//! over a payload in memory, or a disk's file in a mount. Nothing here knows of mounts, users or
//! keys; whoever asks brings the disk, and shows what was measured.
//!
//! An [`Interrupt`] ends every measurement early, so that whoever asked can clean up behind it.

mod direct_file;
mod interrupt;
mod memory_disk;
mod sector_kernels;
mod workload;

pub use direct_file::DirectFile;
pub use interrupt::Interrupt;
pub use memory_disk::{Encryption, memory_disk};
pub use sector_kernels::{KernelSpeed, kernel_speeds};
pub use workload::{Pattern, Speed, Target, Workload};
