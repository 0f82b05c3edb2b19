//! The memory that sectors pass through, one buffer a thread.

use super::span::MAX_REQUEST;
use crate::sys::AlignedBuffer;
use crate::units::SectorSize;
use std::cell::Cell;

/// A multiple of every sector size, so that a backing may do direct I/O from the buffer.
const ALIGNMENT: usize = 4096;

/// The covering sectors of the longest request, which may start and end inside a sector.
const CAPACITY: usize = MAX_REQUEST + 2 * SectorSize::S4096.bytes();

thread_local! {
    // Empty until the first request of the thread, and while a buffer is taken.
    static SPARE: Cell<Option<AlignedBuffer>> = const { Cell::new(None) };
}

/// A buffer for one request; it goes back to its thread when dropped.
///
/// A request made while another of the same thread holds the buffer (a copy from disk to disk) gets
/// a new one. What was read stays in the buffer until the next request overwrites it: it is no key
/// material, and the process is not dumped.
pub(super) struct ThreadBuffer {
    memory: AlignedBuffer,
}

impl ThreadBuffer {
    pub(super) fn take() -> Self {
        let memory = SPARE.take().unwrap_or_else(|| AlignedBuffer::new(CAPACITY, ALIGNMENT));
        ThreadBuffer { memory }
    }

    /// The first `len` bytes; `len` is at most the covering length of MAX_REQUEST bytes.
    pub(super) fn bytes(&mut self, len: usize) -> &mut [u8] {
        self.memory.bytes(len)
    }
}

impl Drop for ThreadBuffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        // Fails only while the thread ends, when nobody needs the buffer any more.
        let _ = SPARE.try_with(|spare| spare.set(Some(memory)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_reused_and_may_be_nested() {
        let mut outer = ThreadBuffer::take();
        let address = outer.bytes(CAPACITY).as_ptr();
        assert_eq!(address.addr() % ALIGNMENT, 0);
        let mut inner = ThreadBuffer::take();
        assert_ne!(inner.bytes(1).as_ptr(), address);
        drop(inner);
        drop(outer);
        assert_eq!(ThreadBuffer::take().bytes(1).as_ptr(), address);
    }
}
