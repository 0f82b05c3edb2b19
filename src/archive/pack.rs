//! Archives as one stream, for another machine.

use super::chain::Chain;
use super::chain_cursor::{ChainCursor, Located};
use super::chunk::{CHUNK, CHUNK_BYTES, Cut};
use super::folder::Archive;
use super::manifest::{Content, Entry};
use super::manifest_reader::ManifestReader;
use super::manifest_writer::ManifestWriter;
use super::meter::Meter;
use super::pack_format::{Export, PackedRecord};
use super::record::{ArchiveRecord, ManifestSeal};
use super::workers::in_order;
use crate::error::{Error, ErrorKind, Result};
use crate::records::Records;
use serde::Serialize;
use std::fs::File;
use std::io::Write;

/// Writes all members of a chain into `sink`, each with what its exporter says `about` it, in the
/// order of [`Chain::members`]. Records are sealed by `records`; the stream opens only where the
/// same root key is.
///
/// # Errors
/// `integrity` naming file and offset when a member is damaged; what the sink, the meter and the
/// file system report. What was written until then is no export.
pub fn pack_chain<T: Serialize>(
    chain: &Chain,
    about: &[T],
    records: &Records,
    sink: &mut (dyn Write + Send),
    meter: &dyn Meter,
) -> Result<()> {
    if about.len() != chain.members().len() {
        return Err(Error::new(ErrorKind::Internal, "an export says nothing of a member"));
    }
    let mut packer = Packer::begin(chain, chain.members().len(), records, sink, meter)?;
    for (member, about) in about.iter().enumerate().rev() {
        let archive = &chain.members()[member];
        packer.record(archive.record(), about)?;
        packer.manifest(archive.cut(), archive.record().manifest, MemberEntries::of(archive)?)?;
        packer
            .chunks(archive.cut(), MemberChunks { entries: MemberEntries::of(archive)?, member })?;
    }
    packer.finish()
}

/// Writes the content of a chain into `sink` as one full archive.
///
/// # Errors
/// As [`pack_chain`].
pub fn pack_flat<T: Serialize>(
    chain: &Chain,
    about: &T,
    records: &Records,
    sink: &mut (dyn Write + Send),
    meter: &dyn Meter,
) -> Result<()> {
    let seal = seal_of_flat(chain)?;
    let mut packer = Packer::begin(chain, 1, records, sink, meter)?;
    packer.record(&chain.newest().record().rebased(None, seal), about)?;
    packer.manifest(chain.cut(), seal, FlatEntries(chain.cursor()?))?;
    packer.chunks(chain.cut(), chain.cursor()?)?;
    packer.finish()
}

/// The seal of the manifest that a full archive of the content would have.
fn seal_of_flat(chain: &Chain) -> Result<ManifestSeal> {
    let mut manifest = ManifestWriter::new(std::io::sink(), String::new(), chain.cut(), 0);
    let mut entries = FlatEntries(chain.cursor()?);
    while let Some(entry) = entries.next()? {
        manifest.push(entry)?;
    }
    Ok(manifest.finish()?.1)
}

/// Entries of a manifest, in its order.
trait Entries {
    fn next(&mut self) -> Result<Option<Entry>>;
}

/// Chunks of a chain, in the order of a manifest that names them.
trait Chunks: Send {
    fn next(&mut self) -> Result<Option<Located>>;
}

struct MemberEntries(ManifestReader<File>);

impl MemberEntries {
    fn of(archive: &Archive) -> Result<Self> {
        Ok(MemberEntries(archive.manifest()?))
    }
}

impl Entries for MemberEntries {
    fn next(&mut self) -> Result<Option<Entry>> {
        self.0.next()
    }
}

struct MemberChunks {
    entries: MemberEntries,
    member: usize,
}

impl Chunks for MemberChunks {
    fn next(&mut self) -> Result<Option<Located>> {
        while let Some(entry) = self.entries.next()? {
            if let Content::Data(digest) = entry.content {
                return Ok(Some(Located { index: entry.index, digest, member: self.member }));
            }
        }
        Ok(None)
    }
}

struct FlatEntries(ChainCursor);

impl Entries for FlatEntries {
    fn next(&mut self) -> Result<Option<Entry>> {
        Ok(self.0.next()?.map(|found| Entry::data(found.index, found.digest)))
    }
}

impl Chunks for ChainCursor {
    fn next(&mut self) -> Result<Option<Located>> {
        ChainCursor::next(self)
    }
}

struct Packer<'a> {
    chain: &'a Chain,
    records: &'a Records,
    sink: &'a mut (dyn Write + Send),
    meter: &'a dyn Meter,
    export: Export,
    packed: u32,
}

impl<'a> Packer<'a> {
    fn begin(
        chain: &'a Chain,
        members: usize,
        records: &'a Records,
        sink: &'a mut (dyn Write + Send),
        meter: &'a dyn Meter,
    ) -> Result<Self> {
        // At most Chain::MAX_LEN.
        let export = Export::new(members as u32)?;
        sink.write_all(&export.header(records)?).map_err(unwritable)?;
        Ok(Packer { chain, records, sink, meter, export, packed: 0 })
    }

    fn record<T: Serialize>(&mut self, archive: &ArchiveRecord, about: &T) -> Result<()> {
        let record = PackedRecord { archive: archive.clone(), about };
        let document = self.records.seal(&self.export.path_of(self.packed)?, &record)?;
        self.packed += 1;
        let len = u32::try_from(document.len())
            .ok()
            .filter(|len| *len as usize <= crate::records::MAX_RECORD_BYTES)
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "the record of a member is too long"))?;
        self.sink
            .write_all(&len.to_le_bytes())
            .and_then(|()| self.sink.write_all(&document))
            .map_err(unwritable)
    }

    fn manifest(&mut self, cut: Cut, seal: ManifestSeal, mut entries: impl Entries) -> Result<()> {
        let place = "the export".to_owned();
        let mut manifest = ManifestWriter::new(&mut *self.sink, place, cut, seal.generation);
        while let Some(entry) = entries.next()? {
            manifest.push(entry)?;
        }
        match manifest.finish()?.1 == seal {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Integrity, "a manifest changed while exported")),
        }
    }

    /// A disk that has grown since the holder of a chunk was made has more of it, in zeros.
    fn chunks(&mut self, cut: Cut, mut chunks: impl Chunks) -> Result<()> {
        let Packer { chain, sink, meter, .. } = self;
        in_order(
            || Box::new([0; CHUNK_BYTES]),
            |_| {
                let found = chunks.next()?;
                if found.is_some() {
                    meter.advance(CHUNK)?;
                }
                Ok(found)
            },
            |scratch, found: Located| {
                chain.read_chunk(&found, scratch)?;
                Ok(found)
            },
            |scratch, found| {
                sink.write_all(&scratch[..cut.len_of(found.index)]).map_err(unwritable)
            },
        )
    }

    fn finish(self) -> Result<()> {
        self.sink.flush().map_err(unwritable)
    }
}

fn unwritable(cause: std::io::Error) -> Error {
    Error::io("writing the export", cause)
}
