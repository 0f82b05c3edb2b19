//! `data` of a disk, an image or a backup: how content passes between this program, which opens files with
//! its user's rights, and the daemon (RULES A6).
//!
//! A system call on it can be answered by an errno alone; the reason stands in `.evs/error`.

use super::failure::{Failure, Outcome};
use super::session::Session;
use crate::error::{Error, Refusal};
use std::fs::File;
use std::path::{Path, PathBuf};

/// An open `data`.
pub(super) struct DataFile {
    path: PathBuf,
    error: PathBuf,
    file: File,
}

impl DataFile {
    /// Opens `data` of one of `collection` to be read.
    ///
    /// # Errors
    /// What keeps the daemon from giving it out.
    pub fn to_read(session: &mut Session<'_>, collection: &str, name: &str) -> Outcome<Self> {
        DataFile::open(session, collection, name, File::options().read(true))
    }

    /// Opens `data` of one of `collection` to be written.
    ///
    /// # Errors
    /// What keeps the daemon from taking it.
    pub fn to_write(session: &mut Session<'_>, collection: &str, name: &str) -> Outcome<Self> {
        DataFile::open(session, collection, name, File::options().write(true))
    }

    /// Opens `data` of one of `collection` to be written, and read again.
    ///
    /// # Errors
    /// What keeps the daemon from taking it.
    pub fn to_write_and_compare(
        session: &mut Session<'_>,
        collection: &str,
        name: &str,
    ) -> Outcome<Self> {
        DataFile::open(session, collection, name, File::options().read(true).write(true))
    }

    fn open(
        session: &mut Session<'_>,
        collection: &str,
        name: &str,
        how: &std::fs::OpenOptions,
    ) -> Outcome<Self> {
        let control = session.mountpoint()?.join(".evs");
        let path = control.join(collection).join(name).join("data");
        let error = control.join("error");
        match how.open(&path) {
            Ok(file) => Ok(DataFile { path, error, file }),
            Err(cause) => Err(why(&error, format!("opening {}", path.display()), cause)),
        }
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why `doing` something with it has failed.
    pub fn failed(&self, doing: &str, cause: std::io::Error) -> Failure {
        why(&self.error, format!("{doing} {}", self.path.display()), cause)
    }
}

/// What the daemon says of it, if that is of the same errno: then nothing else was refused since.
fn why(error: &Path, doing: String, cause: std::io::Error) -> Failure {
    let said = std::fs::read_to_string(error).ok();
    let refusal = said.and_then(|text| Refusal::from_text(&text));
    let of_this = refusal
        .filter(|refusal| cause.raw_os_error().is_some_and(|errno| refusal.has_errno(errno)));
    match of_this {
        Some(refusal) => refusal.into(),
        None => Error::io(doing, cause).into(),
    }
}
