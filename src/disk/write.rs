//! Writing.

use super::buffer::ThreadBuffer;
use super::open::{Disk, Live};
use super::span::{MAX_REQUEST, Piece, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset, SectorIndex};
use std::ops::Range;
use std::time::Instant;

/// Whether a sector that was never written has to be patched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NeverWritten {
    /// Patch it: the patch is data.
    Patch,
    /// Leave it: the patch is zeros, which it has already.
    Leave,
}

impl Disk {
    /// Writes `data` at `offset`, any offset and any length, and says how much of it lies on the
    /// disk: less than all when the range straddles the disk's end. Each request of
    /// [`MAX_REQUEST`] bytes is written for itself.
    ///
    /// # Errors
    /// `no-space` when the range starts at or past the disk's end; `protected` when opened read
    /// only; `io`, `no-space` of the backing, and then any part may have been written; `detached`.
    pub fn write_at(&self, offset: ByteOffset, data: &[u8]) -> Result<usize> {
        let begun = Instant::now();
        let result = self.write_clamped(offset, data);
        self.tally.written(begun, &result);
        result
    }

    fn write_clamped(&self, offset: ByteOffset, data: &[u8]) -> Result<usize> {
        self.must_be_writable()?;
        let Some(span) = self.span(offset, ByteLen::of(data)) else {
            return self.write_nothing(offset, data);
        };
        let mut buffer = ThreadBuffer::take();
        let mut rest = data;
        for chunk in span.chunks(ByteLen::new(MAX_REQUEST as u64)) {
            let (piece, after) = rest.split_at(chunk.len().to_usize()?);
            self.write_chunk(chunk, piece, &mut buffer)?;
            rest = after;
        }
        span.len().to_usize()
    }

    fn write_nothing(&self, offset: ByteOffset, data: &[u8]) -> Result<usize> {
        self.regions.whole()?;
        if data.is_empty() {
            return Ok(0);
        }
        let (at, size) = (offset.get(), self.size());
        let text = format!("offset {at} lies past the end of a disk of {size}");
        Err(Error::new(ErrorKind::NoSpace, text))
    }

    fn write_chunk(&self, span: Span, data: &[u8], buffer: &mut ThreadBuffer) -> Result<()> {
        let live = self.begin_overwrite(span, buffer)?;
        let mut rest = data;
        for piece in span.pieces() {
            let (bytes, after) = rest.split_at(piece.len().to_usize()?);
            match piece {
                Piece::Whole { first, .. } => {
                    let sealed = live.cipher.seal_from(first, bytes, buffer.bytes(bytes.len()));
                    live.payload.store(first, &sealed)?;
                }
                Piece::Partial { sector, within } => {
                    let patch = |place: &mut [u8]| place.copy_from_slice(bytes);
                    live.patch(sector, within, NeverWritten::Patch, patch, buffer)?;
                }
            }
            rest = after;
        }
        Ok(())
    }
}

impl Live {
    /// Changes some bytes of one sector. The caller holds its region alone.
    pub(super) fn patch(
        &self,
        sector: SectorIndex,
        within: Range<usize>,
        never_written: NeverWritten,
        patch: impl FnOnce(&mut [u8]),
        buffer: &mut ThreadBuffer,
    ) -> Result<()> {
        let sealed = self.payload.load(sector, buffer.bytes(self.cipher.sector_size().bytes()))?;
        if never_written == NeverWritten::Leave && sealed.as_sealed().iter().all(|byte| *byte == 0)
        {
            return Ok(());
        }
        let mut plain = self.cipher.open(sector, sealed);
        patch(&mut plain.as_plain_mut()[within]);
        let sealed = self.cipher.seal(sector, plain);
        self.payload.store(sector, &sealed)
    }
}
