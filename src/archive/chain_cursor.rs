//! The content of a chain, chunk by chunk.

use super::chunk::{ChunkIndex, Digest};
use super::folder::Archive;
use super::manifest::{Content, Entry};
use super::manifest_reader::ManifestReader;
use crate::error::Result;
use std::fs::File;

/// A chunk that has data, and which member of the chain holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Located {
    pub index: ChunkIndex,
    pub digest: Digest,
    /// Position in the chain, the newest being 0.
    pub member: usize,
}

/// Joins the manifests of a chain: each is read once, from front to back.
pub(super) struct ChainCursor {
    // The newest first.
    levels: Vec<Level>,
    // The chunk that `peek` has found.
    found: Option<Located>,
}

struct Level {
    reader: ManifestReader<File>,
    // The entry to come; None behind the last.
    head: Option<Entry>,
}

impl ChainCursor {
    pub(super) fn begin(newest_first: &[Archive]) -> Result<Self> {
        let mut levels = Vec::with_capacity(newest_first.len());
        for archive in newest_first {
            let mut reader = archive.manifest()?;
            let head = reader.next()?;
            levels.push(Level { reader, head });
        }
        Ok(ChainCursor { levels, found: None })
    }

    /// The next chunk that has data, left in place.
    ///
    /// # Errors
    /// As [`ManifestReader::next`].
    pub(super) fn peek(&mut self) -> Result<Option<Located>> {
        if self.found.is_none() {
            self.found = self.advance()?;
        }
        Ok(self.found)
    }

    /// The next chunk that has data.
    ///
    /// # Errors
    /// As [`ManifestReader::next`]; after `None` all manifests have turned out right.
    pub(super) fn next(&mut self) -> Result<Option<Located>> {
        let found = self.peek()?;
        self.found = None;
        Ok(found)
    }

    /// The chunk at `index` if it has data; those before it are passed over.
    ///
    /// # Errors
    /// As [`ManifestReader::next`].
    pub(super) fn seek(&mut self, index: ChunkIndex) -> Result<Option<Located>> {
        while self.peek()?.is_some_and(|found| found.index < index) {
            self.found = None;
        }
        Ok(self.found)
    }

    /// Reads the manifests to their ends, where their digests are known.
    ///
    /// # Errors
    /// As [`ManifestReader::next`].
    pub(super) fn finish(mut self) -> Result<()> {
        while self.next()?.is_some() {}
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Located>> {
        loop {
            let heads = self.levels.iter().filter_map(|level| level.head);
            let Some(index) = heads.map(|entry| entry.index).min() else { return Ok(None) };
            let mut newest = None;
            for (member, level) in self.levels.iter_mut().enumerate() {
                let Some(entry) = level.head.filter(|entry| entry.index == index) else { continue };
                newest.get_or_insert((member, entry));
                level.head = level.reader.next()?;
            }
            if let Some((member, Entry { content: Content::Data(digest), .. })) = newest {
                return Ok(Some(Located { index, digest, member }));
            }
        }
    }
}
