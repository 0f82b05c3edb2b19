//! Where payloads lie, and how they are made, opened and removed.

use super::record::DiskRecord;
use crate::backing::{Backing, BlockDeviceBacking, FileBacking, OffsetBacking};
use crate::disk::Access;
use crate::error::{Error, ErrorKind, Result};
use crate::id::DiskId;
use crate::records::PrivateDir;
use crate::units::{ByteLen, ByteOffset};
use rustix::fs::Access as Permission;
use rustix::io::Errno;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Bytes looked at, at each end of a block device, for data that must not be overwritten unasked.
const PROBE: ByteLen = ByteLen::MIB;

/// Finds payloads: beside their records, or where RULES A6 lets an administrator put them.
pub struct Payloads {
    state_dir: PathBuf,
    backing_dirs: Vec<PathBuf>,
    direct_io: bool,
    // Set once, when the daemon has restricted itself.
    confined: OnceLock<()>,
}

/// Whether data found at a chosen backing may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Keep,
    /// The caller has said so.
    Overwrite,
}

impl Payloads {
    /// Payloads of this state directory.
    pub fn new(state_dir: PathBuf, backing_dirs: Vec<PathBuf>) -> Self {
        Payloads { state_dir, backing_dirs, direct_io: false, confined: OnceLock::new() }
    }

    /// Opens payloads past the kernel's page cache if `wanted`, where they allow it.
    #[must_use]
    pub fn with_direct_io(self, wanted: bool) -> Self {
        Payloads { direct_io: wanted, ..self }
    }

    /// From now on only what is there at this moment, or is made below it, can be opened: what a
    /// refusal to open something else then has to say.
    pub fn confine(&self) {
        let _ = self.confined.set(());
    }

    /// The directory of a disk's record and payload.
    pub fn directory_of(&self, id: DiskId) -> PathBuf {
        self.state_dir.join("disks").join(id.to_string())
    }

    /// Where a disk's payload lies.
    pub fn path_of(&self, record: &DiskRecord) -> PathBuf {
        match &record.backing {
            Some(path) => path.clone(),
            None => self.directory_of(record.id).join("payload"),
        }
    }

    /// Refuses a backing that no administrator has named in the configuration.
    ///
    /// # Errors
    /// `invalid` for a relative path or one with `..`; `denied` for one outside `backing_dirs`.
    pub fn check_choice(&self, path: &Path) -> Result<()> {
        let shown = path.display();
        let has_dots = path.components().any(|part| part == std::path::Component::ParentDir);
        if !path.is_absolute() || has_dots {
            let message = format!("backing {shown} is not an absolute path without `..`");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let is_named = self.backing_dirs.iter().any(|dir| {
            path == dir.as_path() && is_block_device(path)
                || path.starts_with(dir) && path != dir.as_path()
        });
        if is_named {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Denied, format!("backing {shown} does not lie in backing_dirs"))
            .remedy("add its directory, or the block device, to backing_dirs in mount.toml"))
    }

    /// Makes the payload of a new disk: sparse, reading as zeros.
    ///
    /// # Errors
    /// `exists` when data lies at a chosen backing; `no-space`, `in-use`, `io`.
    pub fn create(&self, record: &DiskRecord, existing: Existing) -> Result<()> {
        match &record.backing {
            Some(path) => create_at(path, record.size(), existing)
                .map_err(|error| self.explain_denial(path, error)),
            None => {
                let path = self.directory_of(record.id).join("payload");
                FileBacking::create(&path, record.size()).map(drop)
            }
        }
    }

    /// Opens a disk's payload, alone.
    ///
    /// # Errors
    /// `in-use` when another attachment or daemon has it; `not-found`, `io`.
    pub fn open(&self, record: &DiskRecord, access: Access) -> Result<Box<dyn Backing>> {
        let path = self.path_of(record);
        let denied = |error| self.explain_denial(&path, error);
        if record.backing.is_some() && is_block_device(&path) {
            let mut device = BlockDeviceBacking::open(&path, access).map_err(denied)?;
            self.try_direct_io(record, || device.bypass_page_cache());
            return from_its_offset(record, device);
        }
        let mut file = FileBacking::open(&path, access).map_err(denied)?;
        self.try_direct_io(record, || file.bypass_page_cache());
        from_its_offset(record, file)
    }

    /// The length of what lies at a chosen backing.
    ///
    /// # Errors
    /// `in-use` when another attachment or daemon has it; `not-found`, `io`.
    pub fn measure(&self, path: &Path) -> Result<ByteLen> {
        let len = match is_block_device(path) {
            true => BlockDeviceBacking::open(path, Access::ReadOnly).map(|device| device.len()),
            false => FileBacking::open(path, Access::ReadOnly).map(|file| file.len()),
        };
        len.map_err(|error| self.explain_denial(path, error))
    }

    /// A daemon that has restricted itself is denied what its administrator is not, and an errno alone
    /// sends people to look at permissions that are in order.
    fn explain_denial(&self, path: &Path, error: Error) -> Error {
        if error.kind() != ErrorKind::Denied || self.confined.get().is_none() || is_shut(path) {
            return error;
        }
        let text = format!(
            "payload {} cannot be opened: the sandbox leaves the daemon what was there when it started, \
             and this may have been made since",
            path.display()
        );
        Error::new(ErrorKind::Denied, text)
            .remedy(
                "evsfs umount, then evsfs mount; if that is refused too, look at who may open it: ls -l",
            )
            .caused_by(error)
    }

    fn try_direct_io(&self, record: &DiskRecord, bypass: impl FnOnce() -> Result<()>) {
        if self.direct_io
            && let Err(error) = bypass()
        {
            log::warn!("event=direct-backing-refused disk={} error=\"{error}\"", record.id);
        }
    }

    /// Removes a disk's own payload. A payload at a chosen backing stays where it is, for whoever
    /// chose the place to remove: that of an encrypted disk is noise without the data key, which
    /// goes with the record; that of an unencrypted one is its content.
    ///
    /// # Errors
    /// `io`; a payload that is gone already is no error.
    pub fn remove(&self, record: &DiskRecord) -> Result<()> {
        if record.backing.is_some() {
            return Ok(());
        }
        let path = self.directory_of(record.id).join("payload");
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("removing {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Removes a disk's directory once record and payload have gone, with what writers whose
    /// removal failed too have left aside of the record.
    ///
    /// # Errors
    /// `io`.
    pub fn remove_directory(&self, id: DiskId) -> Result<()> {
        let path = self.directory_of(id);
        let removed = std::fs::read_dir(&path).and_then(|entries| {
            for entry in entries {
                let entry = entry?;
                if PrivateDir::is_aside(&entry.file_name()) {
                    std::fs::remove_file(entry.path())?;
                }
            }
            std::fs::remove_dir(&path)
        });
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("removing {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Whether a disk's directory holds nothing: a crash came before its record was written or after
    /// it was removed, and no disk is lost with it.
    pub fn has_empty_directory(&self, id: DiskId) -> bool {
        // What lies aside of a record that is not there is nothing, see `records`.
        let is_nothing = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.is_ok_and(|entry| PrivateDir::is_aside(&entry.file_name()))
        };
        std::fs::read_dir(self.directory_of(id)).is_ok_and(|mut entries| entries.all(is_nothing))
    }

    /// Total and free bytes of the file system that holds the state directory.
    ///
    /// # Errors
    /// `io`.
    pub fn space(&self) -> Result<(ByteLen, ByteLen)> {
        let stat = rustix::fs::statvfs(&self.state_dir)
            .map_err(|cause| Error::io("asking for the free space", cause.into()))?;
        let bytes = |blocks: u64| ByteLen::new(blocks.saturating_mul(stat.f_frsize));
        Ok((bytes(stat.f_blocks), bytes(stat.f_bavail)))
    }
}

/// Makes a payload at a chosen place, or prepares what is there to be one.
fn create_at(path: &Path, size: ByteLen, existing: Existing) -> Result<()> {
    if is_block_device(path) {
        let device = BlockDeviceBacking::open(path, Access::ReadWrite)?;
        return prepare_device(&device, size, path, existing);
    }
    match (std::fs::symlink_metadata(path), existing) {
        (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => {
            FileBacking::create(path, size).map(drop)
        }
        (Err(error), _) => Err(Error::io(format!("looking at {}", path.display()), error)),
        (Ok(_), Existing::Keep) => Err(already_there(path)),
        (Ok(_), Existing::Overwrite) => {
            let file = FileBacking::open(path, Access::ReadWrite)?;
            file.discard(ByteOffset::ZERO, file.len())?;
            if file.len() < size {
                file.set_len(size)?;
            }
            file.flush()
        }
    }
}

fn from_its_offset(record: &DiskRecord, whole: impl Backing + 'static) -> Result<Box<dyn Backing>> {
    Ok(match record.backing_offset {
        None => Box::new(whole),
        Some(start) => Box::new(OffsetBacking::new(whole, ByteLen::new(start))?),
    })
}

fn prepare_device(
    device: &BlockDeviceBacking,
    size: ByteLen,
    path: &Path,
    existing: Existing,
) -> Result<()> {
    if device.len() < size {
        let message = format!("{} is only {} long", path.display(), device.len());
        return Err(Error::new(ErrorKind::NoSpace, message).remedy("choose a smaller --size"));
    }
    if existing == Existing::Keep && has_data(device)? {
        return Err(already_there(path));
    }
    // Never-written sectors must read as zeros (RULES D10), whatever the device held.
    device.discard(ByteOffset::ZERO, size)?;
    device.flush()
}

fn has_data(device: &dyn Backing) -> Result<bool> {
    let len = device.len();
    let probe = len.min(PROBE);
    let mut bytes = vec![0; probe.to_usize()?];
    let tail = ByteOffset::new(len.get() - probe.get());
    for start in [ByteOffset::ZERO, tail] {
        device.read_at(start, &mut bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn already_there(path: &Path) -> Error {
    Error::new(ErrorKind::Exists, format!("there is data at {}", path.display()))
        .remedy("choose another path, or say --overwrite to lose what is there")
}

fn is_block_device(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_block_device())
}

/// Whether permissions alone keep this process from a payload, or from making one there. access(2) asks
/// for nothing else: a sandbox has no part in it.
fn is_shut(path: &Path) -> bool {
    let refuses = |path: &Path, wanted| rustix::fs::access(path, wanted) == Err(Errno::ACCESS);
    match path.parent() {
        Some(directory) if !path.exists() => {
            refuses(directory, Permission::WRITE_OK | Permission::EXEC_OK)
        }
        _ => refuses(path, Permission::READ_OK),
    }
}
