//! A directory that only the daemon's own user may enter, and atomic replacement of its files.

use super::private_file;
use super::private_file::PrivateFile;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What is not in its place has a name of this form: the prefix, a random UUID, a dot, and the name
/// of the place.
const ASIDE_PREFIX: &str = ".new-";
/// Digits and dashes of a UUID.
const UUID_CHARS: usize = 36;

/// An open directory. It stays the same directory when its path is renamed or replaced.
#[derive(Debug)]
pub struct PrivateDir {
    fd: OwnedFd,
    place: PathBuf,
}

/// What one name of a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    Directory,
    Other,
}

/// What became of the file that had a name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaced {
    /// It has the name of the unfinished file.
    Kept,
    /// There was none.
    Nothing,
    /// It is gone.
    Lost,
}

impl PrivateDir {
    /// Opens a directory.
    ///
    /// # Errors
    /// `not-found`; `integrity` with the repair when it belongs to somebody else or is open to
    /// others; `io`.
    pub fn open(path: &Path) -> Result<Self> {
        let fd = rustix::fs::open(path, directory_flags(), Mode::empty())
            .map_err(|cause| cannot_enter(path, cause))?;
        let directory = PrivateDir { fd, place: path.to_owned() };
        let status =
            rustix::fs::fstat(&directory.fd).map_err(|c| directory.failed("examining", c))?;
        private_file::check_private(&status, path, "700")?;
        Ok(directory)
    }

    /// Opens a directory, making it (mode 0700) when there is none. Its parent must exist.
    ///
    /// # Errors
    /// As for [`PrivateDir::open`].
    pub fn open_or_create(path: &Path) -> Result<Self> {
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) => sync_parent(path).inspect_err(|_| {
                // Else the next caller would find it and take it for durable.
                let _ = rustix::fs::rmdir(path);
            })?,
            Err(Errno::EXIST) => {}
            Err(cause) => {
                return Err(Error::io(format!("creating {}", path.display()), cause.into()));
            }
        }
        PrivateDir::open(path)
    }

    /// A second handle on the same directory.
    pub(super) fn try_clone(&self) -> Result<PrivateDir> {
        let fd = self
            .fd
            .try_clone()
            .map_err(|cause| Error::io(format!("opening {}", self.place.display()), cause))?;
        Ok(PrivateDir { fd, place: self.place.clone() })
    }

    /// Whether a file of this name is not in its place: being written, or taken away.
    pub fn is_aside(name: &std::ffi::OsStr) -> bool {
        name.to_str().is_some_and(is_aside)
    }

    /// The path it was opened by.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Opens a file for reading, or `None` when there is none.
    ///
    /// # Errors
    /// As for [`PrivateFile::open`].
    pub fn open_file(&self, name: &str) -> Result<Option<PrivateFile>> {
        let place = self.place.join(name);
        PrivateFile::open_in(self.fd.as_fd(), Path::new(name), &place, OFlags::RDONLY)
    }

    /// Opens a file for overwriting in place, or `None` when there is none.
    ///
    /// # Errors
    /// As for [`PrivateFile::open`].
    pub fn open_file_for_overwriting(&self, name: &str) -> Result<Option<PrivateFile>> {
        let place = self.place.join(name);
        PrivateFile::open_in(self.fd.as_fd(), Path::new(name), &place, OFlags::RDWR)
    }

    /// Opens a file for reading and writing; an empty one (mode 0600) is made, durably, when there
    /// is none.
    ///
    /// # Errors
    /// As for [`PrivateFile::open`].
    pub fn open_or_create_file(&self, name: &str) -> Result<PrivateFile> {
        if let Some(file) = self.open_file_for_overwriting(name)? {
            return Ok(file);
        }
        let place = self.place.join(name);
        PrivateFile::create_in(self.fd.as_fd(), Path::new(name), &place)?;
        self.sync().inspect_err(|_| {
            // Else the next caller would find it and take it for durable.
            let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
        })?;
        self.open_file_for_overwriting(name)?
            .ok_or_else(|| self.failed("opening a file of", Errno::NOENT))
    }

    /// Reads a file of at most `limit` bytes, or `None` when there is none.
    ///
    /// # Errors
    /// `integrity` for a larger file; else as for [`PrivateFile::open`].
    pub fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let place = self.place.join(name);
        let content = file
            .read_up_to(limit)
            .map_err(|cause| Error::io(format!("reading {}", place.display()), cause))?;
        match content {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(Error::new(
                ErrorKind::Integrity,
                format!("{} is larger than {limit} bytes", place.display()),
            )
            .remedy(format!("restore {} from a backup", place.display()))),
        }
    }

    /// Puts a file (mode 0600) in place of the one before, if any.
    ///
    /// Written under another name, synchronised, exchanged with the old file, and the directory
    /// synchronised: loss of power at any moment leaves the old file or the new one. When only the
    /// last synchronisation fails the old file is put back, since whoever is told of the failure
    /// goes on as if nothing had changed, and must not meet the change at the next start. What a
    /// crash leaves under the other name is removed by [`PrivateDir::remove_leftovers`].
    ///
    /// No lock is held meanwhile: callers at the same time meet in the file system's journal, which
    /// makes them durable together (`benches/control_plane.rs` shows by how much). Each name has
    /// one writer at a time.
    ///
    /// # Errors
    /// `io`, `no-space`. The old file is still there; after a loss of power it may yet be the new.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let unfinished = self.write_aside(name, bytes)?;
        let replaced = match self.exchange(&unfinished, name) {
            Ok(replaced) => replaced,
            Err(cause) => {
                self.remove_leftover(&unfinished);
                let place = self.place.join(name);
                return Err(Error::io(format!("writing {}", place.display()), cause.into()));
            }
        };
        let synchronised = self.sync();
        if synchronised.is_err() {
            self.put_back(&unfinished, name, replaced);
        }
        if replaced == Replaced::Kept || synchronised.is_err() {
            self.remove_leftover(&unfinished);
        }
        synchronised
    }

    /// Writes a file (mode 0600) that is to have this name, under another, which is given back. Its
    /// bytes are durable; its name is with the next synchronisation of the directory.
    pub(super) fn write_aside(&self, name: &str, bytes: &[u8]) -> Result<String> {
        let place = self.place.join(name);
        let aside = aside_name(name);
        let file = PrivateFile::create_in(self.fd.as_fd(), Path::new(&aside), &place)?;
        let written = file.file().write_all(bytes).and_then(|()| file.file().sync_all());
        if let Err(cause) = written {
            self.remove_leftover(&aside);
            return Err(Error::io(format!("writing {}", place.display()), cause));
        }
        Ok(aside)
    }

    /// Takes a file away from its name, durably, and gives the name it has then; `None` when there
    /// is none. When only the synchronisation fails it gets its name back.
    pub(super) fn take_aside(&self, name: &str) -> Result<Option<String>> {
        let aside = aside_name(name);
        match rustix::fs::renameat(&self.fd, name, &self.fd, &aside) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(None),
            Err(cause) => return Err(self.failed("removing a file of", cause)),
        }
        let synchronised = self.sync();
        if synchronised.is_err() {
            self.rename(&aside, name)?;
        }
        synchronised.map(|()| Some(aside))
    }

    /// Gives a file another name, in place of the one that has it.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<()> {
        rustix::fs::renameat(&self.fd, from, &self.fd, to).map_err(|cause| {
            Error::io(format!("writing {}", self.place.join(to).display()), cause.into())
        })
    }

    /// Gives a finished file its name; the old one keeps the name `unfinished` where the file
    /// system can do that.
    fn exchange(&self, unfinished: &str, name: &str) -> rustix::io::Result<Replaced> {
        // An exchange would put even a directory out of its place.
        if self.kind_of(name) == Ok(EntryKind::Directory) {
            return Err(Errno::ISDIR);
        }
        let exchanged =
            rustix::fs::renameat_with(&self.fd, unfinished, &self.fd, name, RenameFlags::EXCHANGE);
        let replaced = match exchanged {
            Ok(()) => return Ok(Replaced::Kept),
            Err(Errno::NOENT) => Replaced::Nothing,
            // A file system that cannot exchange.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Replaced::Lost,
            Err(cause) => return Err(cause),
        };
        rustix::fs::renameat(&self.fd, unfinished, &self.fd, name)?;
        Ok(replaced)
    }

    /// Takes an exchange back, as far as it can be done.
    fn put_back(&self, old: &str, name: &str, replaced: Replaced) {
        let undone = match replaced {
            Replaced::Kept => rustix::fs::renameat(&self.fd, old, &self.fd, name),
            Replaced::Nothing => rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()),
            Replaced::Lost => Err(Errno::OPNOTSUPP),
        };
        // What cannot be made durable now will be with the next change of this directory.
        let undone = undone.map_err(|cause| self.failed("undoing a change of", cause));
        if let Err(error) = undone.and_then(|()| self.sync()) {
            log::warn!(
                "event=refused-change-may-show record={} error=\"{error}\"",
                self.place.display()
            );
        }
    }

    /// Best effort: the next start removes what is left here.
    pub(super) fn remove_leftover(&self, unfinished: &str) {
        let _ = rustix::fs::unlinkat(&self.fd, unfinished, AtFlags::empty());
    }

    /// Removes a file, durably; whether it was there.
    ///
    /// # Errors
    /// `io`.
    pub fn remove(&self, name: &str) -> Result<bool> {
        let existed =
            private_file::unlink_in(self.fd.as_fd(), Path::new(name), &self.place.join(name))?;
        // Also when it was gone: the removal may be one whose synchronisation was interrupted.
        self.sync()?;
        Ok(existed)
    }

    /// The names in the directory, sorted, without those of files being written.
    ///
    /// # Errors
    /// `io`.
    pub fn names(&self) -> Result<Vec<String>> {
        Ok(self
            .entries()?
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !is_aside(name))
            .collect())
    }

    /// Removes the files that writers killed half-way left here.
    ///
    /// # Errors
    /// `io`.
    pub fn remove_leftovers(&self) -> Result<()> {
        for (name, kind) in self.entries()? {
            if kind == EntryKind::Other && is_aside(&name) {
                private_file::unlink_in(
                    self.fd.as_fd(),
                    Path::new(&name),
                    &self.place.join(&name),
                )?;
            }
        }
        Ok(())
    }

    /// Removes what lies aside of one name, whose only writer the caller is.
    pub(super) fn remove_leftovers_of(&self, place: &str) -> Result<()> {
        for (name, _) in self.entries()? {
            if place_of_aside(&name) == Some(place) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Opens a directory in this one, or `None` when there is none. Privacy is that of the
    /// outermost directory, which nobody else can pass; a link is not followed.
    pub(super) fn subdirectory(&self, name: &str) -> Result<Option<PrivateDir>> {
        let place = self.place.join(name);
        match rustix::fs::openat(&self.fd, name, directory_flags(), Mode::empty()) {
            Ok(fd) => Ok(Some(PrivateDir { fd, place })),
            Err(Errno::NOENT) => Ok(None),
            Err(cause) => Err(cannot_enter(&place, cause)),
        }
    }

    /// Opens a directory in this one, making it when there is none.
    pub(super) fn make_subdirectory(&self, name: &str) -> Result<PrivateDir> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => self.sync().inspect_err(|_| {
                // Else the next caller would find it and take it for durable.
                let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
            })?,
            Err(Errno::EXIST) => {}
            Err(cause) => {
                let place = self.place.join(name);
                return Err(Error::io(format!("creating {}", place.display()), cause.into()));
            }
        }
        self.subdirectory(name)?.ok_or_else(|| self.failed("entering", Errno::NOENT))
    }

    /// Removes a directory in this one if nothing is in it.
    pub(super) fn remove_empty_subdirectory(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) => self.sync(),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            Err(cause) => Err(self.failed("cleaning", cause)),
        }
    }

    pub(super) fn entries(&self) -> Result<Vec<(String, EntryKind)>> {
        let mut entries = Vec::new();
        let directory =
            rustix::fs::Dir::read_from(&self.fd).map_err(|c| self.failed("listing", c))?;
        for entry in directory {
            let entry = entry.map_err(|cause| self.failed("listing", cause))?;
            // Names that are not UTF-8 are none of ours.
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.kind_of(name).map_err(|c| self.failed("listing", c))?,
                FileType::Directory => EntryKind::Directory,
                _ => EntryKind::Other,
            };
            entries.push((name.to_owned(), kind));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    fn kind_of(&self, name: &str) -> rustix::io::Result<EntryKind> {
        let status = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => Ok(EntryKind::Directory),
            _ => Ok(EntryKind::Other),
        }
    }

    pub(super) fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).map_err(|cause| self.failed("synchronising", cause))
    }

    fn failed(&self, doing: &str, cause: Errno) -> Error {
        Error::io(format!("{doing} {}", self.place.display()), cause.into())
    }
}

/// Makes the creation of `path` itself durable.
pub(super) fn sync_parent(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    rustix::fs::open(parent, directory_flags(), Mode::empty())
        .and_then(rustix::fs::fsync)
        .map_err(|cause| Error::io(format!("synchronising {}", parent.display()), cause.into()))
}

fn cannot_enter(path: &Path, cause: Errno) -> Error {
    let place = path.display();
    match cause {
        Errno::NOENT => Error::new(ErrorKind::NotFound, format!("there is no directory {place}")),
        Errno::NOTDIR | Errno::LOOP => {
            Error::new(ErrorKind::Integrity, format!("{place} is not a directory, or is a link"))
        }
        Errno::ACCESS => private_file::closed_to_us(path),
        cause => Error::io(format!("opening directory {place}"), cause.into()),
    }
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn aside_name(name: &str) -> String {
    format!("{ASIDE_PREFIX}{}.{name}", uuid::Uuid::new_v4())
}

/// Whether a file of this name is not in its place.
pub(super) fn is_aside(name: &str) -> bool {
    name.starts_with(ASIDE_PREFIX)
}

/// The name of the place that a file aside is for, as far as it tells.
pub(super) fn place_of_aside(aside: &str) -> Option<&str> {
    aside.strip_prefix(ASIDE_PREFIX)?.get(UUID_CHARS..)?.strip_prefix('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn directory() -> (tempfile::TempDir, PrivateDir) {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let opened = PrivateDir::open(scratch.path()).unwrap();
        (scratch, opened)
    }

    /// All names, those of files aside too.
    fn all_in(scratch: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(scratch.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_is_replaced_leaves_no_other_one_behind() {
        let (scratch, directory) = directory();
        for content in ["first", "second"] {
            directory.replace("record", content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(scratch.path().join("record")).unwrap(), content);
            assert_eq!(all_in(&scratch), ["record"]);
        }
    }

    #[test]
    fn what_killed_writers_left_is_told_by_its_name_and_removed() {
        let (scratch, directory) = directory();
        directory.replace("record", b"sound").unwrap();
        let (one, other) =
            (directory.write_aside("record", b"").unwrap(), directory.write_aside("other", b""));
        let (other, folder) = (other.unwrap(), aside_name("folder"));
        fs::create_dir(scratch.path().join(&folder)).unwrap();
        for name in [&one, &other, &folder] {
            assert!(PrivateDir::is_aside(name.as_ref()));
        }
        assert!(!PrivateDir::is_aside("record".as_ref()));
        assert_eq!(directory.names().unwrap(), ["record"]);

        directory.remove_leftovers_of("record").unwrap();
        assert_eq!(all_in(&scratch).len(), 3);
        assert!(!scratch.path().join(one).exists());
        directory.remove_leftovers().unwrap();
        let mut kept = vec![folder, "record".to_owned()];
        kept.sort();
        assert_eq!(all_in(&scratch), kept, "a directory is no file that was being written");
    }

    /// Somebody who can write beside it could lead the daemon elsewhere.
    #[test]
    fn neither_a_link_nor_a_file_is_a_directory() {
        let (scratch, directory) = directory();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), scratch.path().join("link")).unwrap();
        fs::write(scratch.path().join("file"), "").unwrap();
        for name in ["link", "file"] {
            let refused = directory.subdirectory(name).err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::Integrity, "{name}");
            let refused = PrivateDir::open(&scratch.path().join(name)).err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::Integrity, "{name}");
        }
    }

    #[test]
    fn the_directory_that_is_synchronised_is_the_one_a_path_lies_in() {
        sync_parent(Path::new("a-file-of-the-working-directory")).unwrap();
        sync_parent(&std::env::temp_dir().join("a-file")).unwrap();
        let refused = sync_parent(Path::new("/there/is/no/such/directory")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Io);
    }
}
