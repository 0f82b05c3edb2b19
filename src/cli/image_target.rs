//! A new file that an image's content is written to.

use super::image_args::ImageFormat;
use crate::error::{Error, ErrorKind, Result};
use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatCreateBuilder, FormatDriverBuilder};
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file while it is written; unless it is [finished](ImageTarget::finish) it is removed again.
pub(super) struct ImageTarget {
    path: PathBuf,
    content: Option<Content>,
    file: File,
    is_finished: bool,
}

enum Content {
    Raw,
    Qcow2(Box<FormatAccess<imago::file::File>>),
}

impl ImageTarget {
    /// Makes a file, readable by its owner alone, for content of `size` bytes.
    ///
    /// # Errors
    /// `exists`; `io`, `no-space`.
    pub fn create(path: &Path, format: ImageFormat, size: u64) -> Result<Self> {
        let opened = File::options().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = opened.map_err(|cause| match cause.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::new(ErrorKind::Exists, format!("{} exists", path.display()))
                    .remedy("name a new file")
            }
            _ => Error::io(format!("making {}", path.display()), cause),
        })?;
        let mut target =
            ImageTarget { path: path.to_owned(), content: None, file, is_finished: false };
        let content = target.begin(format, size).map_err(|cause| target.failed(cause))?;
        target.content = Some(content);
        Ok(target)
    }

    fn begin(&self, format: ImageFormat, size: u64) -> std::io::Result<Content> {
        match format {
            ImageFormat::Raw => self.file.set_len(size).map(|()| Content::Raw),
            ImageFormat::Qcow2 => {
                let storage = imago::file::File::try_from(self.file.try_clone()?)?;
                let image = Qcow2::<imago::file::File>::create_builder(storage)
                    .size(size)
                    .create_open(DenyImplicitOpenGate::default(), |storage| {
                        Ok(Qcow2::builder(storage).backing(None).write(true))
                    })?;
                Ok(Content::Qcow2(Box::new(FormatAccess::new(image))))
            }
        }
    }

    /// Writes at an offset.
    ///
    /// # Errors
    /// `io`, `no-space`.
    pub fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let written = match &self.content {
            Some(Content::Qcow2(image)) => image.write(bytes, at),
            Some(Content::Raw) | None => self.file.write_all_at(bytes, at),
        };
        written.map_err(|cause| self.failed(cause))
    }

    /// Leaves the file where it is, durable.
    ///
    /// # Errors
    /// `io`, `no-space`.
    pub fn finish(mut self) -> Result<()> {
        let flushed = match &self.content {
            Some(Content::Qcow2(image)) => image.flush(),
            Some(Content::Raw) | None => Ok(()),
        };
        let synced = flushed.and_then(|()| self.file.sync_all());
        synced.map_err(|cause| self.failed(cause))?;
        self.is_finished = true;
        Ok(())
    }

    fn failed(&self, cause: std::io::Error) -> Error {
        Error::io(format!("writing {}", self.path.display()), cause)
    }
}

impl Drop for ImageTarget {
    fn drop(&mut self) {
        // Before the name goes: closing a qcow2 writes its tables.
        drop(self.content.take());
        if !self.is_finished {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
