//! The directory that is mounted on.

use crate::error::{Error, ErrorKind, Result};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::path::Path;

/// Kibibytes the kernel reads ahead in disk files.
const READAHEAD_KIB: &str = "1024";

/// Checks that a directory can be mounted on; takes away what a dead daemon has left there.
///
/// # Errors
/// `not-found`, `invalid` when it is no directory, `in-use` when evsfs is mounted there and alive.
pub fn prepare_mountpoint(mountpoint: &Path) -> Result<()> {
    let shown = mountpoint.display();
    let looked_at = match std::fs::metadata(mountpoint) {
        // ECONNABORTED: the daemon died while this very request was under way.
        Err(error) if is_of_dead_daemon(&error) => {
            log::info!("event=dead-mount-taken-away mountpoint={shown}");
            unmount(mountpoint, Lazily::Yes)?;
            std::fs::metadata(mountpoint)
        }
        other => other,
    };
    match looked_at {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::NotFound, format!("mountpoint {shown} does not exist"))
                .remedy(format!("mkdir -p {shown}")))
        }
        Err(error) => Err(Error::io(format!("looking at mountpoint {shown}"), error)),
        Ok(meta) if !meta.is_dir() => {
            Err(Error::new(ErrorKind::Invalid, format!("mountpoint {shown} is not a directory")))
        }
        Ok(_) if mountpoint.canonicalize().is_ok_and(|real| mounted_device(&real).is_some()) => {
            Err(Error::new(ErrorKind::InUse, format!("evsfs is mounted on {shown} already"))
                .remedy(format!("evsfs umount {shown}")))
        }
        Ok(_) => Ok(()),
    }
}

fn is_of_dead_daemon(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOTCONN | Errno::CONNABORTED))
}

/// Whether a mount that is still in use may be taken out of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lazily {
    /// Only when nothing uses it.
    No,
    /// Also when something does; it goes when the last user goes.
    Yes,
}

/// Unmounts, through fusermount3 where the kernel wants a privilege we do not have.
///
/// # Errors
/// `in-use`, `io`.
pub fn unmount(mountpoint: &Path, lazily: Lazily) -> Result<()> {
    let flags = match lazily {
        Lazily::No => UnmountFlags::empty(),
        Lazily::Yes => UnmountFlags::DETACH,
    };
    let shown = mountpoint.display();
    match rustix::mount::unmount(mountpoint, flags) {
        // EINVAL: nothing is mounted there (any more).
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(Errno::PERM) => unmount_by_helper(mountpoint, lazily),
        Err(Errno::BUSY) => Err(Error::new(ErrorKind::InUse, format!("{shown} is in use"))),
        Err(error) => Err(Error::io(format!("unmounting {shown}"), error.into())),
    }
}

fn unmount_by_helper(mountpoint: &Path, lazily: Lazily) -> Result<()> {
    let mut helper = std::process::Command::new("fusermount3");
    helper.arg("-u").arg("-q");
    if lazily == Lazily::Yes {
        helper.arg("-z");
    }
    let shown = mountpoint.display();
    let status = helper
        .arg("--")
        .arg(mountpoint)
        .status()
        .map_err(|cause| Error::io("running fusermount3", cause))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InUse, format!("fusermount3 could not unmount {shown}")))
}

/// Lets the kernel read ahead as far as one request reaches; a wish, for which it takes root. `real`
/// is the mountpoint without links; the mount need not answer yet.
pub(super) fn raise_readahead(real: &Path) {
    let Some(device) = mounted_device(real) else { return };
    let file = format!("/sys/class/bdi/{device}/read_ahead_kb");
    if let Err(error) = std::fs::write(file, READAHEAD_KIB) {
        log::info!("event=readahead-not-raised error=\"{error}\"");
    }
}

/// The device number, as `major:minor`, of the topmost mount there if it is one of ours
/// (proc_pid_mountinfo(5): the device is the third field and the mountpoint the fifth, the type
/// follows the separator). `real` has no links in it.
fn mounted_device(real: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let path = real.to_string_lossy().replace(' ', "\\040");
    let topmost = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some(path.as_str()))?;
    let (fields, rest) = topmost.split_once(" - ")?;
    let device = fields.split(' ').nth(2)?;
    rest.starts_with("fuse.evsfs ").then(|| device.to_owned())
}
