//! A payload that begins inside a file or device.

use super::contract::{Backing, ReadableFile, ends_early};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};

/// What lies behind an offset of another backing. What lies before it is neither read nor changed.
pub struct OffsetBacking<B> {
    whole: B,
    start: ByteLen,
}

impl<B: Backing> OffsetBacking<B> {
    /// The part of `whole` that begins at `start`.
    ///
    /// # Errors
    /// `integrity` when `whole` ends before that.
    pub fn new(whole: B, start: ByteLen) -> Result<Self> {
        let len = whole.len();
        if len < start {
            let text = format!("the payload ends at {len}, before its data at {start}: it was cut");
            return Err(Error::new(ErrorKind::Integrity, text));
        }
        Ok(OffsetBacking { whole, start })
    }

    /// Where in the whole a position lies.
    fn at(&self, offset: ByteOffset) -> Result<ByteOffset> {
        offset.checked_add(self.start).ok_or_else(|| {
            let at = offset.get();
            Error::new(ErrorKind::OutOfRange, format!("offset {at} lies past 2^64 bytes"))
        })
    }

    /// Where in this part a position of the whole lies that does not lie before it.
    fn within(&self, whole: ByteOffset) -> ByteOffset {
        ByteOffset::new(whole.get() - self.start.get())
    }
}

impl<B: Backing> Backing for OffsetBacking<B> {
    fn len(&self) -> ByteLen {
        ByteLen::new(self.whole.len().get() - self.start.get())
    }

    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        let at = self.at(offset).map_err(|_| ends_early(offset, into.len()))?;
        self.whole.read_at(at, into)
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        self.whole.write_at(self.at(offset)?, bytes)
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        self.whole.discard(self.at(offset)?, len)
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        let Ok(at) = self.at(offset) else { return Ok(None) };
        Ok(self.whole.seek_data(at)?.map(|found| self.within(found)))
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        let Ok(at) = self.at(offset) else { return Ok(None) };
        Ok(self.whole.seek_hole(at)?.map(|found| self.within(found)))
    }

    fn flush(&self) -> Result<()> {
        self.whole.flush()
    }

    fn set_len(&self, len: ByteLen) -> Result<()> {
        let whole = self.start.checked_add(len).ok_or_else(|| {
            Error::new(ErrorKind::OutOfRange, format!("a payload of {len} ends past 2^64 bytes"))
        })?;
        self.whole.set_len(whole)
    }

    /// With what lies before the payload, which is little.
    fn allocated(&self) -> Result<ByteLen> {
        self.whole.allocated()
    }

    /// None: a file has more bytes than the payload.
    fn readable_file(&self) -> Result<Option<ReadableFile>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::{MemoryBacking, conformance};
    use std::sync::Arc;

    #[test]
    fn it_keeps_the_promises_of_a_backing() {
        let start = ByteLen::new(8192);
        let whole = MemoryBacking::new(conformance::LEN.checked_add(start).unwrap());
        conformance::check(&OffsetBacking::new(whole, start).unwrap());
    }

    #[test]
    fn what_lies_before_it_is_left_alone() {
        let whole = Arc::new(MemoryBacking::new(ByteLen::new(12 << 10)));
        whole.write_at(ByteOffset::ZERO, &[7; 12 << 10]).unwrap();
        let part = OffsetBacking::new(whole.clone(), ByteLen::new(4096)).unwrap();
        part.write_at(ByteOffset::ZERO, &[9; 10]).unwrap();
        part.discard(ByteOffset::new(4096), ByteLen::new(4096)).unwrap();
        let mut bytes = vec![0; 12 << 10];
        whole.read_at(ByteOffset::ZERO, &mut bytes).unwrap();
        assert_eq!(bytes[..4096], [7; 4096]);
        assert_eq!(bytes[4096..4106], [9; 10]);
        assert_eq!(bytes[8192..], [0; 4096]);
        assert!(OffsetBacking::new(whole, ByteLen::new(13 << 10)).is_err());
    }
}
