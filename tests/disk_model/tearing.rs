//! A medium that does one thing at a time, slowly.

use evsfs::backing::{Backing, MemoryBacking};
use evsfs::error::Result;
use evsfs::units::{ByteLen, ByteOffset};

/// Bytes moved before others get a turn: neither a divisor of a sector nor of a cipher block.
const STRIDE: usize = 777;

/// Memory that moves a few bytes at a time and lets others in between, as page caches may.
pub struct TearingBacking(MemoryBacking);

impl TearingBacking {
    pub fn new(len: ByteLen) -> Self {
        TearingBacking(MemoryBacking::new(len))
    }
}

fn strides(offset: ByteOffset) -> impl Iterator<Item = ByteOffset> {
    (offset.get()..).step_by(STRIDE).map(|at| {
        std::thread::yield_now();
        ByteOffset::new(at)
    })
}

impl Backing for TearingBacking {
    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        strides(offset).zip(into.chunks_mut(STRIDE)).try_for_each(|(at, b)| self.0.read_at(at, b))
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        strides(offset).zip(bytes.chunks(STRIDE)).try_for_each(|(at, b)| self.0.write_at(at, b))
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        let (first, second) = (len.get() / 2, len.get().div_ceil(2));
        self.0.discard(offset, ByteLen::new(first))?;
        std::thread::yield_now();
        self.0.discard(ByteOffset::new(offset.get() + first), ByteLen::new(second))
    }

    fn len(&self) -> ByteLen {
        self.0.len()
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.0.seek_data(offset)
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.0.seek_hole(offset)
    }

    fn flush(&self) -> Result<()> {
        self.0.flush()
    }

    fn set_len(&self, len: ByteLen) -> Result<()> {
        self.0.set_len(len)
    }

    fn allocated(&self) -> Result<ByteLen> {
        self.0.allocated()
    }
}
