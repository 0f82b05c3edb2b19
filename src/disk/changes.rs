//! Tracking of changes, so that the next backup copies those only.
//!
//! Tracking goes from mark to mark, and a mark is the beginning of a snapshot. Changes up to the
//! mark are *taken*: they belong to the backup that is being made of the snapshot. Later ones are
//! collected for the next backup. When the backup is complete, those taken are forgotten; when it
//! fails, they are given back, as if there had been no mark.
//!
//! Before the first mark nothing is known, and noting changes costs neither time nor memory.

use super::changed_regions::ChangedRegions;
use super::open::Disk;
use super::region_map::RegionMap;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};
use std::ops::RangeInclusive;

/// Leaves of a bank: 32 MiB, enough for a disk of 16 TiB that changes everywhere. A disk with
/// changes all over more than that is copied as if nothing were known.
const MOST_LEAVES: usize = 1 << 16;

/// The changes of one disk.
///
/// Writers mark under their guards. The marks of the current bank are Relaxed where writers are
/// concerned: banks are turned only while all guards are held, which orders it with every write.
pub(super) struct Changes {
    banks: [Bank; 2],
    // Which bank writers mark. The other holds what is taken, and is empty otherwise.
    current: AtomicUsize,
    // Held by whoever does anything but mark, and protects whether something is taken.
    turn: Mutex<bool>,
}

struct Bank {
    map: RegionMap,
    // Whether what is not in the map is unchanged.
    is_known: AtomicBool,
}

impl Disk {
    /// Goes on tracking changes where an earlier life of the disk stopped, with what its
    /// [`changed_regions`](Self::changed_regions) gave. Without this nothing is known until the
    /// first [`Snapshot`](super::Snapshot).
    ///
    /// A kept set is right for one life only. Whoever keeps it removes it durably before the disk
    /// is written to again: after a crash an old set would hide what has changed since.
    #[must_use]
    pub fn resume_tracking(mut self, changed: &ChangedRegions) -> Disk {
        self.changes = Changes::resuming(changed);
        self
    }

    /// All regions that changed since the beginning of the last snapshot that was concluded; `None`
    /// when that is not known, and then any may have. Everything acknowledged before this call is
    /// in; after [`revoke`](Self::revoke) nothing can come any more, so that is when it is complete.
    pub fn changed_regions(&self) -> Option<ChangedRegions> {
        self.changes.turn().copy_all()
    }
}

impl Changes {
    /// Nothing is known.
    pub(super) fn unknown() -> Self {
        Changes {
            banks: [Bank::new(), Bank::new()],
            current: AtomicUsize::new(0),
            turn: Mutex::new(false),
        }
    }

    /// What was tracked earlier goes on.
    pub(super) fn resuming(changed: &ChangedRegions) -> Self {
        let changes = Changes::unknown();
        let current = &changes.banks[0];
        current.is_known.store(true, Ordering::Relaxed);
        current.add(changed.map());
        changes
    }

    /// Whether marks are of any use now.
    pub(super) fn is_tracking(&self) -> bool {
        self.current().is_known.load(Ordering::Relaxed)
    }

    /// Notes that regions are about to change. The caller holds them alone.
    pub(super) fn mark(&self, regions: RangeInclusive<u64>) {
        self.current().mark(regions);
    }

    /// The right to do more than mark. Taken before any guard of regions.
    pub(super) fn turn(&self) -> Turn<'_> {
        Turn { changes: self, is_taken: self.turn.lock() }
    }

    fn current(&self) -> &Bank {
        &self.banks[self.current.load(Ordering::Relaxed)]
    }

    fn taken(&self) -> &Bank {
        &self.banks[1 - self.current.load(Ordering::Relaxed)]
    }
}

/// Whoever holds this is the only one who takes, gives back, forgets or looks.
pub(super) struct Turn<'a> {
    changes: &'a Changes,
    is_taken: MutexGuard<'a, bool>,
}

impl Turn<'_> {
    /// Takes what changed so far, in no time. The caller holds all regions of the disk, and nothing
    /// is taken yet.
    pub(super) fn take(&mut self) {
        *self.is_taken = true;
        let next = self.changes.taken();
        next.is_known.store(true, Ordering::Relaxed);
        self.changes.current.fetch_xor(1, Ordering::Relaxed);
    }

    /// A copy of what is taken; `None` when that is not known.
    pub(super) fn copy_taken(&self) -> Option<ChangedRegions> {
        self.changes.taken().copy()
    }

    /// Forgets what is taken: it is in a backup.
    pub(super) fn forget_taken(&mut self) {
        *self.is_taken = false;
        self.changes.taken().reset();
    }

    /// Gives back what is taken: it is in no backup.
    pub(super) fn give_back_taken(&mut self) {
        *self.is_taken = false;
        let (current, taken) = (self.changes.current(), self.changes.taken());
        match taken.is_known() {
            true => current.add(&taken.map),
            false => current.is_known.store(false, Ordering::Relaxed),
        }
        taken.reset();
    }

    /// A copy of all that is in no backup yet, taken or not; `None` when that is not known.
    pub(super) fn copy_all(&self) -> Option<ChangedRegions> {
        let all = self.changes.current().copy()?;
        if *self.is_taken {
            all.add(self.copy_taken()?.map());
        }
        Some(all)
    }

    /// Notes a change that is made under no guard.
    pub(super) fn mark(&self, regions: RangeInclusive<u64>) {
        self.changes.current().mark(regions);
    }
}

impl Bank {
    fn new() -> Self {
        Bank { map: RegionMap::new(MOST_LEAVES), is_known: AtomicBool::new(false) }
    }

    fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    fn copy(&self) -> Option<ChangedRegions> {
        let copy = ChangedRegions::copy_of(&self.map);
        // Asked last: a mark that found no room while this copied is missing in the copy.
        self.is_known().then_some(copy)
    }

    fn mark(&self, mut regions: RangeInclusive<u64>) {
        if self.is_known() && !regions.all(|region| self.map.mark(region)) {
            self.is_known.store(false, Ordering::Relaxed);
        }
    }

    fn add(&self, map: &RegionMap) {
        if !map.marked_leaves().all(|(index, bits)| self.map.mark_leaf(index, &bits)) {
            self.is_known.store(false, Ordering::Relaxed);
        }
    }

    fn reset(&self) {
        self.is_known.store(false, Ordering::Relaxed);
        self.map.clear();
    }
}
