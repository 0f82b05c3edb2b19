//! A point in time of a disk that goes on changing: what was there is kept until it has been read.
//!
//! Every region of the disk is in one of three states:
//!
//! ```text
//!              a writer comes: its old sectors go to the spill
//!   untouched ------------------------------------------------> saved
//!       |                                                         |
//!       '---------------> left behind by the cursor <-------------'
//! ```
//!
//! *Untouched*: the payload still holds what was there. *Saved*: the spill holds it. *Left behind*:
//! the reader is done with it, and writers do as they like. Writers save under the exclusive guard
//! of the region before they change it; the reader looks at state, payload and spill, and moves the
//! cursor, under the shared one. So nobody ever sees a region between two states.

use super::buffer::ThreadBuffer;
use super::payload::Payload;
use super::region_map::{MOST_BYTES, MOST_LEAVES, REGION, RegionMap};
use super::sealed_source::must_be_readable;
use crate::backing::Backing;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;

/// How far the cursor stays behind the furthest read, so that a few readers may work on
/// neighbouring pieces and a piece may be read again.
const LAG: u64 = 8 << 20;

/// The state shared by writers and the reader.
pub(super) struct Point {
    size: ByteLen,
    sector: SectorSize,
    spill: Payload,
    saved: RegionMap,
    // Everything before it is left behind. Only grows, in steps of regions. A writer that sees it
    // past its region (Acquire) comes after the read that moved it there (AcqRel).
    cursor: AtomicU64,
    // Tells writers that saving is of no use any more. A writer that sees it (Acquire) comes after
    // the failure was written down (Release), so whoever reads what that writer left finds it.
    has_failed: AtomicBool,
    // Why the point is lost. The first one to ask gets the cause, the others its kind.
    failure: Mutex<Option<(ErrorKind, Option<Error>)>>,
}

impl Point {
    /// A point of a disk of `size` bytes whose old sectors go to `spill`, which reads as zeros.
    ///
    /// # Errors
    /// `out-of-range` for a disk of more than 64 TiB; `io`, `no-space` of the spill.
    pub(super) fn new(spill: Box<dyn Backing>, sector: SectorSize, size: ByteLen) -> Result<Self> {
        if size > MOST_BYTES {
            let text = format!("a disk of {size} is larger than {MOST_BYTES}");
            return Err(Error::new(ErrorKind::OutOfRange, text));
        }
        if spill.len() < size {
            spill.set_len(size)?;
        }
        Ok(Point {
            size,
            sector,
            spill: Payload::new(spill, sector, size)?,
            saved: RegionMap::new(MOST_LEAVES),
            cursor: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        })
    }

    /// The size of the disk at that time.
    pub(super) fn size(&self) -> ByteLen {
        self.size
    }

    /// Saves what a change of this range, whose regions the caller holds alone, would destroy. A
    /// failure is the point's, not the writer's.
    pub(super) fn save(
        &self,
        payload: &Payload,
        range: Range<ByteOffset>,
        buffer: &mut ThreadBuffer,
    ) {
        let end = range.end.min(self.size.end());
        let first = range.start.get().max(self.cursor.load(Ordering::Acquire)) / REGION;
        for region in first..end.get().div_ceil(REGION) {
            if self.has_failed.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = self.save_region(payload, region, buffer) {
                self.fail(error);
            }
        }
    }

    fn save_region(&self, payload: &Payload, region: u64, buffer: &mut ThreadBuffer) -> Result<()> {
        if self.saved.is_marked(region) {
            return Ok(());
        }
        let bytes = self.bytes_of(region);
        // What was never written is not written to the spill either.
        if payload.seek_data(bytes.start)?.is_some_and(|data| data < bytes.end) {
            let len = bytes.end.get() - bytes.start.get();
            let first = self.sector.sector_at(bytes.start);
            let sectors = payload.load(first, buffer.bytes(ByteLen::new(len).to_usize()?))?;
            if sectors.as_sealed().iter().any(|byte| *byte != 0) {
                self.spill.store(first, &sectors)?;
            }
        }
        assert!(self.saved.mark(region), "the map reaches to the end of the largest disk");
        Ok(())
    }

    /// The next possibly written range from `offset` on, as
    /// [`SealedSource::next_data`](super::SealedSource::next_data).
    pub(super) fn next_data(
        &self,
        payload: &Payload,
        offset: ByteOffset,
    ) -> Result<Option<Range<ByteOffset>>> {
        self.must_be_ahead(offset)?;
        let end = self.size.end();
        // The payload first. Whatever is discarded after this look was saved before it was
        // discarded, so the second look finds it.
        let untouched = payload.next_data(offset, end)?;
        let saved = self.next_saved(offset);
        self.must_be_intact()?;
        Ok(match (untouched, saved) {
            (Some(untouched), Some(saved)) if saved.start < untouched.start => Some(saved),
            (Some(untouched), _) => Some(untouched),
            (None, saved) => saved,
        })
    }

    fn next_saved(&self, offset: ByteOffset) -> Option<Range<ByteOffset>> {
        let first = self.saved.next_marked(offset.get() / REGION)?;
        let past = self.saved.next_unmarked(first);
        let start = offset.max(self.bytes_of(first).start);
        let end = self.bytes_of(past - 1).end;
        (start < end).then_some(start..end)
    }

    /// Reads a piece, whose regions the caller shares, and moves the cursor.
    pub(super) fn read(
        &self,
        payload: &Payload,
        offset: ByteOffset,
        into: &mut [u8],
    ) -> Result<()> {
        must_be_readable(self.sector, self.size, offset, ByteLen::of(into))?;
        self.must_be_ahead(offset)?;
        let mut rest = into;
        let mut at = offset.get();
        while !rest.is_empty() {
            let len = self.run_at(at, ByteLen::of(rest)).to_usize()?;
            let (piece, after) = rest.split_at_mut(len);
            let from = if self.is_saved(at) { &self.spill } else { payload };
            from.load(self.sector.sector_at(ByteOffset::new(at)), piece)?;
            at += len as u64;
            rest = after;
        }
        // Asked before the cursor moves and after the bytes are there: a region whose saving failed
        // may have changed under no guard of ours since.
        self.must_be_intact()?;
        let cursor = at.saturating_sub(LAG) / REGION * REGION;
        self.cursor.fetch_max(cursor, Ordering::AcqRel);
        Ok(())
    }

    /// How many of `most` bytes lie in regions of the same state as the one `at` lies in.
    fn run_at(&self, at: u64, most: ByteLen) -> ByteLen {
        let is_saved = self.is_saved(at);
        let end = at + most.get();
        let starts = (at / REGION + 1..).map(|region| region * REGION);
        let mut others = starts.take_while(|start| *start < end);
        let past = others.find(|start| self.is_saved(*start) != is_saved).unwrap_or(end);
        ByteLen::new(past - at)
    }

    fn is_saved(&self, at: u64) -> bool {
        self.saved.is_marked(at / REGION)
    }

    fn must_be_ahead(&self, offset: ByteOffset) -> Result<()> {
        let (at, cursor) = (offset.get(), self.cursor.load(Ordering::Acquire));
        match at >= cursor {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Invalid,
                format!("the copy has left offset {at} behind: it goes on from {cursor}"),
            )),
        }
    }

    fn must_be_intact(&self) -> Result<()> {
        let mut failure = self.failure.lock();
        let Some((kind, cause)) = failure.as_mut() else {
            return Ok(());
        };
        let text = "the copy of a point in time was given up: old sectors could not be put aside";
        let error = Error::new(*kind, text);
        Err(match cause.take() {
            Some(cause) => error.caused_by(cause),
            None => error,
        })
    }

    fn fail(&self, error: Error) {
        self.failure.lock().get_or_insert((error.kind(), Some(error)));
        self.has_failed.store(true, Ordering::Release);
    }

    /// The bytes of a region that were on the disk.
    fn bytes_of(&self, region: u64) -> Range<ByteOffset> {
        let clip = |region: u64| self.size.end().min(ByteOffset::new(region * REGION));
        clip(region)..clip(region + 1)
    }
}
