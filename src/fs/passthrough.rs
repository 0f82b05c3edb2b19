//! Files that the kernel may read by itself.

use super::handle::{Handle, HandleId, OpenMode, Passthrough};
use super::namespace::Namespace;
use crate::disk::Disk;

impl Namespace {
    /// Whether files may be offered to the kernel at all.
    pub fn offers_passthrough(&self) -> bool {
        self.service().lets_the_kernel_read()
    }

    /// Counts a file whose offer of passthrough was taken.
    pub fn count_passthrough(&self, handle: HandleId) {
        if let Ok(handle) = self.handles().get(handle)
            && let Handle::Disk { open, .. } = &*handle
        {
            open.count_passthrough();
        }
    }

    /// The offer for a disk's file. Without one it is served like any other.
    pub(super) fn passthrough(&self, disk: &Disk, mode: OpenMode) -> Option<Passthrough> {
        if !self.offers_passthrough() {
            return None;
        }
        let found = disk.plain_file();
        let readable = found
            .inspect_err(|error| log::debug!("event=no-passthrough error=\"{error}\""))
            .ok()??;
        let suits_direct =
            readable.direct_alignment.is_some_and(|bytes| bytes <= disk.sector_size().bytes());
        Some(Passthrough { file: readable.file, only_mappings: mode.direct && !suits_direct })
    }
}
