//! Making data durable: one flush for many callers, failures told to every open file.

use super::open::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};
use std::time::Instant;

/// What one open file has been told about failed flushes (as `errseq_t` of the Linux kernel).
///
/// A failed flush may have lost data of any file, and the next one may succeed. Each open file keeps
/// a cursor, so that each is told at least once, whoever's fsync met the failure (RULES S2).
#[derive(Debug)]
pub struct FlushCursor {
    // The number of failures up to which this file has been told. Relaxed: it orders nothing.
    told: AtomicU64,
}

impl Disk {
    /// Makes durable everything that was written, discarded or grown before this call (RULES S1).
    ///
    /// Callers at the same time share one flush of the backing, but only one that starts after they
    /// called: a flush that was under way may have missed their data.
    ///
    /// # Errors
    /// `io`, `no-space` of the backing; `detached`.
    pub fn flush(&self) -> Result<()> {
        let (begun, changed) = (Instant::now(), self.tally.changed_bytes());
        let result = self.flush_unless_suspended();
        self.tally.flushed(begun, changed, &result);
        result
    }

    fn flush_unless_suspended(&self) -> Result<()> {
        loop {
            match self.regions.whole() {
                Ok(live) => return self.flusher.flush(|| live.payload.flush()),
                // What was acknowledged before is durable already, and nothing is acknowledged since:
                // nobody who closes a file waits for a resume.
                Err(error) if error.kind() == ErrorKind::Suspended => {
                    if self.suspension.is_complete() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a flush has failed since the disk was opened: what was written and read back may not
    /// be what is there now.
    pub fn has_failed_to_flush(&self) -> bool {
        self.flusher.failures.load(Ordering::Relaxed) > 0
    }

    /// The cursor of a file that is opened now.
    pub fn flush_cursor(&self) -> FlushCursor {
        FlushCursor { told: AtomicU64::new(self.flusher.told.load(Ordering::Relaxed)) }
    }

    /// [`flush`](Self::flush) for one open file: fails also when a flush has failed since this file
    /// was last told, whoever asked for it.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn flush_for(&self, file: &FlushCursor) -> Result<()> {
        let result = self.flush();
        let failures = self.flusher.failures.load(Ordering::Relaxed);
        if file.told.fetch_max(failures, Ordering::Relaxed) >= failures {
            return result;
        }
        self.flusher.told.fetch_max(failures, Ordering::Relaxed);
        result.and_then(|()| {
            let text = "a flush failed since this file was last flushed: writes may be lost";
            Err(Error::new(self.flusher.last_failure(), text))
        })
    }
}

/// Shares flushes between callers.
pub(super) struct Flusher {
    // Numbers flushes from 1; protects the four fields of Rounds.
    rounds: Mutex<Rounds>,
    finished: Condvar,
    // Flushes that failed so far. Written under `rounds`.
    failures: AtomicU64,
    // Up to which failure some caller has been told. A file that is opened later starts here, so
    // that a failure nobody has heard of is not lost with the files that were open.
    told: AtomicU64,
}

struct Rounds {
    started: u64,
    ended: u64,
    last_failed: u64,
    failure: ErrorKind,
}

impl Flusher {
    pub(super) fn new() -> Self {
        let rounds = Rounds { started: 0, ended: 0, last_failed: 0, failure: ErrorKind::Io };
        Flusher {
            rounds: Mutex::new(rounds),
            finished: Condvar::new(),
            failures: AtomicU64::new(0),
            told: AtomicU64::new(0),
        }
    }

    /// Returns when a flush that started after this call has ended, and fails if one did.
    pub(super) fn flush(&self, flush: impl Fn() -> Result<()>) -> Result<()> {
        let mut rounds = self.rounds.lock();
        let wanted = rounds.started + 1;
        while rounds.ended < wanted {
            if rounds.started > rounds.ended {
                self.finished.wait(&mut rounds);
                continue;
            }
            // Nobody else's is under way, so this thread makes the round, for all who wait.
            rounds.started += 1;
            drop(rounds);
            let mut round = Round { flusher: self, failure: Some(ErrorKind::Internal) };
            let result = flush();
            round.failure = result.as_ref().err().map(Error::kind);
            drop(round);
            if result.is_err() {
                self.told.fetch_max(self.failures.load(Ordering::Relaxed), Ordering::Relaxed);
                return result;
            }
            rounds = self.rounds.lock();
        }
        if rounds.last_failed >= wanted {
            return Err(Error::new(rounds.failure, "the flush shared with another caller failed"));
        }
        Ok(())
    }

    fn last_failure(&self) -> ErrorKind {
        self.rounds.lock().failure
    }
}

/// A round under way. Dropping it ends the round and wakes those who wait, also when the flush
/// panicked: then the round has failed.
struct Round<'a> {
    flusher: &'a Flusher,
    failure: Option<ErrorKind>,
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        let mut rounds = self.flusher.rounds.lock();
        rounds.ended = rounds.started;
        if let Some(kind) = self.failure {
            rounds.last_failed = rounds.ended;
            rounds.failure = kind;
            self.flusher.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.flusher.finished.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicU32;

    /// A flush under way does not count for a write that was made after it started.
    #[test]
    fn callers_during_a_flush_share_the_next_one_and_not_this_one() {
        let flusher = Flusher::new();
        let (entered, leave) = (Barrier::new(2), Barrier::new(2));
        let flushes = AtomicU32::new(0);
        let called = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                flusher.flush(|| {
                    flushes.fetch_add(1, Ordering::SeqCst);
                    entered.wait();
                    leave.wait();
                    Ok(())
                })
            });
            entered.wait();
            let late: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        called.fetch_add(1, Ordering::SeqCst);
                        flusher.flush(|| {
                            flushes.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        })
                    })
                })
                .collect();
            // All have called or are about to; give them time to be inside.
            while called.load(Ordering::SeqCst) < 6 {
                std::thread::yield_now();
            }
            (0..1000).for_each(|_| std::thread::yield_now());
            assert_eq!(flushes.load(Ordering::SeqCst), 1);
            leave.wait();
            for caller in late {
                caller.join().unwrap().unwrap();
            }
        });
        // The first; then one for all, or more if some were late even for that.
        assert!((2..=7).contains(&flushes.into_inner()));
    }

    #[test]
    fn everybody_who_shared_a_failed_flush_is_told() {
        let flusher = Flusher::new();
        let fail = || Err(Error::new(ErrorKind::NoSpace, "full"));
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| flusher.flush(fail))).collect();
            for caller in callers {
                assert_eq!(caller.join().unwrap().unwrap_err().kind(), ErrorKind::NoSpace);
            }
        });
        flusher.flush(|| Ok(())).unwrap();
    }

    #[test]
    fn a_flush_that_panics_leaves_nobody_waiting() {
        let flusher = Flusher::new();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = flusher.flush(|| panic!("a bug below"));
        }));
        assert!(panicked.is_err());
        assert_eq!(flusher.failures.load(Ordering::Relaxed), 1);
        flusher.flush(|| Ok(())).unwrap();
    }
}
