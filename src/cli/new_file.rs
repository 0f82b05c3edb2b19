//! A new file that is there whole or not at all.

use crate::error::{Error, ErrorKind, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file while it is made, readable by its owner alone. It gets its name when it is
/// [finished](NewFile::finish); before that nothing of it is left, however this program ends.
pub(super) struct NewFile {
    path: PathBuf,
    file: File,
    is_named: bool,
}

impl NewFile {
    /// Refuses a path at which no new file can be made: nothing goes over something else, or to a
    /// terminal.
    ///
    /// # Errors
    /// `exists`; `invalid` for `-`.
    pub fn must_be_new(path: &Path) -> Result<()> {
        if path == Path::new("-") {
            return Err(Error::new(ErrorKind::Invalid, "this is not written to standard output")
                .remedy("name a new file"));
        }
        match std::fs::symlink_metadata(path) {
            Ok(_) => Err(exists(path)),
            Err(_) => Ok(()),
        }
    }

    /// Begins a file.
    ///
    /// # Errors
    /// `exists`; `io`, `no-space`.
    pub fn create(path: &Path) -> Result<NewFile> {
        NewFile::must_be_new(path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let unnamed = rustix::fs::open(parent.unwrap_or(Path::new(".")), flags, Mode::from(0o600));
        let (file, is_named) = match unnamed {
            Ok(file) => (File::from(file), false),
            // A file system that has no files without a name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => (named(path)?, true),
            Err(cause) => return Err(failed(path, cause.into())),
        };
        Ok(NewFile { path: path.to_owned(), file, is_named })
    }

    /// The file, to be written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// `exists` when somebody has taken the name meanwhile; `io`, `no-space`.
    pub fn finish(mut self) -> Result<()> {
        self.file.sync_all().map_err(|cause| self.failed(cause))?;
        if !self.is_named {
            let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let linked = rustix::fs::linkat(CWD, unnamed, CWD, &self.path, AtFlags::SYMLINK_FOLLOW);
            linked.map_err(|cause| match cause {
                Errno::EXIST => exists(&self.path),
                cause => failed(&self.path, cause.into()),
            })?;
        }
        self.is_named = false;
        Ok(())
    }

    /// That it could not be written.
    pub fn failed(&self, cause: std::io::Error) -> Error {
        Error::io(format!("writing {}", self.path.display()), cause)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.is_named {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn named(path: &Path) -> Result<File> {
    let opened = File::options().read(true).write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => failed(path, cause),
    })
}

fn exists(path: &Path) -> Error {
    Error::new(ErrorKind::Exists, format!("{} exists", path.display())).remedy("name a new file")
}

fn failed(path: &Path, cause: std::io::Error) -> Error {
    Error::io(format!("making {}", path.display()), cause)
}

#[cfg(test)]
mod tests {
    use super::NewFile;
    use crate::error::ErrorKind;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    #[test]
    fn a_file_is_there_once_it_is_finished_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("header");
        let dropped = NewFile::create(&path).unwrap();
        dropped.file().write_all(b"half").unwrap();
        drop(dropped);
        assert!(!path.exists());
        let file = NewFile::create(&path).unwrap();
        file.file().write_all(b"whole").unwrap();
        assert!(!path.exists());
        file.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        for taken in [path.as_path(), Path::new("/dev/tty"), Path::new("/dev/null")] {
            let refusal = NewFile::create(taken).map(drop).unwrap_err();
            assert_eq!(refusal.kind(), ErrorKind::Exists, "{taken:?}");
        }
        assert!(NewFile::must_be_new(Path::new("-")).is_err());
    }

    #[test]
    fn what_somebody_else_has_made_meanwhile_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("header");
        let file = NewFile::create(&path).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert_eq!(file.finish().unwrap_err().kind(), ErrorKind::Exists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
    }
}
