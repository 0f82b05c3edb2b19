//! A file whose content is to become an image: raw or qcow2.
//!
//! Whoever made the file may have made it to do harm, so nothing it names is opened, its tables are
//! bounded before they are read, and what this program cannot give out faithfully is refused:
//! backing files, external data files, encryption inside, snapshots, an image marked corrupt.

use super::failure::Outcome;
use super::transfer::Transfer;
use crate::error::{Error, ErrorKind, Result};
use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, Mapping};
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

/// The first bytes of a qcow2 file.
const MAGIC: &[u8; 4] = b"QFI\xfb";
/// Bytes of a header of version 3; one of version 2 is shorter and ends in other things.
const HEADER_BYTES: usize = 104;
/// The largest first-level table, as QEMU has it.
const MAX_L1_BYTES: u64 = 32 << 20;
/// The largest disk.
const MAX_SIZE: u64 = 64 << 40;

/// Bytes handed on at once.
const PIECE: usize = 1 << 20;

/// An open file, read by its form.
pub struct ImageSource {
    path: PathBuf,
    size: u64,
    content: Content,
}

enum Content {
    /// The bytes of a file from an offset on.
    Raw(File, u64),
    Qcow2 {
        image: Box<FormatAccess<imago::file::File>>,
        file_len: u64,
    },
}

impl ImageSource {
    /// Opens a file and finds its form out.
    ///
    /// # Errors
    /// `io` when the caller cannot read it; `unsupported` or `integrity` for a qcow2 that is refused.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, _) = ImageSource::open_file(path)?;
        let header = start_of(&file, path)?;
        match header.starts_with(MAGIC) {
            true => ImageSource::qcow2(file, path, &header),
            false => ImageSource::raw(file, path),
        }
    }

    /// Opens a file or block device whose bytes are the content.
    ///
    /// # Errors
    /// `io` when the caller cannot read it; `invalid` for a qcow2, whose bytes are not its content.
    pub fn plain(path: &Path) -> Result<Self> {
        let (file, _) = ImageSource::open_file(path)?;
        if start_of(&file, path)?.starts_with(MAGIC) {
            let text = format!("{} is a qcow2, not a plain image", path.display());
            return Err(Error::new(ErrorKind::Invalid, text)
                .remedy("evsfs image import NAME FILE, and a disk --from image:NAME"));
        }
        ImageSource::raw(file, path)
    }

    /// Opens a file or block device, and says how long it is.
    ///
    /// # Errors
    /// `io` when the caller cannot read it; `invalid` when it is something else.
    pub fn open_file(path: &Path) -> Result<(File, u64)> {
        let failed = |cause| Error::io(format!("opening {}", path.display()), cause);
        let kind = std::fs::metadata(path).map_err(failed)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            let text = format!("{} is neither a file nor a block device", path.display());
            return Err(Error::new(ErrorKind::Invalid, text).remedy("name an image"));
        }
        let file = File::open(path).map_err(failed)?;
        let len = end_of(&file, path)?;
        Ok((file, len))
    }

    /// The bytes of an open file as they are.
    ///
    /// # Errors
    /// `io`.
    pub fn raw(file: File, path: &Path) -> Result<Self> {
        let size = end_of(&file, path)?;
        ImageSource::part(file, path, 0..size)
    }

    /// A part of the bytes of an open file as they are.
    ///
    /// # Errors
    /// None in practice.
    pub fn part(file: File, path: &Path, part: Range<u64>) -> Result<Self> {
        let size = part.end - part.start;
        Ok(ImageSource { path: path.to_owned(), size, content: Content::Raw(file, part.start) })
    }

    /// How many bytes of it may be data.
    ///
    /// # Errors
    /// As for [`ImageSource::next_data`].
    pub fn data_len(&mut self) -> Result<u64> {
        let (mut total, mut at) = (0, 0);
        while let Some(range) = self.next_data(at)? {
            total += range.end - range.start;
            at = range.end;
        }
        Ok(total)
    }

    /// Hands all data on, piece by piece, but what is nothing but zeros, and tells how far it has got.
    ///
    /// # Errors
    /// As for [`ImageSource::read`]; what `take` returns.
    pub(super) fn pour(
        &mut self,
        transfer: &mut Transfer<'_>,
        mut take: impl FnMut(u64, &[u8]) -> Outcome,
    ) -> Outcome {
        let mut bytes = vec![0; PIECE];
        let mut at = 0;
        while let Some(range) = self.next_data(at)? {
            at = range.start;
            while at < range.end {
                let len = usize::try_from(range.end - at).unwrap_or(PIECE).min(PIECE);
                let piece = &mut bytes[..len];
                self.read(at, piece)?;
                if piece.iter().any(|byte| *byte != 0) {
                    take(at, piece)?;
                }
                at += len as u64;
                transfer.advance(len as u64);
            }
        }
        Ok(())
    }

    fn qcow2(file: File, path: &Path, header: &[u8]) -> Result<Self> {
        let file_len = end_of(&file, path)?;
        let size = Header::read(header).and_then(|header| header.check(file_len));
        let size = size.map_err(|refusal| refusal.error(path))?;
        let failed = |cause| {
            Error::new(ErrorKind::Integrity, format!("{} is no sound qcow2", path.display()))
                .remedy("check it with: qemu-img check")
                .caused_by(cause)
        };
        let storage = imago::file::File::try_from(file).map_err(failed)?;
        let image = Qcow2::<imago::file::File>::builder(storage)
            .backing(None)
            .data_file(None)
            .write(false)
            .open(DenyImplicitOpenGate::default())
            .map_err(failed)?;
        let image = Box::new(FormatAccess::new(image));
        let content = Content::Qcow2 { image, file_len };
        Ok(ImageSource { path: path.to_owned(), size, content })
    }

    /// The size of the content in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next range at or after `at` that may hold data; `None` when only zeros are left.
    ///
    /// # Errors
    /// `io`; `integrity` when a table of a qcow2 is damaged.
    pub fn next_data(&mut self, at: u64) -> Result<Option<Range<u64>>> {
        if at >= self.size {
            return Ok(None);
        }
        match &self.content {
            Content::Raw(file, start) => next_raw(file, at + start, self.size + start)
                .map(|found| found.map(|range| range.start - start..range.end - start))
                .map_err(|cause| Error::io(format!("reading {}", self.path.display()), cause)),
            Content::Qcow2 { image, file_len } => {
                next_qcow2(image, *file_len, at, self.size).map_err(|cause| self.damaged(cause))
            }
        }
    }

    /// Fills `into` with the content at `at`.
    ///
    /// # Errors
    /// `io`; `integrity` when a qcow2 cannot be decoded.
    pub fn read(&mut self, at: u64, into: &mut [u8]) -> Result<()> {
        match &self.content {
            Content::Raw(file, start) => file.read_exact_at(into, at + start).map_err(|cause| {
                Error::io(format!("reading {} at offset {at}", self.path.display()), cause)
            }),
            Content::Qcow2 { image, .. } => {
                image.read(into, at).map_err(|cause| self.damaged(cause))
            }
        }
    }

    fn damaged(&self, cause: std::io::Error) -> Error {
        Error::new(ErrorKind::Integrity, format!("{} cannot be read", self.path.display()))
            .remedy("check it with: qemu-img check")
            .caused_by(cause)
    }
}

/// The first bytes of a file, as many as a header may have.
fn start_of(file: &File, path: &Path) -> Result<Vec<u8>> {
    let mut header = vec![0; HEADER_BYTES];
    let len = read_up_to(file, &mut header)
        .map_err(|cause| Error::io(format!("reading {}", path.display()), cause))?;
    header.truncate(len);
    Ok(header)
}

fn next_raw(file: &File, at: u64, size: u64) -> std::io::Result<Option<Range<u64>>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(start) if start >= size => Ok(None),
        Ok(start) => {
            let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
            Ok(Some(start..end.min(size)))
        }
        Err(Errno::NXIO) => Ok(None),
        // A file system, or a device, that cannot tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(at..size)),
        Err(cause) => Err(cause.into()),
    }
}

fn next_qcow2(
    image: &FormatAccess<imago::file::File>,
    file_len: u64,
    mut at: u64,
    size: u64,
) -> std::io::Result<Option<Range<u64>>> {
    while at < size {
        let (mapping, len) = image.get_mapping(at, size - at)?;
        if len == 0 {
            return Err(std::io::Error::other("it ends before the size it claims"));
        }
        match mapping {
            Mapping::Zero { .. } => {}
            Mapping::Raw { offset, .. } if offset >= file_len => {
                return Err(std::io::Error::other("it has data past its end"));
            }
            _ => return Ok(Some(at..at + len)),
        }
        at += len;
    }
    Ok(None)
}

fn read_up_to(file: &File, into: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while len < into.len() {
        match file.read_at(&mut into[len..], len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(len)
}

/// The length of a file or block device.
fn end_of(file: &File, path: &Path) -> Result<u64> {
    rustix::fs::seek(file, SeekFrom::End(0))
        .map_err(|cause| Error::io(format!("measuring {}", path.display()), cause.into()))
}

/// What matters of a qcow2 header; numbers are big-endian (QEMU, docs/interop/qcow2.rst).
#[derive(Debug)]
struct Header {
    version: u32,
    backing_file: u64,
    cluster_bits: u32,
    size: u64,
    crypt_method: u32,
    l1_entries: u32,
    l1_offset: u64,
    snapshots: u32,
    incompatible: u64,
}

/// Why a qcow2 is refused.
#[derive(Debug, PartialEq, Eq)]
struct Refused(ErrorKind, &'static str);

impl Refused {
    fn error(&self, path: &Path) -> Error {
        let Refused(kind, why) = *self;
        Error::new(kind, format!("{} {why}", path.display()))
            .remedy("make it a plain image first: qemu-img convert -O raw FILE plain.raw")
    }
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header, Refused> {
        let cut = || Refused(ErrorKind::Integrity, "is cut off inside its qcow2 header");
        let number = |at: usize| -> Result<u32, Refused> {
            let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            Ok(u32::from_be_bytes(bytes.ok_or_else(cut)?))
        };
        let long = |at: usize| -> Result<u64, Refused> {
            Ok(u64::from(number(at)?) << 32 | u64::from(number(at + 4)?))
        };
        let version = number(4)?;
        Ok(Header {
            version,
            backing_file: long(8)?,
            cluster_bits: number(20)?,
            size: long(24)?,
            crypt_method: number(32)?,
            l1_entries: number(36)?,
            l1_offset: long(40)?,
            snapshots: number(60)?,
            incompatible: if version >= 3 { long(72)? } else { 0 },
        })
    }

    /// The size of the content, if the file is one that can be taken.
    fn check(&self, file_len: u64) -> Result<u64, Refused> {
        use ErrorKind::{Integrity, Unsupported};
        let refuse = |kind, why| Err(Refused(kind, why));
        if !(2..=3).contains(&self.version) {
            return refuse(Unsupported, "is a qcow2 of a version that is not known");
        }
        if self.backing_file != 0 {
            return refuse(Unsupported, "names a backing file, which is not followed");
        }
        if self.crypt_method != 0 {
            return refuse(Unsupported, "is encrypted inside");
        }
        if self.snapshots != 0 {
            return refuse(Unsupported, "has snapshots inside");
        }
        // Dirty, corrupt, external data file, compression type, extended entries.
        if self.incompatible & 0b10 != 0 {
            return refuse(Integrity, "is marked as corrupt");
        }
        if self.incompatible & 0b100 != 0 {
            return refuse(Unsupported, "keeps its data in another file, which is not followed");
        }
        if !(9..=21).contains(&self.cluster_bits) {
            return refuse(Integrity, "has clusters of an impossible size");
        }
        if self.size == 0 || self.size > MAX_SIZE {
            return refuse(Integrity, "claims a size that no disk has");
        }
        let l1_bytes = u64::from(self.l1_entries) * 8;
        // Each entry stands for a table that fills a cluster with references of 8 bytes.
        let covered = u128::from(self.l1_entries) << (2 * self.cluster_bits - 3);
        if covered < u128::from(self.size) {
            return refuse(Integrity, "claims a size that its tables do not cover");
        }
        let ends = self.l1_offset.checked_add(l1_bytes).is_some_and(|end| end <= file_len);
        if l1_bytes > MAX_L1_BYTES || !ends {
            return refuse(Integrity, "has a table that does not lie in the file");
        }
        Ok(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(edit: impl FnOnce(&mut Vec<u8>)) -> Result<u64, Refused> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[7] = 3;
        bytes[23] = 16;
        bytes[24..32].copy_from_slice(&(64u64 << 20).to_be_bytes());
        bytes[39] = 1;
        bytes[40..48].copy_from_slice(&(3u64 << 16).to_be_bytes());
        edit(&mut bytes);
        Header::read(&bytes).and_then(|header| header.check(4 << 16))
    }

    #[test]
    fn a_plain_header_gives_its_size() {
        assert_eq!(header(|_| {}), Ok(64 << 20));
    }

    #[test]
    fn what_cannot_be_given_out_faithfully_is_refused_with_its_reason() {
        let cases: [(usize, &[u8], &str); 12] = [
            (7, &[4], "version"),
            (15, &[1], "backing file"),
            (35, &[2], "encrypted"),
            (63, &[1], "snapshots"),
            (79, &[2], "corrupt"),
            (79, &[4], "another file"),
            (23, &[8], "clusters"),
            (23, &[22], "clusters"),
            (24, &[0xff; 8], "size"),
            (24, &[0; 8], "size"),
            (28, &[0x40, 0, 0, 0], "do not cover"),
            (36, &[0x7f, 0xff, 0xff, 0xff], "in the file"),
        ];
        for (at, bytes, why) in cases {
            let refusal = header(|header| header[at..at + bytes.len()].copy_from_slice(bytes));
            let Refused(_, text) = refusal.expect_err(why);
            assert!(text.contains(why), "{text}");
        }
        assert!(header(|header| header.truncate(50)).is_err());
        assert!(header(|header| header[40] = 0xff).is_err());
    }
}
