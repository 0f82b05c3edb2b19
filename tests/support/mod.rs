//! Real mounts for tests: the built program, a temporary state directory, and clean-up that also
//! happens when a test fails.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::print_stderr)]

mod disk;
pub mod files;
mod forward_clock;
mod kernel;
mod loop_device;
mod mapping;
mod mount;
mod mounted;
pub mod mutation;
mod run;
mod trials;
mod users;

pub use disk::{Cache, DiskRig, Kind, Variant, trials_alone_of, trials_of};
pub use forward_clock::ForwardClock;
pub use kernel::{kernel_under_test, with_kernel_under_test};
pub use loop_device::LoopDevice;
pub use mapping::Mapping;
pub use mount::{Mount, Setup, is_running, wait_until};
pub use mounted::Mounted;
pub use run::{Output, program_file, run};
pub use trials::{Needs, run_trials, skipped, soft_token_module, trial, trial_alone};
pub use users::{ALICE, BOB, BOTH, KEEPER, OPERATOR, STRANGER, USERS, as_user};
