//! An archive as a directory, before and after it is whole.

use super::chunk::Cut;
use super::damage::refused;
use super::data_file::DataFile;
use super::manifest_reader::ManifestReader;
use super::manifest_writer::ManifestWriter;
use super::record::{ArchiveRecord, ManifestSeal};
use crate::error::{Error, ErrorKind, Result};
use crate::records::PrivateDir;
use std::fs::File;
use std::path::Path;

const DATA: &str = "data";
const MANIFEST: &str = "manifest.";

/// The directory of an archive that is being made. Unless it is [kept](Written::keep) in the end,
/// all that was put into it is removed again.
#[derive(Debug)]
pub struct NewArchive {
    directory: PrivateDir,
    is_kept: bool,
}

/// An archive that is whole and durable, and is waiting for its record to be.
#[derive(Debug)]
#[must_use = "an archive that is not kept is removed again"]
pub struct Written {
    new: NewArchive,
    record: ArchiveRecord,
}

/// An archive with its genuine record.
#[derive(Debug)]
pub struct Archive {
    directory: PrivateDir,
    record: ArchiveRecord,
    cut: Cut,
}

impl NewArchive {
    /// Makes the directory (mode 0700) if there is none; its parent must exist.
    ///
    /// # Errors
    /// `exists` when there is an archive in it already; `integrity` when it is open to others or a
    /// link; `io`.
    pub fn create(place: &Path) -> Result<Self> {
        let directory = PrivateDir::open_or_create(place)?;
        if directory.names()?.iter().any(|name| is_ours(name)) {
            let text = format!("there is an archive in {} already", place.display());
            return Err(Error::new(ErrorKind::Exists, text));
        }
        Ok(NewArchive { directory, is_kept: false })
    }

    /// The two files of the archive, empty.
    pub(super) fn files(&self, cut: Cut) -> Result<(DataFile, ManifestWriter<File>)> {
        let directory = &self.directory;
        let data = directory.open_or_create_file(DATA)?;
        let data = DataFile::create(data, shown(directory, DATA), cut)?;
        Ok((data, manifest_to_write(directory, cut, 0)?))
    }

    /// The manifest that was written, from its first entry.
    pub(super) fn manifest(&self, cut: Cut, seal: ManifestSeal) -> Result<ManifestReader<File>> {
        manifest_to_read(&self.directory, cut, seal)
    }

    /// To be called when both files are durable.
    pub(super) fn written(self, record: ArchiveRecord) -> Written {
        Written { new: self, record }
    }
}

impl Drop for NewArchive {
    fn drop(&mut self) {
        if !self.is_kept {
            // Best effort: whoever finds a directory without a finished record does it again.
            let _ = Archive::remove_files(self.directory.place());
        }
    }
}

impl Written {
    /// The record to save.
    pub fn record(&self) -> &ArchiveRecord {
        &self.record
    }

    /// Leaves the archive where it is. To be called when its record is durable.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn keep(mut self) -> Result<Archive> {
        self.new.is_kept = true;
        Archive::open(self.new.directory.place(), self.record.clone())
    }
}

impl Archive {
    /// Opens the archive in the directory `place`, whose last component is its id. The record has
    /// been authenticated.
    ///
    /// # Errors
    /// `integrity` when the record contradicts itself, or the directory is open to others or a
    /// link; `not-found`; `io`.
    pub fn open(place: &Path, record: ArchiveRecord) -> Result<Self> {
        let cut = record.check(&place.display().to_string())?;
        Ok(Archive { directory: PrivateDir::open(place)?, record, cut })
    }

    /// Removes the files of an archive, whole or not, and its directory when nothing else is in it.
    /// What is not there is no error, so that an interrupted removal is repeated.
    ///
    /// # Errors
    /// `io`; `integrity` when the directory is open to others or a link.
    pub fn remove_files(place: &Path) -> Result<()> {
        let directory = match PrivateDir::open(place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        for name in directory.names()?.iter().filter(|name| is_ours(name)) {
            directory.remove(name)?;
        }
        match std::fs::remove_dir(place) {
            Err(cause) if cause.kind() != std::io::ErrorKind::DirectoryNotEmpty => {
                Err(Error::io(format!("removing {}", place.display()), cause))
            }
            _ => Ok(()),
        }
    }

    /// The archive's record.
    pub fn record(&self) -> &ArchiveRecord {
        &self.record
    }

    /// Where the archive lies.
    pub fn place(&self) -> &Path {
        self.directory.place()
    }

    /// The directory's name, which is the id under which a child names its parent.
    pub(super) fn id(&self) -> &str {
        self.place().file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    pub(super) fn cut(&self) -> Cut {
        self.cut
    }

    /// # Errors
    /// `integrity` naming the file when it is missing or not as long as the disk; `io`.
    pub(super) fn data(&self) -> Result<DataFile> {
        let place = shown(&self.directory, DATA);
        let file = self.directory.open_file(DATA)?.ok_or_else(|| missing(&place))?;
        DataFile::open(file, place, self.cut)
    }

    pub(super) fn data_to_change(&self) -> Result<DataFile> {
        let place = shown(&self.directory, DATA);
        let file =
            self.directory.open_file_for_overwriting(DATA)?.ok_or_else(|| missing(&place))?;
        DataFile::open(file, place, self.cut)
    }

    /// The manifest, from its first entry.
    ///
    /// # Errors
    /// `integrity` naming the file when it is missing, has another length than the record says, or
    /// another header; `io`.
    pub(super) fn manifest(&self) -> Result<ManifestReader<File>> {
        manifest_to_read(&self.directory, self.cut, self.record.manifest)
    }

    /// Reads the whole manifest against its digest.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub(super) fn check_manifest(&self) -> Result<()> {
        self.manifest()?.finish()
    }

    /// The manifest that takes the place of this one once the record says so.
    pub(super) fn next_manifest(&self) -> Result<ManifestWriter<File>> {
        let generation = self.record.manifest.generation.wrapping_add(1);
        manifest_to_write(&self.directory, self.cut, generation)
    }

    /// Removes every manifest but the one that counts.
    pub(super) fn remove_other_manifests(&self, seal: ManifestSeal) -> Result<()> {
        let current = manifest_name(seal.generation);
        for name in self.directory.names()? {
            if name.starts_with(MANIFEST) && name != current {
                self.directory.remove(&name)?;
            }
        }
        Ok(())
    }
}

fn manifest_to_read(
    directory: &PrivateDir,
    cut: Cut,
    seal: ManifestSeal,
) -> Result<ManifestReader<File>> {
    let name = manifest_name(seal.generation);
    let place = shown(directory, &name);
    let opening = |cause| Error::io(format!("opening {place}"), cause);
    let file = directory.open_file(&name)?.ok_or_else(|| missing(&place))?;
    let file = file.file().try_clone().map_err(opening)?;
    let len = file.metadata().map_err(opening)?.len();
    if len != seal.len {
        let why = format!("has {len} bytes where its record says {}", seal.len);
        return Err(refused(&place, &why));
    }
    ManifestReader::begin(file, place, cut, seal)
}

fn manifest_to_write(
    directory: &PrivateDir,
    cut: Cut,
    generation: u32,
) -> Result<ManifestWriter<File>> {
    let name = manifest_name(generation);
    let place = shown(directory, &name);
    let making = |cause| Error::io(format!("making {place}"), cause);
    let file = directory.open_or_create_file(&name)?;
    // An engine that was killed may have left one of this generation, which never counted.
    file.file().set_len(0).map_err(making)?;
    let file = file.file().try_clone().map_err(making)?;
    Ok(ManifestWriter::new(file, place, cut, generation))
}

fn manifest_name(generation: u32) -> String {
    format!("{MANIFEST}{generation}")
}

fn is_ours(name: &str) -> bool {
    name == DATA || name.starts_with(MANIFEST)
}

fn shown(directory: &PrivateDir, name: &str) -> String {
    directory.place().join(name).display().to_string()
}

fn missing(place: &str) -> Error {
    refused(place, "is missing")
}
