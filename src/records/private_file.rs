//! Files that only the daemon's own user may read.

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// An open regular file of our own that is closed to everybody else (INTERFACE section 7).
#[derive(Debug)]
pub struct PrivateFile {
    file: File,
}

impl PrivateFile {
    /// Opens a file for reading; `None` when there is none of that name.
    ///
    /// # Errors
    /// `integrity`, naming the file and the repair, when it is a link, not a regular file, owned by
    /// somebody else or open to others; `io`.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        PrivateFile::open_in(rustix::fs::CWD, path, path, OFlags::RDONLY)
    }

    /// Opens a file for overwriting in place; `None` when there is none of that name.
    ///
    /// # Errors
    /// As for [`PrivateFile::open`].
    pub fn open_for_overwriting(path: &Path) -> Result<Option<Self>> {
        PrivateFile::open_in(rustix::fs::CWD, path, path, OFlags::RDWR)
    }

    /// Puts a file (mode 0600) in place of the one before, in a directory that may be open to
    /// others: written as `path` with `.new` added, synchronised, renamed. Loss of power at any
    /// moment leaves the old file or the new one. The caller holds a lock, so that there is one
    /// writer.
    ///
    /// # Errors
    /// `io`, `no-space`. The old file is still there unless only the last synchronisation failed.
    pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let unfinished = Path::new(&unfinished);
        // What a writer killed half-way has left.
        unlink_in(rustix::fs::CWD, unfinished, unfinished)?;
        let file = PrivateFile::create(unfinished)?;
        let mut writer = file.file();
        let written = writer
            .write_all(bytes)
            .and_then(|()| writer.sync_all())
            .and_then(|()| std::fs::rename(unfinished, path));
        if let Err(cause) = written {
            // Best effort: the next replacement removes what is left here.
            let _ = std::fs::remove_file(unfinished);
            return Err(Error::io(format!("writing {}", path.display()), cause));
        }
        PrivateFile::make_creation_durable(path)
    }

    /// Creates a file, empty and open for writing.
    ///
    /// # Errors
    /// `exists` when there is one already, which is left as it is; `io`.
    pub fn create(path: &Path) -> Result<Self> {
        PrivateFile::create_in(rustix::fs::CWD, path, path)
    }

    /// Makes the name of a file that was created durable too.
    ///
    /// # Errors
    /// `io`.
    pub fn make_creation_durable(path: &Path) -> Result<()> {
        super::private_dir::sync_parent(path)
    }

    /// `name` is looked up in `directory`; `place` is the full path for messages.
    pub(super) fn open_in(
        directory: BorrowedFd<'_>,
        name: &Path,
        place: &Path,
        access: OFlags,
    ) -> Result<Option<Self>> {
        // Not blocking, so that a FIFO put in the file's place cannot hold the daemon.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(refused(place, "is a symbolic link", None)),
            Err(Errno::ACCESS) => return Err(closed_to_us(place)),
            Err(cause) => {
                return Err(Error::io(format!("opening {}", place.display()), cause.into()));
            }
        };
        let status = rustix::fs::fstat(&fd)
            .map_err(|cause| Error::io(format!("examining {}", place.display()), cause.into()))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(refused(place, "is not a regular file", None));
        }
        check_private(&status, place, "600")?;
        Ok(Some(PrivateFile { file: File::from(fd) }))
    }

    pub(super) fn create_in(
        directory: BorrowedFd<'_>,
        name: &Path,
        place: &Path,
    ) -> Result<PrivateFile> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => Ok(PrivateFile { file: File::from(fd) }),
            Err(Errno::EXIST) => {
                Err(Error::new(ErrorKind::Exists, format!("{} exists already", place.display())))
            }
            Err(cause) => Err(Error::io(format!("creating {}", place.display()), cause.into())),
        }
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The whole content, or `None` when it is more than `limit` bytes. Memory is bounded by the
    /// limit whatever the file claims.
    ///
    /// # Errors
    /// What read(2) reports.
    pub fn read_up_to(&self, limit: usize) -> std::io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        (&self.file).take(limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() <= limit).then_some(bytes))
    }
}

/// Removes `name` from `directory`; whether it was there.
pub(super) fn unlink_in(directory: BorrowedFd<'_>, name: &Path, place: &Path) -> Result<bool> {
    match rustix::fs::unlinkat(directory.as_fd(), name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(cause) => Err(Error::io(format!("removing {}", place.display()), cause.into())),
    }
}

/// Refuses what is not ours alone; `mode` is the chmod argument that repairs it.
pub(super) fn check_private(status: &rustix::fs::Stat, place: &Path, mode: &str) -> Result<()> {
    let uid = rustix::process::geteuid();
    if status.st_uid != uid.as_raw() {
        let fix = format!("chown {uid} {}", place.display());
        return Err(refused(place, "belongs to another user", Some(fix)));
    }
    if Mode::from_raw_mode(status.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
        let fix = format!("chmod {mode} {}", place.display());
        return Err(refused(place, "is open to other users", Some(fix)));
    }
    Ok(())
}

/// Refuses what cannot be opened, as when root has put it there for a daemon that is another user.
pub(super) fn closed_to_us(place: &Path) -> Error {
    let uid = rustix::process::geteuid();
    refused(
        place,
        &format!("is closed to uid {uid}"),
        Some(format!("chown {uid} {}", place.display())),
    )
}

fn refused(place: &Path, why: &str, fix: Option<String>) -> Error {
    let error = Error::new(ErrorKind::Integrity, format!("{} {why}", place.display()));
    match fix {
        Some(fix) => error.remedy(fix),
        None => error.remedy(format!("restore {} from a backup", place.display())),
    }
}
