//! The content of a chain at any offset.

use super::chain::Chain;
use super::chain_cursor::Located;
use super::chunk::{CHUNK_BYTES, ChunkIndex};
use super::manifest::{Content, Entry};
use super::manifest_index::ManifestIndex;
use crate::disk::SealedSource;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;

/// A chain as a source of sealed bytes, read in any order: an image that is exported, copied, or
/// looked into. Every chunk is checked before any byte of it is given out.
pub struct ChainSource {
    chain: Chain,
    // Protects the manifests' last pages and the last chunk, which small reads come back to.
    inner: Mutex<Inner>,
}

struct Inner {
    // Of the chain's members, the newest first.
    manifests: Vec<ManifestIndex>,
    // What `chunk` holds; None: nothing that was asked for.
    held: Option<ChunkIndex>,
    chunk: Box<[u8; CHUNK_BYTES]>,
}

impl ChainSource {
    /// Reads the manifests once more and keeps what finds single chunks in them: 40 bytes for each
    /// 64 MiB of data.
    ///
    /// # Errors
    /// As [`Chain::open`].
    pub fn new(chain: Chain) -> Result<Self> {
        let manifests = chain.members().iter().map(ManifestIndex::build).collect::<Result<_>>()?;
        let inner = Inner { manifests, held: None, chunk: Box::new([0; CHUNK_BYTES]) };
        Ok(ChainSource { chain, inner: Mutex::new(inner) })
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
}

impl SealedSource for ChainSource {
    fn size(&self) -> ByteLen {
        self.chain.size()
    }

    fn sector_size(&self) -> SectorSize {
        self.chain.sector_size()
    }

    fn next_data(&self, offset: ByteOffset) -> Result<Option<Range<ByteOffset>>> {
        let found = self.inner.lock().next(ChunkIndex::holding(offset))?;
        Ok(found.map(|found| {
            let end = found.index.next().start().min(self.size().end());
            found.index.start().max(offset)..end
        }))
    }

    fn read_sealed(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(ByteLen::of(into));
        if end.is_none_or(|end| end > self.size().end()) {
            let (len, at, size) = (into.len(), offset.get(), self.size());
            let text = format!("{len} bytes at offset {at} reach past the end of a disk of {size}");
            return Err(Error::new(ErrorKind::OutOfRange, text));
        }
        let mut inner = self.inner.lock();
        let (mut at, mut rest) = (offset, into);
        while !rest.is_empty() {
            let index = ChunkIndex::holding(at);
            let within = (at.get() - index.start().get()) as usize;
            let len = rest.len().min(CHUNK_BYTES - within);
            let (piece, after) = rest.split_at_mut(len);
            piece.copy_from_slice(&inner.chunk_at(&self.chain, index)?[within..within + len]);
            (at, rest) = (index.next().start(), after);
        }
        Ok(())
    }
}

impl Inner {
    fn chunk_at(&mut self, chain: &Chain, index: ChunkIndex) -> Result<&[u8; CHUNK_BYTES]> {
        if self.held != Some(index) {
            self.held = None;
            match self.next(index)?.filter(|found| found.index == index) {
                Some(found) => chain.read_chunk(&found, &mut self.chunk)?,
                None => self.chunk.fill(0),
            }
            self.held = Some(index);
        }
        Ok(&self.chunk)
    }

    /// The first chunk at or behind `index` that has data.
    fn next(&mut self, mut index: ChunkIndex) -> Result<Option<Located>> {
        loop {
            let mut first: Option<(usize, Entry)> = None;
            for (member, manifest) in self.manifests.iter_mut().enumerate() {
                let Some(entry) = manifest.at_or_behind(index)? else { continue };
                // Of two that are equally near, the newer one counts.
                if first.is_none_or(|(_, nearest)| entry.index < nearest.index) {
                    first = Some((member, entry));
                }
            }
            match first {
                None => return Ok(None),
                Some((member, Entry { index, content: Content::Data(digest) })) => {
                    return Ok(Some(Located { index, digest, member }));
                }
                Some((_, zero)) => index = zero.index.next(),
            }
        }
    }
}

impl std::fmt::Debug for ChainSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChainSource({:?})", self.chain)
    }
}
