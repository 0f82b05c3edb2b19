//! A new file that an image's content is written to.

use super::image_args::ImageFormat;
use super::new_file::NewFile;
use crate::error::Result;
use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatCreateBuilder, FormatDriverBuilder};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The file while it is written; unless it is [finished](ImageTarget::finish) it is removed again.
pub(super) struct ImageTarget {
    // Dropped first: closing a qcow2 writes its tables.
    content: Content,
    file: NewFile,
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
        let file = NewFile::create(path)?;
        let content =
            Content::begin(file.file(), format, size).map_err(|cause| file.failed(cause))?;
        Ok(ImageTarget { content, file })
    }

    /// Writes at an offset.
    ///
    /// # Errors
    /// `io`, `no-space`.
    pub fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let written = match &self.content {
            Content::Qcow2(image) => image.write(bytes, at),
            Content::Raw => self.file.file().write_all_at(bytes, at),
        };
        written.map_err(|cause| self.file.failed(cause))
    }

    /// Leaves the file where it is, durable.
    ///
    /// # Errors
    /// `io`, `no-space`.
    pub fn finish(self) -> Result<()> {
        let ImageTarget { content, file } = self;
        let flushed = match &content {
            Content::Qcow2(image) => image.flush(),
            Content::Raw => Ok(()),
        };
        flushed.map_err(|cause| file.failed(cause))?;
        file.finish()
    }
}

impl Content {
    fn begin(file: &File, format: ImageFormat, size: u64) -> std::io::Result<Content> {
        match format {
            ImageFormat::Raw => file.set_len(size).map(|()| Content::Raw),
            ImageFormat::Qcow2 => {
                let storage = imago::file::File::try_from(file.try_clone()?)?;
                let image = Qcow2::<imago::file::File>::create_builder(storage)
                    .size(size)
                    .create_open(DenyImplicitOpenGate::default(), |storage| {
                        Ok(Qcow2::builder(storage).backing(None).write(true))
                    })?;
                Ok(Content::Qcow2(Box::new(FormatAccess::new(image))))
            }
        }
    }
}
