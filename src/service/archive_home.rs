//! The directory of a backup or an image: its record, the files of its archive, a scratch file.

use crate::archive::Archive;
use crate::error::{Error, ErrorKind, Result};
use crate::records::{PrivateDir, RecordPath, Records};
use std::path::PathBuf;

/// Where a backup or an image lies, whole or not.
pub(super) struct ArchiveHome {
    /// The directory.
    pub place: PathBuf,
    /// Its record.
    pub record: RecordPath,
    /// The name of a file that is there only while it is made.
    pub scratch: &'static str,
}

impl ArchiveHome {
    /// Removes all of it, the record last but for the directory: what is interrupted is repeated, and
    /// what is gone already is no error.
    ///
    /// # Errors
    /// `io`.
    pub fn remove(&self, records: &Records) -> Result<()> {
        self.remove_scratch()?;
        Archive::remove_files(&self.place)?;
        records.remove(&self.record)?;
        // What writers whose removal failed too have left aside of the record.
        match PrivateDir::open(&self.place).and_then(|directory| directory.remove_leftovers()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        ignore_missing(std::fs::remove_dir(&self.place))
            .map_err(|cause| Error::io(format!("removing {}", self.place.display()), cause))
    }

    /// Removes the scratch file.
    ///
    /// # Errors
    /// `io`.
    pub fn remove_scratch(&self) -> Result<()> {
        let path = self.place.join(self.scratch);
        ignore_missing(std::fs::remove_file(&path))
            .map_err(|cause| Error::io(format!("removing {}", path.display()), cause))
    }

    /// Whether there is no record and never was one, and nothing that one could be of: what a crash
    /// leaves before the record is written or after it is removed.
    ///
    /// # Errors
    /// `integrity` when the directory is open to others or a link; `io`.
    pub fn is_bare(&self, records: &Records) -> Result<bool> {
        let names = PrivateDir::open(&self.place)?.names()?;
        let is_nothing =
            |name: &String| *name == self.scratch || PrivateDir::is_aside(name.as_ref());
        Ok(!records.knows(&self.record) && names.iter().all(is_nothing))
    }
}

fn ignore_missing(outcome: std::io::Result<()>) -> std::io::Result<()> {
    match outcome {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
