//! A medium that does one thing at a time, slowly.

use evsfs::backing::{Backing, MemoryBacking};
use evsfs::error::Result;
use evsfs::units::{ByteLen, ByteOffset};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes moved before others get a turn: neither a divisor of a sector nor of a cipher block.
const STRIDE: usize = 777;

/// Memory that moves a few bytes at a time and lets others in between, as page caches may.
pub struct TearingBacking {
    memory: MemoryBacking,
    hole_seeks: AtomicU64,
}

impl TearingBacking {
    pub fn new(len: ByteLen) -> Self {
        TearingBacking { memory: MemoryBacking::new(len), hole_seeks: AtomicU64::new(0) }
    }

    /// How often somebody asked where data ends.
    pub fn hole_seeks(&self) -> u64 {
        self.hole_seeks.load(Ordering::Relaxed)
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
        strides(offset)
            .zip(into.chunks_mut(STRIDE))
            .try_for_each(|(at, b)| self.memory.read_at(at, b))
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        strides(offset)
            .zip(bytes.chunks(STRIDE))
            .try_for_each(|(at, b)| self.memory.write_at(at, b))
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        let (first, second) = (len.get() / 2, len.get().div_ceil(2));
        self.memory.discard(offset, ByteLen::new(first))?;
        std::thread::yield_now();
        self.memory.discard(ByteOffset::new(offset.get() + first), ByteLen::new(second))
    }

    fn len(&self) -> ByteLen {
        self.memory.len()
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.memory.seek_data(offset)
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.hole_seeks.fetch_add(1, Ordering::Relaxed);
        self.memory.seek_hole(offset)
    }

    fn flush(&self) -> Result<()> {
        self.memory.flush()
    }

    fn set_len(&self, len: ByteLen) -> Result<()> {
        self.memory.set_len(len)
    }

    fn allocated(&self) -> Result<ByteLen> {
        self.memory.allocated()
    }
}
