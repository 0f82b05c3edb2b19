//! Real mounts for tests: the built program, a temporary state directory, and clean-up that also
//! happens when a test fails.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::print_stderr)]

mod kernel;
mod loop_device;
mod mount;
mod run;
mod trials;

pub use kernel::{kernel_under_test, with_kernel_under_test};
pub use loop_device::LoopDevice;
pub use mount::{Mount, Setup, wait_until};
pub use run::{Output, run};
pub use trials::{Needs, run_trials, trial};
