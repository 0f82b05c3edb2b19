//! Records as files of the state directory.

use super::path;
use super::private_dir::PrivateDir;
use super::private_dir::{EntryKind, is_aside, place_of_aside};
use super::private_file::PrivateFile;
use super::store::{MAX_RECORD_BYTES, RECORD_SUFFIX};
use super::{Aside, RecordPath, RecordStore, Survey};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::sync::RwLock;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The records of a state directory, one file each, beside whatever else lies there.
///
/// A directory that held only the removed record is removed with it, except one directly under
/// the state directory.
#[derive(Debug)]
pub struct DirStore {
    root: PrivateDir,
    /// Guards no field but the shape of the tree: shared while a record is put, exclusive while
    /// empty directories are removed, so that none goes between its making and its first file.
    shape: RwLock<()>,
}

impl DirStore {
    /// Opens a state directory. The caller holds the directory's lock, so that no other writer is at
    /// work (RULES S3).
    ///
    /// # Errors
    /// `integrity` when the directory is not ours alone (mode 0700 or stricter); `not-found`; `io`.
    pub fn open(state_dir: &Path) -> Result<Self> {
        Ok(DirStore { root: PrivateDir::open(state_dir)?, shape: RwLock::new(()) })
    }

    /// The directory that holds `path`, or `None` when there is none.
    fn directory_of(&self, path: &RecordPath) -> Result<Option<PrivateDir>> {
        match path.directories().next_back() {
            Some(directory) => self.descend(directory),
            None => self.descend(""),
        }
    }

    fn log(&self, path: &RecordPath) -> Result<Option<PrivateFile>> {
        match self.directory_of(path)? {
            Some(directory) => directory.open_file(path.name()),
            None => Ok(None),
        }
    }

    /// Makes the directories above `path` that are missing; gives the innermost, `None` when that
    /// is the root. The caller holds `shape`.
    fn make_directories_of(&self, path: &RecordPath) -> Result<Option<PrivateDir>> {
        let mut made: Option<PrivateDir> = None;
        for directory in path.directories() {
            let component = directory.rsplit('/').next().unwrap_or(directory);
            made = Some(made.as_ref().unwrap_or(&self.root).make_subdirectory(component)?);
        }
        Ok(made)
    }

    /// Removes the directories above `path` that hold nothing, except the outermost. The caller
    /// holds `shape` alone.
    fn remove_empty_directories_of(&self, path: &RecordPath) -> Result<()> {
        for directory in path.directories().skip(1).collect::<Vec<_>>().into_iter().rev() {
            let Some((parent, name)) = directory.rsplit_once('/') else { break };
            if let Some(parent) = self.descend(parent)? {
                parent.remove_empty_subdirectory(name)?;
            }
        }
        Ok(())
    }

    /// Follows `directory`, component by component and through no link, from the root.
    fn descend(&self, directory: &str) -> Result<Option<PrivateDir>> {
        let mut here = Some(self.root.try_clone()?);
        for component in directory.split('/').filter(|component| !component.is_empty()) {
            match here {
                Some(parent) => here = parent.subdirectory(component)?,
                None => break,
            }
        }
        Ok(here)
    }
}

impl RecordStore for DirStore {
    fn get(&self, path: &RecordPath) -> Result<Option<Vec<u8>>> {
        match self.directory_of(path)? {
            Some(directory) => directory.read(path.name(), MAX_RECORD_BYTES),
            None => Ok(None),
        }
    }

    fn put(&self, path: &RecordPath, bytes: &[u8]) -> Result<()> {
        check_size(path, bytes)?;
        let _shape = self.shape.read();
        let made = self.make_directories_of(path)?;
        made.as_ref().unwrap_or(&self.root).replace(path.name(), bytes)
    }

    fn write_aside(&self, path: &RecordPath, bytes: &[u8]) -> Result<Aside> {
        check_size(path, bytes)?;
        let _shape = self.shape.read();
        let made = self.make_directories_of(path)?;
        let directory = made.as_ref().unwrap_or(&self.root);
        let token = directory.write_aside(path.name(), bytes)?;
        directory.sync().inspect_err(|_| directory.remove_leftover(&token))?;
        Ok(Aside { path: path.clone(), token })
    }

    fn take_aside(&self, path: &RecordPath) -> Result<Option<Aside>> {
        let Some(directory) = self.directory_of(path)? else { return Ok(None) };
        let token = directory.take_aside(path.name())?;
        Ok(token.map(|token| Aside { path: path.clone(), token }))
    }

    fn put_in_place(&self, aside: &Aside) -> Result<()> {
        match self.directory_of(&aside.path)? {
            Some(directory) => directory.rename(&aside.token, aside.path.name()),
            None => {
                let message = format!("the directory of {} has gone", self.place(&aside.path));
                Err(Error::new(ErrorKind::Io, message))
            }
        }
    }

    fn drop_aside(&self, aside: &Aside) -> Result<()> {
        let _shape = self.shape.write();
        let Some(directory) = self.directory_of(&aside.path)? else { return Ok(()) };
        directory.remove(&aside.token)?;
        // What a failed writer could not remove can go with it.
        directory.remove_leftovers_of(aside.path.name())?;
        self.remove_empty_directories_of(&aside.path)
    }

    fn read_aside(&self, aside: &Aside) -> Result<Option<Vec<u8>>> {
        match self.directory_of(&aside.path)? {
            Some(directory) => directory.read(&aside.token, MAX_RECORD_BYTES),
            None => Ok(None),
        }
    }

    fn survey(&self) -> Result<Survey> {
        let mut survey = Survey::default();
        survey_below(&self.root, "", 1, &mut survey)?;
        survey.records.sort();
        Ok(survey)
    }

    fn remove(&self, path: &RecordPath) -> Result<()> {
        let _shape = self.shape.write();
        let Some(directory) = self.directory_of(path)? else { return Ok(()) };
        directory.remove(path.name())?;
        // What a failed writer could not remove can go with the record.
        directory.remove_leftovers_of(path.name())?;
        self.remove_empty_directories_of(path)
    }

    fn list(&self, dir: &RecordPath) -> Result<Vec<String>> {
        let Some(directory) = self.descend(dir.as_str())? else { return Ok(Vec::new()) };
        let names = directory.names()?;
        Ok(names.into_iter().filter(|name| path::is_component(name)).collect())
    }

    fn append_log(&self, path: &RecordPath, offset: u64, bytes: &[u8]) -> Result<()> {
        let writing = |cause| Error::io(format!("writing {}", self.place(path)), cause);
        let _shape = self.shape.read();
        let directory = self.make_directories_of(path)?;
        let log = directory.as_ref().unwrap_or(&self.root).open_or_create_file(path.name())?;
        let log = log.file();
        if log.metadata().map_err(writing)?.len() > offset {
            log.set_len(offset).map_err(writing)?;
        }
        let written = log.write_all_at(bytes, offset).and_then(|()| log.sync_data());
        if written.is_err() {
            // Best effort: the next writer does it again.
            let _ = log.set_len(offset).and_then(|()| log.sync_data());
        }
        written.map_err(writing)
    }

    fn replace_log(&self, path: &RecordPath, bytes: &[u8]) -> Result<()> {
        let _shape = self.shape.read();
        let made = self.make_directories_of(path)?;
        made.as_ref().unwrap_or(&self.root).replace(path.name(), bytes)
    }

    fn read_log(&self, path: &RecordPath, offset: u64, len: usize) -> Result<Vec<u8>> {
        let reading = |cause| Error::io(format!("reading {}", self.place(path)), cause);
        let Some(log) = self.log(path)? else { return Ok(Vec::new()) };
        let left = log.file().metadata().map_err(reading)?.len().saturating_sub(offset);
        let mut bytes = vec![0; len.min(usize::try_from(left).unwrap_or(usize::MAX))];
        let mut filled = 0;
        while filled < bytes.len() {
            match log.file().read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(reading(cause)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn log_len(&self, path: &RecordPath) -> Result<u64> {
        let reading = |cause| Error::io(format!("examining {}", self.place(path)), cause);
        let Some(log) = self.log(path)? else { return Ok(0) };
        Ok(log.file().metadata().map_err(reading)?.len())
    }

    fn place(&self, path: &RecordPath) -> String {
        self.root.place().join(path.as_str()).display().to_string()
    }
}

fn check_size(path: &RecordPath, bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(Error::new(ErrorKind::Invalid, format!("record {path} is too large")));
    }
    Ok(())
}

/// Adds what lies in and below a directory, whose path is `above` with a slash, to a survey.
fn survey_below(
    directory: &PrivateDir,
    above: &str,
    depth: usize,
    survey: &mut Survey,
) -> Result<()> {
    for (name, kind) in directory.entries()? {
        if kind == EntryKind::Directory {
            if depth < RecordPath::MAX_DEPTH
                && path::is_component(&name)
                && let Some(below) = directory.subdirectory(&name)?
            {
                survey_below(&below, &format!("{above}{name}/"), depth + 1, survey)?;
            }
        } else if is_aside(&name) {
            // What tells no name is none of a record; it is told by the path of its directory.
            let place = place_of_aside(&name).filter(|place| path::is_component(place));
            let place = place.unwrap_or("unnamed");
            if let Ok(path) = RecordPath::parse(&format!("{above}{place}")) {
                survey.asides.push(Aside { path, token: name });
            }
        } else if name.ends_with(RECORD_SUFFIX)
            && let Ok(path) = RecordPath::parse(&format!("{above}{name}"))
        {
            survey.records.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{DirStore, RecordPath, RecordStore};
    use crate::error::ErrorKind;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn state_dir() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        directory
    }

    fn path(text: &str) -> RecordPath {
        RecordPath::parse(text).unwrap()
    }

    #[test]
    fn dir_store_does_what_every_store_must() {
        let directory = state_dir();
        super::super::store::suite::run(&DirStore::open(directory.path()).unwrap());
    }

    /// INTERFACE 7: the state directory is 0700, files are 0600, looser ones are refused.
    #[test]
    fn what_others_could_read_is_refused_with_its_name_and_the_repair() {
        let directory = state_dir();
        let store = DirStore::open(directory.path()).unwrap();
        store.put(&path("a/b/r.toml"), b"x").unwrap();
        let file = directory.path().join("a/b/r.toml");
        let mode =
            |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));

        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = store.get(&path("a/b/r.toml")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(error.message().contains("a/b/r.toml"), "{error}");
        assert!(error.suggested_remedy().unwrap().starts_with("chmod 600 "));

        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let error = DirStore::open(directory.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(error.suggested_remedy().unwrap().starts_with("chmod 700 "));
    }

    #[test]
    fn links_and_fifos_in_the_place_of_a_record_are_refused_without_waiting() {
        let directory = state_dir();
        let store = DirStore::open(directory.path()).unwrap();
        symlink("/etc/passwd", directory.path().join("link.toml")).unwrap();
        symlink("/etc", directory.path().join("linked")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            directory.path().join("fifo.toml"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for text in ["link.toml", "linked/passwd", "fifo.toml"] {
            assert_eq!(store.get(&path(text)).unwrap_err().kind(), ErrorKind::Integrity, "{text}");
        }
        // A link is replaced, not written through.
        store.put(&path("link.toml"), b"ours").unwrap();
        assert_eq!(store.get(&path("link.toml")).unwrap().unwrap(), b"ours");
    }

    #[test]
    fn leftovers_of_a_killed_writer_are_not_listed_but_surveyed_whatever_their_names_tell() {
        let directory = state_dir();
        let store = DirStore::open(directory.path()).unwrap();
        store.put(&path("disks/a/disk.toml"), b"x").unwrap();
        let leftover = directory.path().join("disks/a/.new-0");
        fs::write(&leftover, b"half").unwrap();
        assert_eq!(store.list(&path("disks/a")).unwrap(), ["disk.toml"]);
        let written = store.write_aside(&path("disks/a/disk.toml"), b"y").unwrap();
        let survey = DirStore::open(directory.path()).unwrap().survey().unwrap();
        assert_eq!(survey.records, [path("disks/a/disk.toml")]);
        assert!(survey.asides.contains(&written) && survey.asides.len() == 2);
        for aside in &survey.asides {
            store.drop_aside(aside).unwrap();
        }
        assert!(!leftover.exists());
        assert_eq!(store.get(&path("disks/a/disk.toml")).unwrap().unwrap(), b"x");
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_record_and_nothing_else() {
        let directory = state_dir();
        let store = DirStore::open(directory.path()).unwrap();
        // A directory cannot be replaced by a file: the rename fails after the bytes are written.
        fs::create_dir_all(directory.path().join("a/r.toml/full")).unwrap();
        assert!(store.put(&path("a/r.toml"), b"new").is_err());
        let names: Vec<_> = fs::read_dir(directory.path().join("a")).unwrap().collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn a_directory_goes_with_its_only_record_but_not_with_a_payload_beside_it() {
        let directory = state_dir();
        let store = DirStore::open(directory.path()).unwrap();
        for disk in ["a", "b"] {
            store.put(&path(&format!("disks/{disk}/disk.toml")), b"x").unwrap();
        }
        fs::write(directory.path().join("disks/b/payload"), b"x").unwrap();
        for disk in ["a", "b"] {
            store.remove(&path(&format!("disks/{disk}/disk.toml"))).unwrap();
        }
        assert!(!directory.path().join("disks/a").exists());
        assert!(directory.path().join("disks/b/payload").exists());
    }
}
