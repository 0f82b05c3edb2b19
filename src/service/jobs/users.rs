//! Giving way to those who use disks.
//!
//! A low priority is not enough: a thread that wakes up waits until the one that runs has had its
//! slice, and that is many times what a request takes. So while anybody reads or writes an attached
//! disk, jobs work in small pieces with pauses between them.

use crate::sync::Mutex;
use crate::units::ByteLen;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often it is looked whether disks are used.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// What a job does in a second while they are: a piece of 64 KiB takes some 60 us and is followed by
/// a pause of 500 us (`benches/backup.py` shows what users notice of it).
const BYTES_A_SECOND: u64 = 128 << 20;

/// What one job knows of the users of disks.
#[derive(Debug)]
pub(super) struct Users {
    // Relaxed: a hint.
    are_active: AtomicBool,
    // Protects when it was last looked, and the requests that there had been then.
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    looked: Instant,
    requests: u64,
}

impl Users {
    /// Of whom nothing has been seen yet, after so many requests.
    pub fn new(now: Instant, requests: u64) -> Self {
        Users {
            are_active: AtomicBool::new(false),
            last: Mutex::new(Last { looked: now, requests }),
        }
    }

    /// Whether it is time to look.
    pub fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last.lock().looked) >= BETWEEN_LOOKS
    }

    /// There have been so many requests by now.
    pub fn look(&self, now: Instant, requests: u64) {
        let mut last = self.last.lock();
        self.are_active.store(requests != last.requests, Ordering::Relaxed);
        *last = Last { looked: now, requests };
    }

    /// Whether disks are being used.
    pub fn are_active(&self) -> bool {
        self.are_active.load(Ordering::Relaxed)
    }

    /// How long to pause for them before so much is done.
    pub fn pause(&self, bytes: ByteLen) -> Duration {
        match self.are_active() {
            // Rounding is far below the clock's grain.
            true => Duration::from_secs_f64(bytes.get() as f64 / BYTES_A_SECOND as f64),
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_pauses_as_long_as_disks_are_used() {
        let start = Instant::now();
        let users = Users::new(start, 7);
        let piece = ByteLen::new(64 << 10);
        assert!(!users.is_due(start) && users.pause(piece).is_zero());
        let later = start + BETWEEN_LOOKS;
        assert!(users.is_due(later));
        users.look(later, 8);
        assert!(users.are_active() && !users.is_due(later));
        assert_eq!(users.pause(piece).as_micros(), 488);
        users.look(later + BETWEEN_LOOKS, 8);
        assert!(!users.are_active() && users.pause(piece).is_zero());
    }
}
