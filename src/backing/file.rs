//! A payload in a sparse file.

use super::contract::{Access, Backing, ReadableFile, end_within, must_not_shrink};
use super::descriptor::Descriptor;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::units::{ByteLen, ByteOffset};
use rustix::fs::{FallocateFlags, FileType, Mode, OFlags};
use std::path::Path;

/// Bytes of the unit in which stat(2) counts used space.
const STAT_BLOCK: u64 = 512;

/// A regular file, mode 0600, locked as long as it is open.
///
/// Paths are opened without following symbolic links; pass one that has been made canonical.
pub struct FileBacking {
    file: Descriptor,
    // Set at open and by set_len only: nobody else may change the file while we hold its lock. The
    // store in set_len (Release) pairs with the load in len (Acquire).
    len: AtomicU64,
    // Held while the length changes, so that two growths cannot undo each other.
    growth: Mutex<()>,
}

impl FileBacking {
    /// Makes a file of `len` bytes that uses no space yet. It is durable, name included, when this
    /// returns, so that a record may name it.
    ///
    /// # Errors
    /// `exists` when there is something of that name; `io`, `no-space`, `denied` of the filesystem.
    pub fn create(path: &Path, len: ByteLen) -> Result<Self> {
        let exclusive = OFlags::CREATE | OFlags::EXCL;
        let file = Descriptor::open(path, Access::ReadWrite, exclusive, Mode::RUSR | Mode::WUSR)?;
        let made = FileBacking { file, len: AtomicU64::new(0), growth: Mutex::new(()) };
        let finished = made.file.lock().and_then(|()| made.set_len(len)).and_then(|()| {
            made.file.sync_all()?;
            sync_directory_of(path)
        });
        match finished {
            Ok(()) => Ok(made),
            Err(error) => {
                // The half-made file is ours (O_EXCL), and a retry must not find it.
                let _ = rustix::fs::unlink(path);
                Err(error)
            }
        }
    }

    /// Opens a payload made before.
    ///
    /// # Errors
    /// `not-found`; `invalid` when it is not a regular file or its path has a symbolic link;
    /// `in-use` when somebody holds it, also one who only reads (RULES S3); `denied`; `io`.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        let file = Descriptor::open(path, access, OFlags::empty(), Mode::empty())?;
        if FileType::from_raw_mode(file.stat()?.st_mode) != FileType::RegularFile {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("payload {} is not a regular file", path.display()),
            ));
        }
        file.lock()?;
        // Asked under the lock: the last holder may have grown it.
        let len = file.end()?;
        Ok(FileBacking { file, len: AtomicU64::new(len.get()), growth: Mutex::new(()) })
    }
}

impl FileBacking {
    /// Reads and writes past the kernel's page cache from now on. Any offset and length is still
    /// served; what is not aligned to the medium's blocks costs a read and a copy more.
    ///
    /// # Errors
    /// `unsupported` where the filesystem has no direct I/O; the file then goes on as before.
    pub fn bypass_page_cache(&mut self) -> Result<()> {
        self.file.go_direct(self.len(), None)
    }
}

/// Makes a new name durable.
fn sync_directory_of(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Descriptor::open(parent, Access::ReadOnly, OFlags::DIRECTORY, Mode::empty())?.sync_all()
}

impl Backing for FileBacking {
    fn len(&self) -> ByteLen {
        ByteLen::new(self.len.load(Ordering::Acquire))
    }

    fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        end_within(self.len(), offset, ByteLen::of(bytes))?;
        self.file.write_at(offset, bytes)
    }

    fn discard(&self, offset: ByteOffset, len: ByteLen) -> Result<()> {
        let end = end_within(self.len(), offset, len)?;
        if len == ByteLen::ZERO {
            return Ok(());
        }
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match self.file.try_fallocate(punch, offset, len)? {
            true => Ok(()),
            false => self.file.write_zeros(offset, end),
        }
    }

    fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.file.seek_data(offset)
    }

    fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.file.seek_hole(offset)
    }

    fn flush(&self) -> Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: ByteLen) -> Result<()> {
        let _growing = self.growth.lock();
        must_not_shrink(self.len(), len)?;
        if len > self.len() {
            self.file.truncate(len)?;
            self.len.store(len.get(), Ordering::Release);
        }
        Ok(())
    }

    fn allocated(&self) -> Result<ByteLen> {
        let blocks = u64::try_from(self.file.stat()?.st_blocks).unwrap_or(0);
        Ok(ByteLen::new(blocks.saturating_mul(STAT_BLOCK)))
    }

    fn readable_file(&self) -> Result<Option<ReadableFile>> {
        // tmpfs takes O_DIRECT (Linux 6.6), ignores it, and does not say so.
        let direct_alignment = match self.file.is_in_memory() {
            true => Some(1),
            false => self.file.direct_alignment()?,
        };
        Ok(Some(ReadableFile { file: self.file.reopen_to_read()?, direct_alignment }))
    }
}

impl std::fmt::Debug for FileBacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileBacking({}, {})", self.file.path().display(), self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::conformance;
    use std::os::unix::fs::PermissionsExt;

    fn scratch() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("payload");
        (directory, path)
    }

    #[test]
    fn a_file_keeps_the_contract() {
        let (_directory, path) = scratch();
        conformance::check(&FileBacking::create(&path, conformance::LEN).unwrap());
    }

    #[test]
    fn a_file_on_tmpfs_keeps_the_contract() {
        let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
            return println!("skipped: /dev/shm cannot be written");
        };
        let path = directory.path().canonicalize().unwrap().join("payload");
        conformance::check(&FileBacking::create(&path, conformance::LEN).unwrap());
    }

    #[test]
    fn a_file_past_the_page_cache_keeps_the_contract() {
        let (_directory, path) = scratch();
        let mut backing = FileBacking::create(&path, conformance::LEN).unwrap();
        match backing.bypass_page_cache() {
            Ok(()) => conformance::check(&backing),
            Err(refusal) => println!("skipped: {refusal}"),
        }
    }

    #[test]
    fn a_file_in_memory_has_no_direct_io_and_goes_on() {
        let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
            return println!("skipped: /dev/shm cannot be written");
        };
        let path = directory.path().canonicalize().unwrap().join("payload");
        let mut backing = FileBacking::create(&path, conformance::LEN).unwrap();
        let refusal = backing.bypass_page_cache().unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Unsupported);
        conformance::check(&backing);
    }

    /// A payload whose last block is cut has no direct I/O; one that grows keeps whole blocks.
    #[test]
    fn lengths_that_are_no_whole_blocks_stay_in_the_page_cache() {
        let (_directory, path) = scratch();
        let mut odd = FileBacking::create(&path, ByteLen::new(4096 + 100)).unwrap();
        assert_eq!(odd.bypass_page_cache().unwrap_err().kind(), ErrorKind::Unsupported);
        odd.set_len(ByteLen::new(8192)).unwrap();
        if let Err(refusal) = odd.bypass_page_cache() {
            return println!("skipped: {refusal}");
        }
        odd.set_len(ByteLen::new(8192 + 100)).unwrap();
        odd.write_at(ByteOffset::new(8192 + 50), &[7; 50]).unwrap();
        let mut found = [0xee; 100];
        odd.read_at(ByteOffset::new(8192), &mut found).unwrap();
        assert!(found[..50] == [0; 50] && found[50..] == [7; 50]);
    }

    #[test]
    fn where_no_hole_can_be_made_zeros_are_written_over_data_only() {
        let (_directory, path) = scratch();
        let backing = FileBacking::create(&path, ByteLen::MIB).unwrap();
        backing.write_at(ByteOffset::new(100_000), &[1; 100_000]).unwrap();
        let used = backing.allocated().unwrap();
        let (from, to) = (ByteOffset::new(5), ByteOffset::new(199_999));
        backing.file.write_zeros(from, to).unwrap();
        let mut found = vec![0xee; 1 << 20];
        backing.read_at(ByteOffset::ZERO, &mut found).unwrap();
        assert_eq!(found.iter().position(|byte| *byte != 0), Some(199_999));
        assert_eq!(backing.allocated().unwrap(), used);
    }

    #[test]
    fn a_new_payload_is_private_sparse_and_never_overwrites() {
        let (_directory, path) = scratch();
        let made = FileBacking::create(&path, ByteLen::new(1 << 30)).unwrap();
        assert_eq!(made.allocated().unwrap(), ByteLen::ZERO);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = FileBacking::create(&path, ByteLen::MIB).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Exists);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1 << 30);
    }

    /// RULES S3: one attachment per payload, and a dead one's leftovers are not in the way.
    #[test]
    fn a_payload_is_held_by_one_opener_until_it_lets_go() {
        let (_directory, path) = scratch();
        let first = FileBacking::create(&path, ByteLen::MIB).unwrap();
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let second = FileBacking::open(&path, access).unwrap_err();
            assert_eq!(second.kind(), ErrorKind::InUse);
        }
        drop(first);
        let reader = FileBacking::open(&path, Access::ReadOnly).unwrap();
        assert_eq!(
            FileBacking::open(&path, Access::ReadOnly).unwrap_err().kind(),
            ErrorKind::InUse
        );
        assert_eq!(reader.write_at(ByteOffset::ZERO, b"no").unwrap_err().kind(), ErrorKind::Io);
    }

    /// RULES A6: no symbolic link is followed, wherever in the path it stands.
    #[test]
    fn symbolic_links_are_refused_in_every_component() {
        let (_directory, path) = scratch();
        drop(FileBacking::create(&path, ByteLen::MIB).unwrap());
        let parent = path.parent().unwrap();
        std::os::unix::fs::symlink(&path, parent.join("link")).unwrap();
        std::os::unix::fs::symlink(parent, parent.join("detour")).unwrap();
        for way in ["link", "detour/payload"] {
            let error = FileBacking::open(&parent.join(way), Access::ReadWrite).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{way}: {error}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_does_not_hang() {
        let (_directory, path) = scratch();
        let parent = path.parent().unwrap();
        let fifo = parent.join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for odd in [parent, fifo.as_path(), Path::new("/dev/zero")] {
            let error = FileBacking::open(odd, Access::ReadOnly).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{}", odd.display());
        }
        let missing = FileBacking::open(&path, Access::ReadOnly).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    /// A payload cut behind our back gives EIO, not zeros.
    #[test]
    fn a_truncated_file_fails_instead_of_reading_as_zeros() {
        let (_directory, path) = scratch();
        let mut backing = FileBacking::create(&path, ByteLen::MIB).unwrap();
        let cut = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        cut.set_len(4096 + 100).unwrap();
        for _past_the_page_cache in [false, true] {
            let error = backing.read_at(ByteOffset::new(4096), &mut [0; 4096]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(format!("{error}").contains("ends before"), "{error}");
            let _ = backing.bypass_page_cache();
        }
    }
}
