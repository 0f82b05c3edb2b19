//! Reading.

use super::buffer::ThreadBuffer;
use super::open::Disk;
use super::span::{MAX_REQUEST, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};
use std::time::Instant;

impl Disk {
    /// Reads up to `len` bytes and lends them to `deliver`: fewer at the end of the disk, none past
    /// it. Nothing is copied; no guard is held while `deliver` runs, so it may use any disk.
    ///
    /// # Errors
    /// `invalid` when more than [`MAX_REQUEST`] bytes would be delivered; `io` of the backing, also
    /// when the payload was cut; `detached`.
    pub fn read_with<R>(
        &self,
        offset: ByteOffset,
        len: usize,
        deliver: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let Some(span) = self.readable(offset, len)? else {
            return Ok(deliver(&[]));
        };
        let begun = Instant::now();
        let mut buffer = ThreadBuffer::take();
        let result = must_be_one_request(span)
            .and_then(|()| self.load_through(span, &mut buffer).map(<[u8]>::len));
        self.tally.read(begun, &result);
        let len = result?;
        let plain = &buffer.bytes(span.skip() + len)[span.skip()..];
        Ok(deliver(plain))
    }

    /// Reads into `into`, as much as the disk has at `offset`, and says how much that was. Any
    /// length; each request of [`MAX_REQUEST`] bytes is read for itself.
    ///
    /// # Errors
    /// `io` of the backing; `detached`. What `into` holds then means nothing.
    pub fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<usize> {
        let Some(span) = self.readable(offset, into.len())? else {
            return Ok(0);
        };
        let begun = Instant::now();
        let result = self.fill(span, into);
        self.tally.read(begun, &result);
        result
    }

    fn readable(&self, offset: ByteOffset, len: usize) -> Result<Option<Span>> {
        let span = self.span(offset, ByteLen::new(len as u64));
        if span.is_none() {
            // Nothing to read, yet a detached disk must not look like the end of one.
            self.regions.whole()?;
        }
        Ok(span)
    }

    fn fill(&self, span: Span, into: &mut [u8]) -> Result<usize> {
        let mut buffer = ThreadBuffer::take();
        let mut rest = into;
        for chunk in span.chunks(ByteLen::new(MAX_REQUEST as u64)) {
            let (piece, after) = rest.split_at_mut(chunk.len().to_usize()?);
            if chunk.is_whole() {
                self.load(chunk, piece)?;
            } else {
                piece.copy_from_slice(self.load_through(chunk, &mut buffer)?);
            }
            rest = after;
        }
        span.len().to_usize()
    }

    /// The span's bytes, read by way of the buffer.
    fn load_through<'b>(&self, span: Span, buffer: &'b mut ThreadBuffer) -> Result<&'b [u8]> {
        let sectors = buffer.bytes(span.covering_len().to_usize()?);
        self.load(span, sectors)?;
        Ok(&sectors[span.skip()..][..span.len().to_usize()?])
    }

    /// Fills `sectors` with the span's covering sectors, opened.
    fn load(&self, span: Span, sectors: &mut [u8]) -> Result<()> {
        let first = span.first_sector();
        let live = self.regions.share(span)?;
        let sealed = live.payload.load(first, sectors)?;
        live.cipher.open(first, sealed);
        Ok(())
    }
}

fn must_be_one_request(span: Span) -> Result<()> {
    let len = span.len().get();
    match len <= MAX_REQUEST as u64 {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Invalid,
            format!("a request of {len} bytes is longer than {MAX_REQUEST}"),
        )),
    }
}
