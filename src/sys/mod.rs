//! The operating system, behind functions that are safe to call.
//!
//! `libc` and `unsafe` live here (and in the SIMD kernel files of `crypto`), each block with its
//! SAFETY reason. Calls that `rustix` already offers safely may be made anywhere.

mod account;
mod aligned_buffer;
mod clock;
mod clock_state;
mod descriptor;
mod heap;
mod privileges;
mod process;
mod registers;
mod sandbox;
mod secret_file;
mod secret_memory;
mod signals;
mod stack;
mod thread;

pub use account::Account;
pub use aligned_buffer::AlignedBuffer;
pub use clock::{Clock, ManualClock, SystemClock};
pub use clock_state::is_clock_synchronised;
pub use descriptor::inherited_descriptor;
pub use heap::WipingHeap;
pub use privileges::KeptPrivileges;
pub use process::{IoFlusher, ask_for_io_flusher, end_process, forbid_dumps};
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) use registers::vector_registers;
pub use registers::wipe_vector_registers;
pub use sandbox::{Confinement, Sandbox, join_sandbox};
pub use secret_file::{SecretFile, lend_descriptor};
pub use secret_memory::{SecretBox, SecretMemory, secret_memory_kind};
pub use signals::{Termination, block_termination_signals, wait_for_termination};
pub use stack::{with_deep_stack_wiped, with_wiped_stack};
pub use thread::{Fate, fate_of_thread, has_pending_signal, spawn_apart, yield_to_other_threads};
