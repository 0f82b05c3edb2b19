//! A file past the page cache.

use super::workload::Target;
use crate::error::{Error, Result};
use crate::units::{ByteLen, ByteOffset};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A file that is open with O_DIRECT, so that every request goes to whoever serves the file.
#[derive(Debug)]
pub struct DirectFile {
    file: OwnedFd,
    path: PathBuf,
    len: ByteLen,
}

impl DirectFile {
    /// Opens a file to read it only.
    ///
    /// # Errors
    /// `io` of the file system, also when the file has no direct I/O.
    pub fn open_to_read(path: &Path) -> Result<DirectFile> {
        DirectFile::open(path, OFlags::RDONLY)
    }

    /// Opens a file to read it and to overwrite what it holds.
    ///
    /// # Errors
    /// As [`open_to_read`](Self::open_to_read).
    pub fn open_to_overwrite(path: &Path) -> Result<DirectFile> {
        DirectFile::open(path, OFlags::RDWR)
    }

    fn open(path: &Path, mode: OFlags) -> Result<DirectFile> {
        let opened = rustix::fs::open(path, mode | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty());
        let file = opened.map_err(|errno| failed("opening", path, errno))?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| failed("looking at", path, errno))?;
        let len = ByteLen::new(u64::try_from(stat.st_size).unwrap_or(0));
        Ok(DirectFile { file, path: path.to_owned(), len })
    }
}

impl Target for DirectFile {
    fn len(&self) -> ByteLen {
        self.len
    }

    fn read(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        match rustix::io::retry_on_intr(|| rustix::io::pread(&self.file, &mut *into, offset.get()))
        {
            Ok(count) if count == into.len() => Ok(()),
            Ok(_) => Err(failed("reading the whole of a request of", &self.path, Errno::IO)),
            Err(errno) => Err(failed("reading", &self.path, errno)),
        }
    }

    fn write(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        match rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.file, bytes, offset.get())) {
            Ok(count) if count == bytes.len() => Ok(()),
            Ok(_) => Err(failed("writing the whole of a request of", &self.path, Errno::IO)),
            Err(errno) => Err(failed("writing", &self.path, errno)),
        }
    }
}

fn failed(doing: &str, path: &Path, errno: Errno) -> Error {
    Error::io(format!("{doing} {}", path.display()), errno.into())
}
