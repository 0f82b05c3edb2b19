//! A manifest as a stream of entries that are checked on the way.

use super::chunk::{ChunkIndex, Cut, Digest};
use super::damage::{damaged, refused};
use super::manifest::{Content, ENTRY_BYTES, Entry, HEADER_BYTES, check_header};
use super::record::ManifestSeal;
use crate::error::{Error, Result};
use sha2::{Digest as _, Sha256};
use std::io::Read;

/// Bytes of the entries read at once: 48 KiB, whatever the manifest's length.
pub(super) const PAGE_BYTES: usize = 1024 * ENTRY_BYTES;

/// Entries that were read at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub first: ChunkIndex,
    pub digest: Digest,
}

/// Reads a manifest from front to back. Entries count only once [`next`](Self::next) has given
/// `None`: the digest is known then, and what was made of them has to be given up if it is wrong.
pub(super) struct ManifestReader<R> {
    stream: R,
    place: String,
    cut: Cut,
    seal: ManifestSeal,
    hash: Sha256,
    // Entries read but not given out, from `at` on.
    page: Vec<u8>,
    at: usize,
    // Bytes of the file that were read.
    read: u64,
    // The lowest chunk that may come next.
    next: ChunkIndex,
    stored: u64,
    is_digest_right: bool,
    // Kept when they are asked for.
    pages: Option<Vec<Page>>,
}

impl<R: Read> ManifestReader<R> {
    /// Reads the header. `seal` comes from a record that was checked against `cut`.
    ///
    /// # Errors
    /// `integrity` naming the file; `unsupported` for a newer version; `io`.
    pub(super) fn begin(stream: R, place: String, cut: Cut, seal: ManifestSeal) -> Result<Self> {
        let mut reader = ManifestReader {
            stream,
            place,
            cut,
            seal,
            hash: Sha256::new(),
            page: Vec::new(),
            at: 0,
            read: 0,
            next: ChunkIndex::ZERO,
            stored: 0,
            is_digest_right: false,
            pages: None,
        };
        let mut header = [0; HEADER_BYTES];
        reader.fill(&mut header)?;
        check_header(&header, cut, &reader.place)?;
        Ok(reader)
    }

    /// The next entry, or `None` after the last, when the digest has turned out right.
    ///
    /// # Errors
    /// `integrity` naming the file and what is wrong in it; `io`.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        if self.at == self.page.len() && !self.load()? {
            return self.at_the_end().map(|()| None);
        }
        let offset = self.read - (self.page.len() - self.at) as u64;
        let bad = |how| damaged(&self.place, offset, how);
        let (bytes, _) = self.page[self.at..].split_first_chunk().ok_or_else(|| bad("is cut"))?;
        let entry = Entry::decode(bytes).map_err(bad)?;
        if entry.index < self.next {
            return Err(bad("names chunks out of order"));
        }
        if entry.index >= self.cut.end() {
            return Err(bad("names a chunk behind the end of the disk"));
        }
        if let Content::Data(_) = entry.content {
            self.stored += self.cut.len_of(entry.index) as u64;
        }
        self.at += ENTRY_BYTES;
        self.next = entry.index.next();
        Ok(Some(entry))
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) fn finish(mut self) -> Result<()> {
        while self.next()?.is_some() {}
        Ok(())
    }

    /// Keeps the digest of every page from here on.
    pub(super) fn keep_pages(&mut self) {
        self.pages = Some(Vec::new());
    }

    /// The stream, its place, and the pages that were kept; to be called after `next` has given
    /// `None`.
    pub(super) fn into_pages(self) -> (R, String, Vec<Page>) {
        (self.stream, self.place, self.pages.unwrap_or_default())
    }

    fn load(&mut self) -> Result<bool> {
        let left = self.seal.len - self.read;
        let len = left.min(PAGE_BYTES as u64) as usize;
        let mut page = std::mem::take(&mut self.page);
        page.resize(len, 0);
        let filled = self.fill(&mut page);
        (self.page, self.at) = (page, 0);
        filled?;
        if let Some(pages) = &mut self.pages
            && let Some(entry) = self.page.first_chunk()
        {
            // A page that does not begin with an entry is refused when that is given out.
            let first = Entry::decode(entry).map_or(ChunkIndex::ZERO, |entry| entry.index);
            pages.push(Page { first, digest: Digest::of_bytes(&self.page) });
        }
        Ok(len > 0)
    }

    fn at_the_end(&mut self) -> Result<()> {
        if self.is_digest_right {
            return Ok(());
        }
        if Digest::from(std::mem::take(&mut self.hash)) != self.seal.sha256 {
            return Err(refused(&self.place, "does not have the digest in its record"));
        }
        if self.stored != self.seal.stored {
            return Err(refused(&self.place, "holds another amount of data than its record says"));
        }
        self.is_digest_right = true;
        Ok(())
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        self.stream.read_exact(into).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                damaged(&self.place, self.read, "ends before its last entry")
            }
            _ => Error::io(format!("reading {}", self.place), cause),
        })?;
        self.hash.update(&*into);
        self.read += into.len() as u64;
        Ok(())
    }
}
