//! Discarding and zeroing.

use super::buffer::ThreadBuffer;
use super::open::Disk;
use super::span::{Piece, Span};
use super::write::NeverWritten;
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};
use std::time::Instant;

/// Bytes discarded under one hold of the guards: enough that trimming a large disk is few calls,
/// little enough that others get their turn.
const LONGEST_HOLD: ByteLen = ByteLen::new(1 << 30);

/// The same where data has to be saved first.
const SHORT_HOLD: ByteLen = ByteLen::MIB;

impl Disk {
    /// Makes the part of the range that lies on the disk read as zeros and gives the space of whole
    /// sectors back (RULES D10): PUNCH_HOLE, TRIM.
    ///
    /// # Errors
    /// `protected` when opened read only; `io`, `no-space` of the backing, and then any part may
    /// have been zeroed; `detached`.
    pub fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        let begun = Instant::now();
        let result = self.discard_clamped(offset, len);
        self.tally.discarded(begun, &result);
        result.map(|_| ())
    }

    /// ZERO_RANGE. The same as [`discard`](Self::discard): zeros at rest are what was never
    /// written, so there is no such thing as an allocated zero.
    ///
    /// # Errors
    /// As [`discard`](Self::discard).
    pub fn zero_range(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        self.discard(offset, len)
    }

    /// Plain fallocate(2): accepted inside the disk, where every byte can be written already.
    ///
    /// # Errors
    /// `no-space` when the range reaches past the end; `protected`, `detached`.
    pub fn allocate(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        self.must_be_writable()?;
        self.regions.whole()?;
        if offset.checked_add(len).is_some_and(|end| end <= self.size().end()) {
            return Ok(());
        }
        let (len, at, size) = (len.get(), offset.get(), self.size());
        let text = format!("{len} bytes at offset {at} reach past the end of a disk of {size}");
        Err(Error::new(ErrorKind::NoSpace, text))
    }

    fn discard_clamped(&self, offset: ByteOffset, len: ByteLen) -> Result<u64> {
        self.must_be_writable()?;
        let Some(span) = self.span(offset, len) else {
            self.regions.whole()?;
            return Ok(0);
        };
        let mut rest = Some(span);
        while let Some(span) = rest {
            let (chunk, after) = span.split_first(self.hold_at(span)?);
            self.discard_chunk(chunk)?;
            rest = after;
        }
        Ok(span.len().get())
    }

    /// How much of the span to discard under one hold: little where a copy of a point in time may
    /// have to save data first, for that takes as long as writing it.
    fn hold_at(&self, span: Span) -> Result<ByteLen> {
        if !self.present.is_running() {
            return Ok(LONGEST_HOLD);
        }
        let data = self.regions.whole()?.payload.seek_data(span.offset())?;
        let hole = data.and_then(|data| data.checked_since(span.offset()));
        Ok(hole.map_or(LONGEST_HOLD, |hole| hole.clamp(SHORT_HOLD, LONGEST_HOLD)))
    }

    fn discard_chunk(&self, span: Span) -> Result<()> {
        let mut buffer = ThreadBuffer::take();
        let live = self.begin_discard(span, &mut buffer)?;
        for piece in span.pieces() {
            match piece {
                Piece::Whole { first, len } => live.payload.discard(first, len)?,
                Piece::Partial { sector, within } => {
                    let zero = |place: &mut [u8]| place.fill(0);
                    live.patch(sector, within, NeverWritten::Leave, zero, &mut buffer)?;
                }
            }
        }
        Ok(())
    }
}
