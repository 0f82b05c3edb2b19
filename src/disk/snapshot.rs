//! A copy of a point in time, from its begin to its end.
//!
//! # Why it is one point
//!
//! A snapshot begins while it holds the guards of all regions at one moment. Whoever changes
//! sectors holds their guards from before the change until after it. So at that moment no change is
//! under way: each request lies wholly before it or wholly after it. A write that was acknowledged
//! before the begin is in. One that is issued after the begin has returned is not. And if a write
//! was issued after another was acknowledged, the other had given its guards back by then: if the
//! later one is in, so is the earlier one. (Writes longer than [`MAX_REQUEST`](super::MAX_REQUEST)
//! and discards longer than their hold are several requests.)
//!
//! Raising a flag without the guards would order writes as well, but a write under way could be
//! half in: where it filled a hole, the copy may have looked for data before and after it. And its
//! mark could be made among the changes taken after they were counted.
//!
//! From then on the payload goes on changing, and [`point`](super::point) keeps what was there.

use super::buffer::ThreadBuffer;
use super::changed_regions::ChangedRegions;
use super::open::Disk;
use super::payload::Payload;
use super::point::Point;
use super::region_map::REGION;
use super::sealed_source::{SealedSource, must_be_readable};
use super::span::Span;
use crate::backing::Backing;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Bytes read under one hold of the guards: little, so that writers wait for little.
const LONGEST_READ: ByteLen = ByteLen::new(4 * REGION);

/// The sealed bytes of an open disk as they were when the snapshot began, while the disk is in use.
/// No key is involved: the bytes are taken as they lie at rest.
///
/// It owns a way to its disk (`&Disk`, `Arc<Disk>`, or whatever else keeps it open), so it can move
/// to the thread of a copy. There is one at a time for each disk. Dropping it ends it, frees the
/// spill, and gives the [changes](Self::changes) back to be in the next backup; after
/// [`conclude`](Self::conclude) they are not.
///
/// Reads go forward. A position more than 8 MiB behind the furthest read may be left behind, and is
/// refused then. When the disk is revoked, reads fail with `detached`. When old sectors cannot be
/// put aside, because the spill is full or fails, reads fail from then on, and the disk goes on.
pub struct Snapshot<D: Deref<Target = Disk>> {
    disk: D,
    point: Arc<Point>,
    changes: Option<ChangedRegions>,
    is_concluded: bool,
}

/// The snapshot that a disk has at present, if any.
pub(super) struct Present {
    // What writers look at: one load when no snapshot runs. Relaxed, because it is raised while all
    // guards are held, which orders it with every writer, and too late a look after it was lowered
    // finds no point.
    is_running: AtomicBool,
    // Held shared by writers while they save, so that the end of a snapshot waits for them. Taken
    // after the guards of regions.
    point: RwLock<Option<Arc<Point>>>,
}

impl<D: Deref<Target = Disk>> Snapshot<D> {
    /// Begins a snapshot of `disk` as it is now. `spill` is a scratch backing of its own that reads
    /// as zeros and supports holes; it is grown to the disk's size and gets the old sectors of
    /// regions that are overwritten before they are read.
    ///
    /// Waits for the requests that are under way, and others wait meanwhile.
    ///
    /// # Errors
    /// `in-use` when the disk has a snapshot; `io`, `no-space` of the spill; `detached`.
    pub fn begin(disk: D, spill: Box<dyn Backing>) -> Result<Self> {
        let mut turn = disk.changes.turn();
        if disk.present.point.read().is_some() {
            let text = "a point in time of the disk is being copied already";
            return Err(Error::new(ErrorKind::InUse, text));
        }
        // The size does not change while the turn is held.
        let point = Arc::new(Point::new(spill, disk.sector_size(), disk.size())?);
        let all = disk.regions.share_all()?;
        turn.take();
        *disk.present.point.write() = Some(Arc::clone(&point));
        disk.present.is_running.store(true, Ordering::Relaxed);
        drop(all);
        let changes = turn.copy_taken();
        drop(turn);
        Ok(Snapshot { disk, point, changes, is_concluded: false })
    }

    /// The regions that changed between the snapshot before this one that was concluded and this
    /// one; `None` when that is not known, and then any may have. Parts by which the disk was
    /// extended count as changed when they were written.
    pub fn changes(&self) -> Option<&ChangedRegions> {
        self.changes.as_ref()
    }

    /// Ends a snapshot whose copy is complete and durable. The next snapshot's changes count from
    /// this one on.
    pub fn conclude(mut self) {
        self.is_concluded = true;
    }
}

impl<D: Deref<Target = Disk>> Drop for Snapshot<D> {
    fn drop(&mut self) {
        let mut turn = self.disk.changes.turn();
        match self.is_concluded {
            true => turn.forget_taken(),
            false => turn.give_back_taken(),
        }
        self.disk.present.is_running.store(false, Ordering::Relaxed);
        self.disk.present.point.write().take();
    }
}

impl<D: Deref<Target = Disk> + Send + Sync> SealedSource for Snapshot<D> {
    fn size(&self) -> ByteLen {
        self.point.size()
    }

    fn sector_size(&self) -> SectorSize {
        self.disk.sector_size()
    }

    fn next_data(&self, offset: ByteOffset) -> Result<Option<Range<ByteOffset>>> {
        let live = self.disk.regions.whole()?;
        self.point.next_data(&live.payload, offset)
    }

    fn read_sealed(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        let len = ByteLen::of(into);
        must_be_readable(self.disk.sector_size(), self.size(), offset, len)?;
        let mut rest = into;
        let span = Span::new(self.disk.sector_size(), offset, len);
        for piece in span.into_iter().flat_map(|span| span.chunks(LONGEST_READ)) {
            let (into, after) = rest.split_at_mut(piece.len().to_usize()?);
            let live = self.disk.regions.share(piece)?;
            self.point.read(&live.payload, piece.offset(), into)?;
            rest = after;
        }
        Ok(())
    }
}

impl<D: Deref<Target = Disk>> std::fmt::Debug for Snapshot<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({}, changes {:?})", self.point.size(), self.changes)
    }
}

impl Present {
    pub(super) fn none() -> Self {
        Present { is_running: AtomicBool::new(false), point: RwLock::new(None) }
    }

    pub(super) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Relaxed)
    }

    /// Saves for the present snapshot, if any, what a change of the range would destroy. The caller
    /// holds the range's regions alone.
    pub(super) fn save(
        &self,
        payload: &Payload,
        range: Range<ByteOffset>,
        buffer: &mut ThreadBuffer,
    ) {
        if let Some(point) = &*self.point.read() {
            point.save(payload, range, buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::{Access, MemoryBacking};
    use crate::crypto::SectorCipher;

    /// A change under way is in, wholly: nobody looks at the disk before it is done, and its mark
    /// is among those taken.
    #[test]
    fn a_snapshot_begins_when_no_change_is_under_way() {
        let size = ByteLen::MIB;
        let memory = || Box::new(MemoryBacking::new(size));
        let cipher = SectorCipher::null(SectorSize::S512);
        let disk = Disk::open(memory(), cipher, size, Access::ReadWrite).unwrap();
        let disk = disk.resume_tracking(&ChangedRegions::none());
        let offset = ByteOffset::new(5 * REGION);
        let span = Span::new(SectorSize::S512, offset, ByteLen::new(2 * REGION)).unwrap();
        let mut buffer = ThreadBuffer::take();
        let live = disk.begin_overwrite(span, &mut buffer).unwrap();
        std::thread::scope(|scope| {
            let beginner = scope.spawn(|| Snapshot::begin(&disk, memory()).unwrap());
            (0..2000).for_each(|_| std::thread::yield_now());
            assert!(!beginner.is_finished(), "begun in the middle of a write");
            let (first, bytes) = (span.first_sector(), [7; 2 * REGION as usize]);
            let sealed = live.cipher.seal_from(first, &bytes, buffer.bytes(bytes.len()));
            live.payload.store(first, &sealed).unwrap();
            drop(live);
            let snapshot = beginner.join().unwrap();
            let mut found = [0; 2 * REGION as usize];
            snapshot.read_sealed(offset, &mut found).unwrap();
            assert!(found == bytes);
            assert_eq!(snapshot.next_data(ByteOffset::ZERO).unwrap(), Some(span.range()));
            assert_eq!(snapshot.changes().unwrap().total(), span.len());
        });
    }
}
