//! A payload in memory whose reads and writes take their time: others run between any two parts.

use evsfs::backing::{Backing, MemoryBacking};
use evsfs::error::Result;
use evsfs::sync::atomic::{AtomicBool, Ordering};
use evsfs::sync::{Mutex, thread};
use evsfs::units::{ByteLen, ByteOffset};

/// Parts of one access: half a sector, so that none is whole by itself.
const PART: usize = 256;

pub struct TornBacking {
    written: MemoryBacking,
    durable: Mutex<MemoryBacking>,
    is_flushing: AtomicBool,
}

impl TornBacking {
    pub fn new(len: u64) -> TornBacking {
        let len = ByteLen::new(len);
        TornBacking {
            written: MemoryBacking::new(len),
            durable: Mutex::new(MemoryBacking::new(len)),
            is_flushing: AtomicBool::new(false),
        }
    }

    /// All bytes, as they lie at rest now.
    pub fn bytes(&self) -> Vec<u8> {
        bytes_of(&self.written)
    }

    /// What would be left after a loss of power.
    pub fn durable_bytes(&self) -> Vec<u8> {
        bytes_of(&*self.durable.lock())
    }
}

pub fn bytes_of(payload: &dyn Backing) -> Vec<u8> {
    let mut bytes = vec![0; payload.len().to_usize().unwrap()];
    payload.read_at(ByteOffset::ZERO, &mut bytes).unwrap();
    bytes
}

fn parts(
    offset: ByteOffset,
    len: usize,
) -> impl Iterator<Item = (ByteOffset, std::ops::Range<usize>)> {
    (0..len).step_by(PART).map(move |at| {
        thread::yield_now();
        (ByteOffset::new(offset.get() + at as u64), at..len.min(at + PART))
    })
}

impl Backing for TornBacking {
    fn len(&self) -> ByteLen {
        self.written.len()
    }

    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        let len = into.len();
        parts(offset, len).try_for_each(|(at, part)| self.written.read_at(at, &mut into[part]))
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        parts(offset, bytes.len())
            .try_for_each(|(at, part)| self.written.write_at(at, &bytes[part]))
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        let len = len.to_usize().unwrap();
        parts(offset, len)
            .try_for_each(|(at, part)| self.written.discard(at, ByteLen::new(part.len() as u64)))
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.written.seek_data(offset)
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.written.seek_hole(offset)
    }

    fn flush(&self) -> Result<()> {
        assert!(!self.is_flushing.swap(true, Ordering::SeqCst), "flushes are shared, not doubled");
        // It need not take along what is written from now on.
        let image = self.written.duplicate();
        thread::yield_now();
        *self.durable.lock() = image;
        self.is_flushing.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn set_len(&self, len: ByteLen) -> Result<()> {
        self.written.set_len(len)
    }

    fn allocated(&self) -> Result<ByteLen> {
        self.written.allocated()
    }
}
