//! A file that this program makes for its user.

use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A new file while it is written; unless it is [finished](NewFile::finish) it is removed again.
pub(super) struct NewFile {
    path: PathBuf,
    file: File,
    is_finished: bool,
}

impl NewFile {
    /// Makes a file, readable by its owner alone.
    ///
    /// # Errors
    /// `exists`; `io`, `no-space`.
    pub fn create(path: &Path) -> Result<Self> {
        let opened = File::options().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = opened.map_err(|cause| match cause.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::new(ErrorKind::Exists, format!("{} exists", path.display()))
                    .remedy("name a new file")
            }
            _ => Error::io(format!("making {}", path.display()), cause),
        })?;
        Ok(NewFile { path: path.to_owned(), file, is_finished: false })
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Leaves the file where it is, durable.
    ///
    /// # Errors
    /// `io`, `no-space`.
    pub fn finish(mut self) -> Result<()> {
        self.file.sync_all().map_err(|cause| self.failed(cause))?;
        self.is_finished = true;
        Ok(())
    }

    /// That it could not be written.
    pub fn failed(&self, cause: std::io::Error) -> Error {
        Error::io(format!("writing {}", self.path.display()), cause)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
