//! A condition variable of parking_lot's shape under the scheduler of tests, which has none.

use super::MutexGuard;
use shuttle::sync as scheduled;
use std::time::{Duration, Instant};

/// As `parking_lot::Condvar`, but no time passes under the scheduler: every deadline has passed as
/// soon as others had a chance to run.
#[derive(Debug)]
pub struct Condvar {
    // Held from before the waiter lets go of its lock until it waits, so that no notification in
    // between is lost.
    gate: scheduled::Mutex<()>,
    moved: scheduled::Condvar,
}

/// As `parking_lot::WaitTimeoutResult`.
pub struct WaitTimeoutResult;

impl Condvar {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Condvar { gate: scheduled::Mutex::new(()), moved: scheduled::Condvar::new() }
    }

    /// Waits for a notification, without the lock meanwhile.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let gate = self.gate.lock().expect("no waiter panics at the gate");
        MutexGuard::unlocked(guard, || {
            drop(self.moved.wait(gate).expect("no waiter panics at the gate"));
        });
    }

    /// Lets others run, and says that the time is over.
    pub fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _deadline: Instant,
    ) -> WaitTimeoutResult {
        MutexGuard::unlocked(guard, super::thread::yield_now);
        WaitTimeoutResult
    }

    /// As [`wait_until`](Self::wait_until).
    pub fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _patience: Duration,
    ) -> WaitTimeoutResult {
        MutexGuard::unlocked(guard, super::thread::yield_now);
        WaitTimeoutResult
    }

    /// Lets one waiter go on.
    pub fn notify_one(&self) {
        let _gate = self.gate.lock().expect("no waiter panics at the gate");
        self.moved.notify_one();
    }

    /// Lets all waiters go on.
    pub fn notify_all(&self) {
        let _gate = self.gate.lock().expect("no waiter panics at the gate");
        self.moved.notify_all();
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}

impl WaitTimeoutResult {
    /// Always.
    pub fn timed_out(&self) -> bool {
        true
    }
}
