//! Direct I/O: whole blocks of the medium, from memory that is aligned to them.
//!
//! Requests that are aligned go straight to the medium. Others pass a buffer of the thread's own:
//! what is read is cropped, and what is written is patched into the blocks it lies in.

use super::descriptor::Descriptor;
use crate::error::Result;
use crate::sync::Mutex;
use crate::sys::AlignedBuffer;
use crate::units::ByteOffset;
use std::cell::Cell;

/// Blocks larger than this are not served directly; no common medium has them.
pub(super) const LARGEST_BLOCK: usize = 64 * 1024;

/// Bytes that pass the buffer in one piece.
const WINDOW: usize = 256 * 1024;

thread_local! {
    // Empty until the first unaligned request of the thread, and while the buffer is taken.
    static SPARE: Cell<Option<AlignedBuffer>> = const { Cell::new(None) };
}

/// The blocks of a medium.
pub(super) struct Blocks {
    // A power of two, at most LARGEST_BLOCK; the alignment of memory, too.
    size: usize,
    // Held while a block is changed in part. Who changes the whole of a block changes the same bytes
    // and is kept away by whoever calls; see the contract.
    edges: Mutex<()>,
}

impl Blocks {
    pub(super) fn of(size: usize) -> Self {
        Blocks { size, edges: Mutex::new(()) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether the medium takes this request as it is.
    pub(super) fn suit(&self, offset: ByteOffset, bytes: &[u8]) -> bool {
        self.is_whole(offset.get(), bytes.len()) && bytes.as_ptr().addr().is_multiple_of(self.size)
    }

    /// Runs what changes a range, alone if a block belongs to it in part only.
    pub(super) fn guarding_edges<T>(
        &self,
        offset: ByteOffset,
        len: usize,
        work: impl FnOnce() -> T,
    ) -> T {
        let _edges = (!self.is_whole(offset.get(), len)).then(|| self.edges.lock());
        work()
    }

    /// Reads any range.
    pub(super) fn read(
        &self,
        medium: &Descriptor,
        offset: ByteOffset,
        into: &mut [u8],
    ) -> Result<()> {
        let mut window = Window::take();
        let (mut at, mut rest) = (offset.get(), into);
        while !rest.is_empty() {
            let piece = self.piece(at, rest.len());
            let blocks = window.bytes(piece.blocks);
            medium.read_blocks(ByteOffset::new(at - piece.skip as u64), blocks)?;
            let (taken, after) = rest.split_at_mut(piece.len);
            taken.copy_from_slice(&blocks[piece.skip..][..piece.len]);
            at += piece.len as u64;
            rest = after;
        }
        Ok(())
    }

    /// Writes any range that lies inside the medium.
    pub(super) fn write(
        &self,
        medium: &Descriptor,
        offset: ByteOffset,
        bytes: &[u8],
    ) -> Result<()> {
        self.guarding_edges(offset, bytes.len(), || {
            let mut window = Window::take();
            let (mut at, mut rest) = (offset.get(), bytes);
            while !rest.is_empty() {
                let piece = self.piece(at, rest.len());
                let start = at - piece.skip as u64;
                let blocks = window.bytes(piece.blocks);
                for edge in piece.edges(self.size) {
                    let edge_at = ByteOffset::new(start + edge as u64);
                    medium.read_blocks(edge_at, &mut blocks[edge..edge + self.size])?;
                }
                let (given, after) = rest.split_at(piece.len);
                blocks[piece.skip..][..piece.len].copy_from_slice(given);
                medium.write_blocks(ByteOffset::new(start), blocks)?;
                at += piece.len as u64;
                rest = after;
            }
            Ok(())
        })
    }

    fn is_whole(&self, at: u64, len: usize) -> bool {
        at.is_multiple_of(self.size as u64) && len.is_multiple_of(self.size)
    }

    /// The beginning of a range that fits the window.
    fn piece(&self, at: u64, len: usize) -> Piece {
        // Less than a block.
        let skip = (at % self.size as u64) as usize;
        let len = len.min(WINDOW - skip);
        Piece { skip, len, blocks: (skip + len).next_multiple_of(self.size) }
    }
}

/// A part of a range, and the blocks that hold it.
struct Piece {
    // Bytes of the first block before the range.
    skip: usize,
    len: usize,
    // Bytes of all blocks.
    blocks: usize,
}

impl Piece {
    /// Where the blocks start that belong to it in part.
    fn edges(&self, size: usize) -> impl Iterator<Item = usize> + use<> {
        let last = self.blocks - size;
        let has_head = self.skip > 0 || self.len < size;
        let has_tail = self.skip + self.len < self.blocks && !(has_head && last == 0);
        has_head.then_some(0).into_iter().chain(has_tail.then_some(last))
    }
}

/// The thread's buffer; it goes back when dropped.
struct Window {
    memory: AlignedBuffer,
}

impl Window {
    fn take() -> Self {
        let memory = SPARE.take().unwrap_or_else(|| AlignedBuffer::new(WINDOW, LARGEST_BLOCK));
        Window { memory }
    }

    fn bytes(&mut self, len: usize) -> &mut [u8] {
        self.memory.bytes(len)
    }
}

impl Drop for Window {
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
    fn pieces_name_their_edges_once() {
        let blocks = Blocks::of(4096);
        let edges =
            |at: u64, len: usize| -> Vec<usize> { blocks.piece(at, len).edges(4096).collect() };
        assert!(edges(0, 4096).is_empty());
        assert!(edges(0, 8192).is_empty());
        assert_eq!(edges(512, 512), [0]);
        assert_eq!(edges(0, 512), [0]);
        assert_eq!(edges(3584, 1024), [0, 4096]);
        assert_eq!(edges(4096, 5000), [4096]);
        assert_eq!(edges(100, 8092), [0]);
        assert_eq!(blocks.piece(100, 1 << 20).len, WINDOW - 100);
    }
}
