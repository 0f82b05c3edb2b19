//! The promise every backing keeps.

use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};
use std::os::fd::OwnedFd;

/// What an opener may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Read, write, discard and grow.
    ReadWrite,
}

/// A payload's file, opened once more for reading.
#[derive(Debug)]
pub struct ReadableFile {
    /// An open file of its own: it holds none of the payload's locks.
    pub file: OwnedFd,
    /// What offsets, lengths and memory must be multiples of for direct I/O, if the file has any.
    pub direct_alignment: Option<usize>,
}

/// A flat run of bytes; see the module's documentation for the promises.
///
/// Offsets count from the start of the payload. Ranges that reach past [`len`](Backing::len) are
/// refused with `out-of-range` by writes and discards, and with `io` by reads. All operations may
/// be called from several threads at once; overlapping ones need a lock above.
pub trait Backing: Send + Sync {
    /// The length in bytes.
    fn len(&self) -> ByteLen;

    /// Whether there is no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == ByteLen::ZERO
    }

    /// Fills `into` with the bytes at `offset`.
    ///
    /// # Errors
    /// `io` when the medium fails or ends before `into` is full.
    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// `io` and `no-space` of the medium; any part of the range may have been written then.
    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()>;

    /// Makes the range read as zeros and gives its space back where the medium can (RULES D10).
    ///
    /// # Errors
    /// `io` and `no-space` of the medium; any part of the range may have been discarded then.
    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()>;

    /// The first position at or after `offset` that may hold data, or `None` when only a hole, or
    /// nothing, is left. A medium that cannot tell answers that everything is data.
    ///
    /// # Errors
    /// `io` of the medium.
    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>>;

    /// The first position at or after `offset` that lies in a hole; the end counts as one. `None`
    /// when `offset` lies at or past the end.
    ///
    /// # Errors
    /// `io` of the medium.
    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>>;

    /// Makes everything done before this call durable (RULES S1).
    ///
    /// # Errors
    /// `io` and `no-space` of the medium. What was not durable may be lost then, also when a later
    /// flush succeeds: the kernel reports a failed writeback once and forgets it.
    fn flush(&self) -> Result<()>;

    /// Grows to `len`; the new range reads as zeros in a file, and is whatever lies there on a
    /// device. Growing to the present length does nothing.
    ///
    /// # Errors
    /// `invalid` when `len` is shorter than now, `no-space` when the medium has no room.
    fn set_len(&self, len: ByteLen) -> Result<()>;

    /// The space really used.
    ///
    /// # Errors
    /// `io` of the medium.
    fn allocated(&self) -> Result<ByteLen>;

    /// The regular file that is exactly this payload, from its first byte to its last, for somebody
    /// else to read; `None` when there is none.
    ///
    /// # Errors
    /// `io` when it cannot be opened.
    fn readable_file(&self) -> Result<Option<ReadableFile>> {
        Ok(None)
    }
}

/// A shared backing is a backing: tests and copy engines keep a second handle to look at.
impl<B: Backing + ?Sized> Backing for std::sync::Arc<B> {
    fn len(&self) -> ByteLen {
        (**self).len()
    }

    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        (**self).read_at(offset, into)
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        (**self).write_at(offset, bytes)
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        (**self).discard(offset, len)
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        (**self).seek_data(offset)
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        (**self).seek_hole(offset)
    }

    fn flush(&self) -> Result<()> {
        (**self).flush()
    }

    fn set_len(&self, len: ByteLen) -> Result<()> {
        (**self).set_len(len)
    }

    fn allocated(&self) -> Result<ByteLen> {
        (**self).allocated()
    }

    fn readable_file(&self) -> Result<Option<ReadableFile>> {
        (**self).readable_file()
    }
}

/// The end of a range that must lie inside a payload of `total` bytes.
pub(super) fn end_within(total: ByteLen, offset: ByteOffset, len: ByteLen) -> Result<ByteOffset> {
    offset.checked_add(len).filter(|end| *end <= total.end()).ok_or_else(|| {
        let (len, at, total) = (len.get(), offset.get(), total.get());
        Error::new(
            ErrorKind::OutOfRange,
            format!("{len} bytes at offset {at} reach past the payload's end at {total}"),
        )
    })
}

/// What a read past the end of a payload gives.
pub(super) fn ends_early(offset: ByteOffset, wanted: usize) -> Error {
    let at = offset.get();
    Error::new(
        ErrorKind::Io,
        format!("the payload ends before the {wanted} bytes wanted at offset {at}"),
    )
    .caused_by(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
}

/// Refuses to shrink.
pub(super) fn must_not_shrink(from: ByteLen, to: ByteLen) -> Result<()> {
    if to >= from {
        return Ok(());
    }
    let (from, to) = (from.get(), to.get());
    Err(Error::new(ErrorKind::Invalid, format!("a payload of {from} bytes never shrinks to {to}")))
}
