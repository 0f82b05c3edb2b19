//! Locks, atomics and threads, taken from one place so that a scheduler that decides who runs next
//! can stand in for the kernel's (feature `schedules`, for `tests/schedules`).
//!
//! The global lock order is written in [`crate::service`].

#[cfg(feature = "schedules")]
mod condvar;

#[cfg(not(feature = "schedules"))]
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(not(feature = "schedules"))]
pub use std::{sync::atomic, thread};

/// A lock that can be given up on, for what waits for foreign code: no test decides about that.
pub use parking_lot::RwLock as PatientRwLock;

#[cfg(feature = "schedules")]
pub use condvar::Condvar;
#[cfg(feature = "schedules")]
pub use shuttle::{sync::atomic, thread};
#[cfg(feature = "schedules")]
pub use shuttle_parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Whether a thread is known to have ended.
#[cfg(not(feature = "schedules"))]
pub fn has_ended(thread: &thread::JoinHandle<()>) -> bool {
    thread.is_finished()
}

/// Whether a thread is known to have ended: the scheduler does not tell.
#[cfg(feature = "schedules")]
pub fn has_ended(_thread: &thread::JoinHandle<()>) -> bool {
    false
}
