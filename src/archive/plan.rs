//! Which chunks a copy has to look at.

use super::chain_cursor::ChainCursor;
use super::chunk::{CHUNK, ChunkIndex, Cut, Digest, touched};
use crate::disk::{ChangedRegions, SealedSource};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};
use std::ops::Range;

/// What may have changed since the parent of an incremental copy was made.
pub enum Changes<'a> {
    /// Not known: everything is compared with the parent's digests.
    Unknown,
    /// Only bytes of these ranges, in rising order.
    Only(Box<dyn Ranges + 'a>),
}

/// Ranges that can be gone through more than once.
pub trait Ranges: Iterator<Item = Range<ByteOffset>> + Send {
    /// The same ranges, from here on.
    fn again<'a>(&self) -> Box<dyn Ranges + 'a>
    where
        Self: 'a;
}

impl<I: Iterator<Item = Range<ByteOffset>> + Clone + Send> Ranges for I {
    fn again<'a>(&self) -> Box<dyn Ranges + 'a>
    where
        Self: 'a,
    {
        Box::new(self.clone())
    }
}

impl<'a> Changes<'a> {
    /// What an open disk has noted, or that it does not know.
    pub fn noted(regions: Option<&'a ChangedRegions>) -> Self {
        let Some(regions) = regions else { return Changes::Unknown };
        let mut at = ByteOffset::ZERO;
        Changes::Only(Box::new(std::iter::from_fn(move || {
            let range = regions.next_range(at)?;
            at = range.end;
            Some(range)
        })))
    }

    /// The same, to be gone through once more.
    pub(super) fn again(&self) -> Self {
        match self {
            Changes::Unknown => Changes::Unknown,
            Changes::Only(ranges) => Changes::Only(ranges.again()),
        }
    }
}

/// A chunk to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    pub index: ChunkIndex,
    /// Whether the source may have data there.
    pub in_source: bool,
    /// What the parents have there.
    pub before: Option<Digest>,
}

/// Joins what may have changed, where the source has data, and where the parents have.
pub(super) struct Plan<'a> {
    source: &'a dyn SealedSource,
    cut: Cut,
    parents: Option<ChainCursor>,
    changes: Changes<'a>,
    // Chunks that may have changed, at or behind `at`.
    wanted: Range<ChunkIndex>,
    // Chunks the source has data of, none before `at` missing; empty at the end of the disk when
    // there is no more.
    data: Range<ChunkIndex>,
    at: ChunkIndex,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        source: &'a dyn SealedSource,
        cut: Cut,
        parents: Option<ChainCursor>,
        changes: Changes<'a>,
    ) -> Self {
        let nothing = ChunkIndex::ZERO..ChunkIndex::ZERO;
        let wanted = match changes {
            Changes::Unknown => ChunkIndex::ZERO..cut.end(),
            Changes::Only(_) => nothing.clone(),
        };
        let at = ChunkIndex::ZERO;
        Plan { source, cut, parents, changes, wanted, data: nothing, at }
    }

    /// The next chunk, in rising order.
    ///
    /// # Errors
    /// Those of the source and of the parents' manifests; `internal` for changes out of order.
    pub(super) fn next(&mut self) -> Result<Option<Planned>> {
        while self.has_wanted()? {
            let in_source = self.next_of_source()?;
            let before = match &mut self.parents {
                Some(cursor) => cursor.seek(self.at)?,
                None => None,
            };
            let in_parents = before.map_or(self.cut.end(), |found| found.index);
            self.at = in_source.min(in_parents);
            if self.at >= self.wanted.end {
                continue;
            }
            let index = self.at;
            self.at = index.next();
            return Ok(Some(Planned {
                index,
                in_source: in_source == index,
                before: before.filter(|found| found.index == index).map(|found| found.digest),
            }));
        }
        Ok(None)
    }

    /// The bytes of all chunks that are left, in whole chunks: what the copy will look at, or more
    /// where the source is written to meanwhile.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) fn bytes(mut self) -> Result<ByteLen> {
        let mut chunks = 0;
        if self.parents.is_none() && matches!(self.changes, Changes::Unknown) {
            // Range by range, since a full copy of a large disk has very many chunks.
            while self.at < self.cut.end() {
                self.at = self.next_of_source()?;
                let end = self.data.end.min(self.cut.end());
                chunks += end.get().saturating_sub(self.at.get());
                self.at = end.max(self.at);
            }
        } else {
            while self.next()?.is_some() {
                chunks += 1;
            }
        }
        Ok(ByteLen::new(chunks * CHUNK.get()))
    }

    /// Reads the parents' manifests to their ends.
    ///
    /// # Errors
    /// `integrity` when one has turned out not to be what its record says.
    pub(super) fn finish(self) -> Result<()> {
        self.parents.map_or(Ok(()), ChainCursor::finish)
    }

    /// Moves on to chunks that may have changed; whether there are any.
    fn has_wanted(&mut self) -> Result<bool> {
        while self.at >= self.wanted.end {
            let Changes::Only(ranges) = &mut self.changes else { return Ok(false) };
            let Some(range) = ranges.next() else { return Ok(false) };
            let next = touched(&range);
            if next.start < self.wanted.start {
                return Err(Error::new(ErrorKind::Internal, "changed ranges are out of order"));
            }
            self.wanted = next.start..next.end.min(self.cut.end());
        }
        self.at = self.at.max(self.wanted.start);
        Ok(self.at < self.cut.end())
    }

    /// The first chunk from `at` on of which the source may have data; the end when there is none.
    fn next_of_source(&mut self) -> Result<ChunkIndex> {
        if self.data.end <= self.at {
            self.data = match self.source.next_data(self.at.start())? {
                Some(range) => touched(&range),
                None => self.cut.end()..ChunkIndex::new(u64::MAX),
            };
        }
        Ok(self.data.start.max(self.at).min(self.cut.end()))
    }
}
