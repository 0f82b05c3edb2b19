//! Telling the kernel what it must forget.

use crate::error::{Error, ErrorKind, Result};
use crate::fs::{AttachmentId, Inode, KernelCache};
use crate::id::Name;
use crate::sys;
use crate::units::ByteLen;
use fuser::{INodeNo, Notifier};
use rustix::fs::{Advice, Mode, OFlags};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long a verb waits for idle pages to be dropped.
const PATIENCE: Duration = Duration::from_secs(5);

/// The kernel's cache of this mount. It does nothing until the mount exists.
#[derive(Default)]
pub struct FuseKernelCache {
    notifier: OnceLock<Notifier>,
    mountpoint: OnceLock<PathBuf>,
}

impl FuseKernelCache {
    pub(super) fn connect(&self, notifier: Notifier, mountpoint: &Path) {
        // A second connection would be another mount on the same service, which `mount` never makes.
        let _ = self.notifier.set(notifier);
        let _ = self.mountpoint.set(mountpoint.to_owned());
    }
}

impl KernelCache for FuseKernelCache {
    fn drop_pages(&self, attachment: AttachmentId) -> Result<()> {
        let Some(notifier) = self.notifier.get() else { return Ok(()) };
        // From offset 0 with length 0: all pages, dirty ones written back first.
        notifier
            .inval_inode(number(attachment), 0, 0)
            .or_else(ignore_unmounted)
            .map_err(|cause| Error::io("dropping the kernel's pages of a disk's file", cause))
    }

    fn drop_idle_pages(&self, attachment: AttachmentId, name: &Name) {
        let Some(mountpoint) = self.mountpoint.get() else { return };
        let file = (mountpoint.join(name.as_str()), number(attachment));
        let (end, ended) = channel();
        let dropped = sys::spawn_apart("evsfs-pages", (file, end), |((path, inode), end)| {
            let _ = end.send(advise_to_drop(&path, inode));
        });
        let outcome = dropped.and_then(|_| {
            ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Io, "the kernel is still looking for idle pages"))
            })
        });
        if let Err(error) = outcome {
            log::warn!("attachment={} may keep idle pages: {error}", attachment.get());
        }
    }

    fn forget(&self, attachment: AttachmentId, name: &Name) {
        let Some(notifier) = self.notifier.get() else { return };
        let (root, child) = (INodeNo(Inode::ROOT.get()), number(attachment));
        if let Err(error) = notifier.delete(root, child, OsStr::new(name.as_str())) {
            log::debug!("name={name} not forgotten by the kernel: {error}");
        }
    }

    fn grew(&self, attachment: AttachmentId, _size: ByteLen) {
        let Some(notifier) = self.notifier.get() else { return };
        // A negative offset drops the attributes and keeps the pages.
        if let Err(error) = notifier.inval_inode(number(attachment), -1, 0) {
            log::debug!("attachment={} size not refreshed: {error}", attachment.get());
        }
    }
}

/// Has the kernel drop the clean pages of a file that nobody has mapped and no request waits for. A
/// notification on `/dev/fuse` would wait for the others.
fn advise_to_drop(path: &Path, inode: INodeNo) -> Result<()> {
    let failed = |cause: rustix::io::Errno| Error::io("dropping idle pages", cause.into());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
    // Something else may be mounted over it.
    if rustix::fs::fstat(&file).map_err(failed)?.st_ino != inode.0 {
        return Err(Error::new(ErrorKind::Io, "the mount is hidden by another"));
    }
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).map_err(failed)
}

fn number(attachment: AttachmentId) -> INodeNo {
    INodeNo(Inode::of_attachment(attachment).get())
}

/// After the mount has gone the kernel has nothing cached.
fn ignore_unmounted(error: std::io::Error) -> std::io::Result<()> {
    let is_gone = [rustix::io::Errno::NODEV, rustix::io::Errno::NOTCONN]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    if is_gone { Ok(()) } else { Err(error) }
}
