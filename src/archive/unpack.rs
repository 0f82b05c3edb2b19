//! Archives out of a stream that may be anybody's.

use super::chunk::{CHUNK, CHUNK_BYTES, ChunkIndex, Cut, Digest};
use super::damage::damaged;
use super::data_file::DataFile;
use super::folder::{NewArchive, Written};
use super::manifest::Content;
use super::manifest_reader::ManifestReader;
use super::meter::Meter;
use super::pack_format::{Export, HEADER_BYTES, PackedRecord, not_genuine};
use super::record::{ArchiveRecord, ManifestSeal};
use super::workers::in_order;
use crate::error::{Error, ErrorKind, Result};
use crate::id::BackupId;
use crate::records::{MAX_RECORD_BYTES, Records};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read;

/// Takes an export apart, member by member. Nothing of a member is given out or kept before its
/// seal, its manifest's digest and its chunks' digests have turned out right.
pub struct Unpacker<'a, R> {
    stream: R,
    records: &'a Records,
    export: Export,
    // Members whose record was read.
    begun: u32,
    // Members that were stored.
    stored: u32,
}

/// A member whose record is genuine and whose data is still in the stream.
pub struct PackedMember<'u, 'a, R, T> {
    unpacker: &'u mut Unpacker<'a, R>,
    record: ArchiveRecord,
    about: T,
    cut: Cut,
    name: String,
}

impl<'a, R: Read + Send> Unpacker<'a, R> {
    /// Reads the header. `records` has the key under which the export must have been made.
    ///
    /// # Errors
    /// `integrity` saying why the stream is no export of ours; `unsupported` for a newer one; `io`
    /// of the stream.
    pub fn begin(mut stream: R, records: &'a Records) -> Result<Self> {
        let mut header = [0; HEADER_BYTES];
        read(&mut stream, &mut header, "its header")?;
        let export = Export::parse(&header, records)?;
        Ok(Unpacker { stream, records, export, begun: 0, stored: 0 })
    }

    /// How many members there are.
    pub fn members(&self) -> u32 {
        self.export.members
    }

    /// The next member, a parent always before its child; `None` at the end, when the stream has
    /// turned out to end there too. The one before must have been stored.
    ///
    /// # Errors
    /// `integrity` saying what is wrong; `unsupported`; `io` of the stream.
    pub fn next_member<T: DeserializeOwned>(
        &mut self,
    ) -> Result<Option<PackedMember<'_, 'a, R, T>>> {
        if self.begun != self.stored {
            return Err(Error::new(ErrorKind::Internal, "a member of an export was passed over"));
        }
        if self.begun == self.export.members {
            return self.expect_end().map(|()| None);
        }
        let name = self.export.name_of(self.begun);
        let PackedRecord { archive: record, about } = self.read_record(&name)?;
        let cut = record.check(&name)?;
        if record.parent().is_some() != (self.begun > 0) {
            return Err(not_genuine("its members are not a chain"));
        }
        self.begun += 1;
        Ok(Some(PackedMember { unpacker: self, record, about, cut, name }))
    }

    fn read_record<T: DeserializeOwned>(&mut self, name: &str) -> Result<PackedRecord<T>> {
        let mut len = [0; size_of::<u32>()];
        read(&mut self.stream, &mut len, name)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > MAX_RECORD_BYTES {
            return Err(not_genuine(&format!("the record of {name} is too long")));
        }
        let mut document = vec![0; len];
        read(&mut self.stream, &mut document, name)?;
        let path = self.export.path_of(self.begun)?;
        self.records.unseal(&path, name, &document).map_err(|error| match error.kind() {
            ErrorKind::Unsupported => error,
            _ => not_genuine(&format!("{name} was edited, damaged or moved")).caused_by(error),
        })
    }

    fn expect_end(&mut self) -> Result<()> {
        let mut byte = [0];
        loop {
            match self.stream.read(&mut byte) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(not_genuine("it goes on behind its last member")),
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(Error::io("reading the export", cause)),
            }
        }
    }
}

impl<R: Read + Send, T> PackedMember<'_, '_, R, T> {
    /// What the engines live by. Its parent is an id of the machine it comes from.
    pub fn record(&self) -> &ArchiveRecord {
        &self.record
    }

    /// What the exporter said of it.
    pub fn about(&self) -> &T {
        &self.about
    }

    /// Whether it is incremental, and its parent the member before it.
    pub fn has_parent(&self) -> bool {
        self.record.parent().is_some()
    }

    /// Reads the member's data into a new archive, whose parent has the id `parent` here.
    ///
    /// # Errors
    /// `integrity` saying what is wrong and where; `invalid` when there is a parent and must be
    /// none, or the reverse; what the stream, the meter and the file system report. The target is
    /// then empty again.
    pub fn store(
        self,
        parent: Option<BackupId>,
        target: NewArchive,
        meter: &dyn Meter,
    ) -> Result<(Written, T)> {
        if parent.is_some() != self.has_parent() {
            let text = format!("{} is given a parent it has not, or none", self.name);
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let PackedMember { unpacker, record, about, cut, name } = self;
        let stream = &mut unpacker.stream;
        let (data, mut manifest) = target.files(cut)?;
        let place = format!("the manifest of {name}");
        let mut entries = ManifestReader::begin(&mut *stream, place, cut, record.manifest)?;
        while let Some(entry) = entries.next()? {
            manifest.push(entry)?;
        }
        let seal = ManifestSeal { generation: 0, ..record.manifest };
        if manifest.finish_durably()? != seal {
            return Err(not_genuine(&format!("the manifest of {name} is written otherwise")));
        }
        store_chunks(stream, target.manifest(cut, seal)?, &data, &name, meter)?;
        data.sync()?;
        unpacker.stored += 1;
        Ok((target.written(record.rebased(parent, seal)), about))
    }
}

fn store_chunks(
    stream: &mut (impl Read + Send),
    mut manifest: ManifestReader<File>,
    data: &DataFile,
    name: &str,
    meter: &dyn Meter,
) -> Result<()> {
    let cut = data.cut();
    in_order(
        || Box::new([0; CHUNK_BYTES]),
        |scratch| {
            while let Some(entry) = manifest.next()? {
                if let Content::Data(digest) = entry.content {
                    meter.advance(CHUNK)?;
                    read(stream, &mut scratch[..cut.len_of(entry.index)], name)?;
                    return Ok(Some((entry.index, digest)));
                }
            }
            Ok(None)
        },
        |scratch, (index, digest): (ChunkIndex, Digest)| {
            let bytes = &scratch[..cut.len_of(index)];
            if Digest::of_chunk(bytes) != digest {
                let how = "does not have the digest in its manifest";
                return Err(damaged(format!("the data of {name}"), index.start().get(), how));
            }
            data.write_chunk(index, bytes)
        },
        |_, ()| Ok(()),
    )
}

fn read(stream: &mut impl Read, into: &mut [u8], what: &str) -> Result<()> {
    stream.read_exact(into).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::UnexpectedEof => not_genuine(&format!("it ends inside {what}")),
        _ => Error::io("reading the export", cause),
    })
}
