//! A payload in memory.

use super::contract::{Backing, end_within, ends_early, must_not_shrink};
use crate::error::Result;
use crate::sync::RwLock;
use crate::units::{ByteLen, ByteOffset};
use std::collections::BTreeMap;

/// Bytes of a page: the grain of holes, as on most filesystems.
const PAGE: u64 = 4096;

type Page = Box<[u8; PAGE as usize]>;

/// A sparse payload in memory: holes are pages that are not there.
pub struct MemoryBacking {
    // Protects both the pages and the length.
    image: RwLock<Image>,
}

#[derive(Clone)]
struct Image {
    len: ByteLen,
    pages: BTreeMap<u64, Page>,
}

impl MemoryBacking {
    /// A payload of `len` bytes, all hole.
    pub fn new(len: ByteLen) -> Self {
        MemoryBacking { image: RwLock::new(Image { len, pages: BTreeMap::new() }) }
    }

    /// A second payload with the same content.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        MemoryBacking { image: RwLock::new(self.image.read().clone()) }
    }
}

impl Image {
    /// The pieces of a range, page by page: page number, range inside the page.
    fn pieces(offset: ByteOffset, len: u64) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
        let (mut at, end) = (offset.get(), offset.get().saturating_add(len));
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (page, within) = (at / PAGE, at % PAGE);
            let stop = (within + (end - at)).min(PAGE);
            at += stop - within;
            // Both are at most PAGE.
            Some((page, within as usize..stop as usize))
        })
    }
}

impl Backing for MemoryBacking {
    fn len(&self) -> ByteLen {
        self.image.read().len
    }

    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        let image = self.image.read();
        let len = ByteLen::of(into);
        if end_within(image.len, offset, len).is_err() {
            return Err(ends_early(offset, into.len()));
        }
        let mut rest = into;
        for (page, within) in Image::pieces(offset, len.get()) {
            let (piece, after) = rest.split_at_mut(within.len());
            match image.pages.get(&page) {
                Some(bytes) => piece.copy_from_slice(&bytes[within]),
                None => piece.fill(0),
            }
            rest = after;
        }
        Ok(())
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        let mut image = self.image.write();
        end_within(image.len, offset, ByteLen::of(bytes))?;
        let mut rest = bytes;
        for (page, within) in Image::pieces(offset, ByteLen::of(bytes).get()) {
            let (piece, after) = rest.split_at(within.len());
            let page = image.pages.entry(page).or_insert_with(|| Box::new([0; PAGE as usize]));
            page[within].copy_from_slice(piece);
            rest = after;
        }
        Ok(())
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        let mut image = self.image.write();
        let end = end_within(image.len, offset, len)?;
        // Only pages that are there: a discard of 64 TiB touches what was written, no more.
        let (first, past) = (offset.get() / PAGE, end.get().div_ceil(PAGE));
        let touched: Vec<u64> =
            image.pages.range(first..past.max(first)).map(|(n, _)| *n).collect();
        for number in touched {
            let start = number * PAGE;
            let from = offset.get().saturating_sub(start) as usize;
            let to = (end.get() - start).min(PAGE) as usize;
            if from == 0 && to == PAGE as usize {
                image.pages.remove(&number);
            } else if let Some(page) = image.pages.get_mut(&number) {
                page[from..to.max(from)].fill(0);
            }
        }
        Ok(())
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        let image = self.image.read();
        let next = image.pages.range(offset.get() / PAGE..).next();
        let found = next.map(|(number, _)| offset.max(ByteOffset::new(number * PAGE)));
        Ok(found.filter(|found| *found < image.len.end()))
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        let image = self.image.read();
        if offset >= image.len.end() {
            return Ok(None);
        }
        let mut hole = offset.get() / PAGE;
        for (number, _) in image.pages.range(hole..) {
            if *number != hole {
                break;
            }
            hole += 1;
        }
        let found = offset.max(ByteOffset::new(hole * PAGE));
        Ok(Some(found.min(image.len.end())))
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn set_len(&self, len: ByteLen) -> Result<()> {
        let mut image = self.image.write();
        must_not_shrink(image.len, len)?;
        image.len = len;
        Ok(())
    }

    fn allocated(&self) -> Result<ByteLen> {
        Ok(ByteLen::new(self.image.read().pages.len() as u64 * PAGE))
    }
}

impl std::fmt::Debug for MemoryBacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryBacking({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::conformance;

    #[test]
    fn memory_keeps_the_contract() {
        conformance::check(&MemoryBacking::new(conformance::LEN));
    }

    #[test]
    fn discarding_gives_pages_back() {
        let backing = MemoryBacking::new(ByteLen::MIB);
        backing.write_at(ByteOffset::ZERO, &[1; 3 * 4096]).unwrap();
        assert_eq!(backing.allocated().unwrap(), ByteLen::new(3 * 4096));
        backing.discard(ByteOffset::new(100), ByteLen::new(2 * 4096)).unwrap();
        assert_eq!(backing.allocated().unwrap(), ByteLen::new(2 * 4096));
    }
}
