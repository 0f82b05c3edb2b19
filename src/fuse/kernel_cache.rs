//! Telling the kernel what it must forget.

use crate::error::{Error, Result};
use crate::fs::{AttachmentId, Inode, KernelCache};
use crate::id::Name;
use crate::units::ByteLen;
use fuser::{INodeNo, Notifier};
use std::ffi::OsStr;
use std::sync::OnceLock;

/// The kernel's cache of this mount. It does nothing until the mount exists.
#[derive(Default)]
pub struct FuseKernelCache {
    notifier: OnceLock<Notifier>,
}

impl FuseKernelCache {
    pub(super) fn connect(&self, notifier: Notifier) {
        // A second connection would be another mount on the same service, which `mount` never makes.
        let _ = self.notifier.set(notifier);
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

    fn forget(&self, attachment: AttachmentId, name: &Name) {
        let Some(notifier) = self.notifier.get() else { return };
        let (root, child) = (INodeNo(Inode::ROOT.get()), number(attachment));
        if let Err(error) = notifier.delete(root, child, OsStr::new(name.as_str())) {
            log::debug!("event=name-not-forgotten name={name} error=\"{error}\"");
        }
    }

    fn grew(&self, attachment: AttachmentId, _size: ByteLen) {
        let Some(notifier) = self.notifier.get() else { return };
        // A negative offset drops the attributes and keeps the pages.
        if let Err(error) = notifier.inval_inode(number(attachment), -1, 0) {
            log::debug!(
                "event=size-not-refreshed attachment={} error=\"{error}\"",
                attachment.get()
            );
        }
    }
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
