//! The sealed chunks of an archive, at their offsets on the disk.

use super::chunk::{BLOCK_BYTES, CHUNK_BYTES, ChunkIndex, Cut, Digest, written_runs};
use super::damage::{damaged, refused};
use crate::error::{Error, Result};
use crate::records::PrivateFile;
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;
use std::io::ErrorKind::UnexpectedEof;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// A sparse file as long as the disk. Which parts of it mean something is the manifest's to say.
#[derive(Debug)]
pub(super) struct DataFile {
    file: PrivateFile,
    place: String,
    cut: Cut,
}

impl DataFile {
    /// Gives a new file its length.
    pub(super) fn create(file: PrivateFile, place: String, cut: Cut) -> Result<Self> {
        let len = cut.size().get();
        file.file().set_len(len).map_err(|cause| Error::io(format!("making {place}"), cause))?;
        Ok(DataFile { file, place, cut })
    }

    /// # Errors
    /// `integrity` when the file is not as long as the disk.
    pub(super) fn open(file: PrivateFile, place: String, cut: Cut) -> Result<Self> {
        let found = file
            .file()
            .metadata()
            .map_err(|cause| Error::io(format!("examining {place}"), cause))?
            .len();
        if found != cut.size().get() {
            let wanted = cut.size().get();
            let why = format!("has {found} bytes where the disk has {wanted}");
            return Err(refused(&place, &why));
        }
        Ok(DataFile { file, place, cut })
    }

    pub(super) fn cut(&self) -> Cut {
        self.cut
    }

    /// Reads a chunk and checks it; what lies behind this archive's end of the disk is zeros.
    ///
    /// # Errors
    /// `integrity` naming file and offset when it is not the chunk with this digest; `io`.
    pub(super) fn read_chunk(
        &self,
        index: ChunkIndex,
        digest: Digest,
        into: &mut [u8; CHUNK_BYTES],
    ) -> Result<()> {
        let at = index.start().get();
        let (bytes, rest) = into.split_at_mut(self.cut.len_of(index));
        rest.fill(0);
        self.file.file().read_exact_at(bytes, at).map_err(|cause| match cause.kind() {
            UnexpectedEof => damaged(&self.place, at, "has been cut"),
            _ => self.failed("reading", at, cause),
        })?;
        match Digest::of_chunk(bytes) == digest {
            true => Ok(()),
            false => Err(damaged(&self.place, at, "does not have the digest in its manifest")),
        }
    }

    /// Writes the blocks of a chunk that are not all zeros, into a place that is a hole.
    ///
    /// # Errors
    /// `io`, `no-space`.
    pub(super) fn write_chunk(&self, index: ChunkIndex, bytes: &[u8]) -> Result<()> {
        for run in written_runs(bytes, BLOCK_BYTES) {
            let at = index.start().get() + run.start as u64;
            self.file
                .file()
                .write_all_at(&bytes[run], at)
                .map_err(|cause| self.failed("writing", at, cause))?;
        }
        Ok(())
    }

    /// Copies chunks of another file to the same offsets, inside the kernel where it can. Holes
    /// stay holes; what the kernel shares between files, it shares.
    ///
    /// # Errors
    /// `io`, `no-space`; `integrity` when the other file has become shorter.
    pub(super) fn copy_from(&self, other: &DataFile, chunks: Range<ChunkIndex>) -> Result<()> {
        let end = chunks.end.start().get().min(other.cut.size().get());
        let mut at = chunks.start.start().get();
        // A chunk that was half copied when the power went is copied again over its first half.
        self.discard(at..end)?;
        while let Some(data) = other.seek(SeekFrom::Data(at))?.filter(|data| *data < end) {
            let hole = other.seek(SeekFrom::Hole(data))?.map_or(end, |hole| hole.min(end));
            at = data;
            while at < hole {
                at += self.copy_some(other, at, hole - at)?;
            }
        }
        Ok(())
    }

    fn copy_some(&self, other: &DataFile, at: u64, len: u64) -> Result<u64> {
        let (mut from, mut to) = (at, at);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (source, target) = (other.file.file(), self.file.file());
        let copied = rustix::io::retry_on_intr(|| {
            rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), len)
        });
        match copied {
            Ok(0) => Err(damaged(&other.place, at, "has been cut")),
            Ok(count) => Ok(count as u64),
            Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {
                self.copy_by_hand(other, at, len.min(CHUNK_BYTES))
            }
            Err(cause) => Err(self.failed("copying to", at, cause.into())),
        }
    }

    fn copy_by_hand(&self, other: &DataFile, at: u64, len: usize) -> Result<u64> {
        let mut bytes = vec![0; len];
        other
            .file
            .file()
            .read_exact_at(&mut bytes, at)
            .map_err(|cause| other.failed("reading", at, cause))?;
        self.file
            .file()
            .write_all_at(&bytes, at)
            .map_err(|cause| self.failed("writing", at, cause))?;
        Ok(len as u64)
    }

    /// Makes a range of the file a hole again.
    ///
    /// # Errors
    /// `io`, also where files cannot have holes.
    pub(super) fn discard(&self, range: Range<u64>) -> Result<()> {
        // Nothing lies there in all cases but one: an engine was killed here before.
        if range.is_empty()
            || self.seek(SeekFrom::Data(range.start))?.is_none_or(|d| d >= range.end)
        {
            return Ok(());
        }
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let len = range.end - range.start;
        rustix::io::retry_on_intr(|| {
            rustix::fs::fallocate(self.file.file(), punch, range.start, len)
        })
        .map_err(|cause| self.failed("discarding in", range.start, cause.into()))
    }

    /// Makes everything durable.
    pub(super) fn sync(&self) -> Result<()> {
        self.file
            .file()
            .sync_all()
            .map_err(|cause| Error::io(format!("synchronising {}", self.place), cause))
    }

    fn seek(&self, to: SeekFrom) -> Result<Option<u64>> {
        match rustix::fs::seek(self.file.file(), to) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NXIO) => Ok(None),
            Err(cause) => Err(Error::io(format!("seeking in {}", self.place), cause.into())),
        }
    }

    fn failed(&self, doing: &str, at: u64, cause: std::io::Error) -> Error {
        Error::io(format!("{doing} {} at offset {at}", self.place), cause)
    }
}
