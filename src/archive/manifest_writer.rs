//! A manifest while it is written.

use super::chunk::{ChunkIndex, Cut};
use super::manifest::{Content, ENTRY_BYTES, Entry, HEADER_BYTES, header};
use super::record::ManifestSeal;
use crate::error::{Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Write;

/// Entries collected before they are written: 48 KiB.
const BATCH: usize = 1024 * ENTRY_BYTES;

/// Writes a manifest from front to back and digests it on the way.
pub(super) struct ManifestWriter<W> {
    sink: W,
    place: String,
    cut: Cut,
    generation: u32,
    pending: Vec<u8>,
    hash: Sha256,
    len: u64,
    stored: u64,
    // The lowest chunk that may come next.
    next: ChunkIndex,
}

impl<W: Write> ManifestWriter<W> {
    pub(super) fn new(sink: W, place: String, cut: Cut, generation: u32) -> Self {
        let mut pending = Vec::with_capacity(BATCH + HEADER_BYTES);
        pending.extend_from_slice(&header(cut));
        ManifestWriter {
            sink,
            place,
            cut,
            generation,
            pending,
            hash: Sha256::new(),
            len: 0,
            stored: 0,
            next: ChunkIndex::ZERO,
        }
    }

    /// # Errors
    /// `io`, `no-space`; `internal` for a chunk out of order.
    pub(super) fn push(&mut self, entry: Entry) -> Result<()> {
        if entry.index < self.next || entry.index >= self.cut.end() {
            let text = format!("chunk {} written out of order", entry.index.get());
            return Err(Error::new(ErrorKind::Internal, text));
        }
        self.next = entry.index.next();
        if let Content::Data(_) = entry.content {
            self.stored += self.cut.len_of(entry.index) as u64;
        }
        self.pending.extend_from_slice(&entry.encode());
        match self.pending.len() < BATCH {
            true => Ok(()),
            false => self.write_pending(),
        }
    }

    /// Writes what is left; gives the sink back, which has yet to be made durable.
    pub(super) fn finish(mut self) -> Result<(W, ManifestSeal)> {
        self.write_pending()?;
        let seal = ManifestSeal {
            generation: self.generation,
            len: self.len,
            sha256: self.hash.into(),
            stored: self.stored,
        };
        Ok((self.sink, seal))
    }

    fn write_pending(&mut self) -> Result<()> {
        self.hash.update(&self.pending);
        self.len += self.pending.len() as u64;
        self.sink
            .write_all(&self.pending)
            .map_err(|cause| Error::io(format!("writing {}", self.place), cause))?;
        self.pending.clear();
        Ok(())
    }
}

impl ManifestWriter<File> {
    /// Writes what is left and makes it durable.
    pub(super) fn finish_durably(self) -> Result<ManifestSeal> {
        let place = self.place.clone();
        let (file, seal) = self.finish()?;
        file.sync_all().map_err(|cause| Error::io(format!("synchronising {place}"), cause))?;
        Ok(seal)
    }
}
