//! What happened to a disk since it was opened.

use crate::error::Result;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Numbers since the disk was opened. They are read one after the other while I/O goes on, so they
/// may be a request apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Requests that read.
    pub reads: u64,
    /// Bytes they gave.
    pub read_bytes: u64,
    /// Requests that wrote.
    pub writes: u64,
    /// Bytes they took.
    pub written_bytes: u64,
    /// Requests that discarded or zeroed.
    pub discards: u64,
    /// Bytes they made zero.
    pub discarded_bytes: u64,
    /// Flushes asked for; several may have shared one flush of the backing.
    pub flushes: u64,
    /// Reads, writes, discards and flushes that failed or were refused.
    pub errors: u64,
}

/// The counting itself. Relaxed: the numbers order nothing.
pub(super) struct Tally {
    reads: Count,
    writes: Count,
    discards: Count,
    flushes: Count,
    errors: AtomicU64,
}

struct Count {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    const fn new() -> Self {
        Count { requests: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }
}

impl Tally {
    pub(super) const fn new() -> Self {
        Tally {
            reads: Count::new(),
            writes: Count::new(),
            discards: Count::new(),
            flushes: Count::new(),
            errors: AtomicU64::new(0),
        }
    }

    pub(super) fn read(&self, result: &Result<usize>) {
        self.add(&self.reads, result.as_ref().ok().map(|bytes| *bytes as u64));
    }

    pub(super) fn written(&self, result: &Result<usize>) {
        self.add(&self.writes, result.as_ref().ok().map(|bytes| *bytes as u64));
    }

    pub(super) fn discarded(&self, result: &Result<u64>) {
        self.add(&self.discards, result.as_ref().ok().copied());
    }

    pub(super) fn flushed(&self, result: &Result<()>) {
        self.add(&self.flushes, result.as_ref().ok().map(|()| 0));
    }

    fn add(&self, count: &Count, bytes: Option<u64>) {
        match bytes {
            Some(bytes) => {
                count.requests.fetch_add(1, Ordering::Relaxed);
                count.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            None => {
                self.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn snapshot(&self) -> Counters {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Counters {
            reads: read(&self.reads.requests),
            read_bytes: read(&self.reads.bytes),
            writes: read(&self.writes.requests),
            written_bytes: read(&self.writes.bytes),
            discards: read(&self.discards.requests),
            discarded_bytes: read(&self.discards.bytes),
            flushes: read(&self.flushes.requests),
            errors: read(&self.errors),
        }
    }
}
