//! A manifest of which single chunks are asked for.

use super::chunk::{ChunkIndex, Digest};
use super::damage::damaged;
use super::folder::Archive;
use super::manifest::{ENTRY_BYTES, Entry, HEADER_BYTES};
use super::manifest_reader::{PAGE_BYTES, Page};
use crate::error::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A manifest that was read once, against its digest, and of whose every page the digest was kept:
/// 40 bytes for 64 MiB of data. A page that is read again is the one that was read then, or is
/// refused.
pub(super) struct ManifestIndex {
    file: File,
    place: String,
    len: u64,
    pages: Vec<Page>,
    // The page that was read last; empty when there is none.
    current: usize,
    entries: Vec<Entry>,
}

impl ManifestIndex {
    /// # Errors
    /// As a [`ManifestReader`](super::manifest_reader::ManifestReader) that is read to its end.
    pub(super) fn build(archive: &Archive) -> Result<Self> {
        let mut reader = archive.manifest()?;
        reader.keep_pages();
        while reader.next()?.is_some() {}
        let (file, place, pages) = reader.into_pages();
        let len = archive.record().manifest.len;
        Ok(ManifestIndex { file, place, len, pages, current: 0, entries: Vec::new() })
    }

    /// The first entry at or behind `index`.
    ///
    /// # Errors
    /// `integrity` when the page has changed since; `io`.
    pub(super) fn at_or_behind(&mut self, index: ChunkIndex) -> Result<Option<Entry>> {
        let page = self.pages.partition_point(|page| page.first <= index).saturating_sub(1);
        for page in page..self.pages.len() {
            self.load(page)?;
            let at = self.entries.partition_point(|entry| entry.index < index);
            if let Some(entry) = self.entries.get(at) {
                return Ok(Some(*entry));
            }
        }
        Ok(None)
    }

    fn load(&mut self, number: usize) -> Result<()> {
        if number == self.current && !self.entries.is_empty() {
            return Ok(());
        }
        self.entries.clear();
        let offset = HEADER_BYTES as u64 + number as u64 * PAGE_BYTES as u64;
        let mut bytes = vec![0; PAGE_BYTES.min((self.len - offset) as usize)];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|cause| Error::io(format!("reading {}", self.place), cause))?;
        let has_changed = || damaged(&self.place, offset, "has changed since it was opened");
        if Digest::of_bytes(&bytes) != self.pages[number].digest {
            return Err(has_changed());
        }
        let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
        self.entries.reserve_exact(entries.len());
        for entry in entries {
            self.entries.push(Entry::decode(entry).map_err(|_| has_changed())?);
        }
        self.current = number;
        Ok(())
    }
}
