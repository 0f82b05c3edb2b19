//! What happened to a disk since it was opened, and how long it took.

use crate::error::Result;
use crate::measure::{Distribution, Durations, Striped};
// Not those of `sync`: these numbers order nothing, so there is nothing for a scheduler to try.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

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

/// What may be asked of a disk, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskOperation {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Discarding and zeroing.
    Discard,
    /// Making durable.
    Flush,
}

/// One operation's numbers since the disk was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationCounters {
    /// How long each request took that went well, from when the disk was asked to when it had done
    /// it: waiting for others, the cipher and the backing, without the kernel's queues.
    pub durations: Distribution,
    /// Bytes of them; 0 for flushes.
    pub bytes: u64,
    /// Requests that failed or were refused, whose durations are not counted.
    pub errors: u64,
}

/// All that is counted of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskActivity {
    operations: [OperationCounters; DiskOperation::ALL.len()],
    /// Bytes written or discarded since the beginning of the last flush that went well: at most so
    /// much would be lost now with the power.
    pub unflushed_bytes: u64,
}

impl DiskOperation {
    /// Every operation.
    pub const ALL: [DiskOperation; 4] =
        [DiskOperation::Read, DiskOperation::Write, DiskOperation::Discard, DiskOperation::Flush];

    /// Its name, for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            DiskOperation::Read => "read",
            DiskOperation::Write => "write",
            DiskOperation::Discard => "discard",
            DiskOperation::Flush => "flush",
        }
    }
}

impl DiskActivity {
    /// The numbers of one operation.
    pub const fn of(&self, operation: DiskOperation) -> &OperationCounters {
        &self.operations[operation as usize]
    }
}

/// The counting itself. Relaxed: the numbers order nothing.
pub(super) struct Tally {
    // Each thread counts in a copy of its own, all operations side by side.
    counts: Striped<[Count; DiskOperation::ALL.len()]>,
    // Bytes that were changed before the last flush that went well began.
    flushed: AtomicU64,
}

#[derive(Default)]
struct Count {
    durations: Durations,
    bytes: AtomicU64,
    errors: AtomicU64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Tally { counts: Striped::new(), flushed: AtomicU64::new(0) }
    }

    pub(super) fn read(&self, begun: Instant, result: &Result<usize>) {
        let bytes = result.as_ref().ok().map(|bytes| *bytes as u64);
        self.add(DiskOperation::Read, begun, bytes);
    }

    pub(super) fn written(&self, begun: Instant, result: &Result<usize>) {
        let bytes = result.as_ref().ok().map(|bytes| *bytes as u64);
        self.add(DiskOperation::Write, begun, bytes);
    }

    pub(super) fn discarded(&self, begun: Instant, result: &Result<u64>) {
        self.add(DiskOperation::Discard, begun, result.as_ref().ok().copied());
    }

    /// Of a flush that began when [`Tally::changed_bytes`] was `changed`.
    pub(super) fn flushed(&self, begun: Instant, changed: u64, result: &Result<()>) {
        if result.is_ok() {
            self.flushed.fetch_max(changed, Ordering::Relaxed);
        }
        self.add(DiskOperation::Flush, begun, result.as_ref().ok().map(|()| 0));
    }

    /// Bytes written and discarded so far.
    pub(super) fn changed_bytes(&self) -> u64 {
        let changes = [DiskOperation::Write, DiskOperation::Discard];
        let of_copy = |copy: &[Count; DiskOperation::ALL.len()]| {
            changes.map(|change| copy[change as usize].bytes.load(Ordering::Relaxed))
        };
        self.counts.all().flat_map(of_copy).sum()
    }

    fn add(&self, operation: DiskOperation, begun: Instant, bytes: Option<u64>) {
        let count = &self.counts.mine()[operation as usize];
        match bytes {
            Some(bytes) => {
                count.durations.add(begun.elapsed());
                count.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            None => {
                count.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn activity(&self) -> DiskActivity {
        // Before the changes, so that what is flushed is never more than they are.
        let flushed = self.flushed.load(Ordering::Relaxed);
        let none = OperationCounters { durations: Distribution::EMPTY, bytes: 0, errors: 0 };
        let mut operations = [none; DiskOperation::ALL.len()];
        for copy in self.counts.all() {
            for (seen, count) in operations.iter_mut().zip(copy) {
                count.durations.add_to(&mut seen.durations);
                seen.bytes += count.bytes.load(Ordering::Relaxed);
                seen.errors += count.errors.load(Ordering::Relaxed);
            }
        }
        let changed = operations[DiskOperation::Write as usize].bytes
            + operations[DiskOperation::Discard as usize].bytes;
        DiskActivity { operations, unflushed_bytes: changed.saturating_sub(flushed) }
    }

    pub(super) fn snapshot(&self) -> Counters {
        let activity = self.activity();
        let count = |operation| activity.of(operation).durations.count();
        let bytes = |operation| activity.of(operation).bytes;
        Counters {
            reads: count(DiskOperation::Read),
            read_bytes: bytes(DiskOperation::Read),
            writes: count(DiskOperation::Write),
            written_bytes: bytes(DiskOperation::Write),
            discards: count(DiskOperation::Discard),
            discarded_bytes: bytes(DiskOperation::Discard),
            flushes: count(DiskOperation::Flush),
            errors: DiskOperation::ALL.iter().map(|operation| activity.of(*operation).errors).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn operations_are_counted_with_their_bytes_errors_and_durations() {
        let (tally, begun) = (Tally::new(), Instant::now());
        tally.read(begun, &Ok(100));
        tally.read(begun, &Ok(1));
        tally.written(begun, &Ok(4096));
        tally.written(begun, &Err(Error::new(ErrorKind::NoSpace, "full")));
        tally.discarded(begun, &Ok(8192));
        let activity = tally.activity();
        let read = activity.of(DiskOperation::Read);
        assert_eq!((read.durations.count(), read.bytes, read.errors), (2, 101, 0));
        let write = activity.of(DiskOperation::Write);
        assert_eq!((write.durations.count(), write.bytes, write.errors), (1, 4096, 1));
        assert!(write.durations.nanos > 0);
        let counters = tally.snapshot();
        assert_eq!((counters.reads, counters.discarded_bytes, counters.errors), (2, 8192, 1));
    }

    /// Dashboards ask for them.
    #[test]
    fn operations_keep_their_names() {
        let names = DiskOperation::ALL.map(DiskOperation::name);
        assert_eq!(names, ["read", "write", "discard", "flush"]);
    }

    #[test]
    fn a_flush_covers_what_was_changed_before_it_began_and_a_failed_one_nothing() {
        let (tally, begun) = (Tally::new(), Instant::now());
        tally.written(begun, &Ok(1000));
        let before = tally.changed_bytes();
        tally.discarded(begun, &Ok(24));
        assert_eq!(tally.activity().unflushed_bytes, 1024);
        tally.flushed(begun, before, &Err(Error::new(ErrorKind::Io, "broken")));
        assert_eq!(tally.activity().unflushed_bytes, 1024);
        tally.flushed(begun, before, &Ok(()));
        assert_eq!(tally.activity().unflushed_bytes, 24);
        tally.flushed(begun, tally.changed_bytes(), &Ok(()));
        assert_eq!(tally.activity().unflushed_bytes, 0);
    }
}
