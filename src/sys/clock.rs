//! Time, passed in so that tests can move it.

use crate::sync::Mutex;
use std::time::Duration;

/// A source of time. Wall-clock time decides deadlines of keys, monotonic time measures.
pub trait Clock: Send + Sync {
    /// The present moment, as the administrator's clock shows it.
    fn now(&self) -> jiff::Timestamp;

    /// Time since an arbitrary start that never runs backwards, in suspend included.
    fn monotonic(&self) -> Duration;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // The boot clock starts at zero, so neither field is ever negative.
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    time: Mutex<(jiff::Timestamp, Duration)>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: jiff::Timestamp) -> Self {
        ManualClock { time: Mutex::new((now, Duration::ZERO)) }
    }

    /// Lets time pass: both clocks move on.
    pub fn advance(&self, by: Duration) {
        let mut time = self.time.lock();
        time.0 += by;
        time.1 += by;
    }

    /// Sets the wall clock only, as an administrator or NTP does.
    pub fn set_wall(&self, now: jiff::Timestamp) {
        self.time.lock().0 = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> jiff::Timestamp {
        self.time.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.time.lock().1
    }
}
