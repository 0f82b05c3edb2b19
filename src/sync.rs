//! Locks, taken from one place so that a model checker can stand in for them.
//!
//! The global lock order is written in [`crate::service`].

pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
