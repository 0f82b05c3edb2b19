//! Reading and writing disk files (INTERFACE section 2).

use super::handle::{Handle, HandleId};
use super::namespace::Namespace;
use crate::error::{Error, ErrorKind, Result};
use crate::service::OpenDisk;
use crate::units::{ByteLen, ByteOffset};

/// What fallocate(2) asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Space inside the size; nothing to do for a disk, whose space comes with writing.
    Reserve,
    /// `FALLOC_FL_PUNCH_HOLE`: give the space back; the range reads as zeros.
    PunchHole,
    /// `FALLOC_FL_ZERO_RANGE`: the range, all of which must lie on the disk, reads as zeros.
    ZeroRange,
}

/// Where lseek(2) shall go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whence {
    /// To the next byte that was written.
    Data,
    /// To the next byte that was not; the end of the disk counts.
    Hole,
}

impl Namespace {
    /// Changes the space of a range of a disk's file.
    ///
    /// # Errors
    /// `no-space` past the end of the disk; `unsupported` for other files; errors of the backing.
    pub fn allocate(
        &self,
        handle: HandleId,
        how: Allocation,
        offset: ByteOffset,
        len: ByteLen,
    ) -> Result<()> {
        self.on_disk(handle, |open| match how {
            Allocation::Reserve => open.disk().allocate(offset, len),
            Allocation::PunchHole => open.disk().discard(offset, len),
            Allocation::ZeroRange => {
                // Past the end it asks for a larger file, and the kernel would believe a success.
                open.disk().allocate(offset, len)?;
                open.disk().zero_range(offset, len)
            }
        })
    }

    /// The next data or hole at or after `offset`.
    ///
    /// # Errors
    /// `out-of-range` (ENXIO of lseek(2)) at or past the end, or when no data follows.
    pub fn seek(&self, handle: HandleId, whence: Whence, offset: ByteOffset) -> Result<ByteOffset> {
        let nothing_follows = || Error::new(ErrorKind::OutOfRange, "no data follows this position");
        if let Handle::ImageContent { content, .. } = &*self.handles().get(handle)? {
            let found = match whence {
                Whence::Data => content.seek_data(offset)?,
                Whence::Hole => content.seek_hole(offset)?,
            };
            return found.ok_or_else(nothing_follows);
        }
        self.on_disk(handle, |open| match whence {
            Whence::Data => open.disk().seek_data(offset)?.ok_or_else(nothing_follows),
            Whence::Hole => open.disk().seek_hole(offset),
        })
    }

    /// Makes all acknowledged writes to a disk's file durable; a control file has none.
    ///
    /// # Errors
    /// `io` when the backing failed now, or failed before and this file was not told (RULES S2).
    pub fn flush(&self, handle: HandleId) -> Result<()> {
        match &*self.handles().get(handle)? {
            Handle::Disk { open, .. } => open.flush(),
            Handle::DiskUpload { caller, upload } => self.remembered(*caller, upload.flush()),
            Handle::Value { .. }
            | Handle::Conversation { .. }
            | Handle::Events { .. }
            | Handle::ImageUpload { .. }
            | Handle::ImageContent { .. }
            | Handle::BackupExport { .. }
            | Handle::BackupUpload { .. }
            | Handle::Directory(_) => Ok(()),
        }
    }

    /// Whether requests of this file that take the key wait for the disk to be resumed.
    pub fn is_suspended(&self, handle: HandleId) -> bool {
        self.handles().get(handle).is_ok_and(
            |handle| matches!(&*handle, Handle::Disk { open, .. } if open.disk().is_suspended()),
        )
    }

    /// Whether closing this handle must make writes durable first (RULES S1).
    pub fn needs_flush_on_close(&self, handle: HandleId) -> bool {
        self.handles()
            .get(handle)
            .is_ok_and(|handle| matches!(*handle, Handle::Disk { is_writable: true, .. }))
    }

    fn on_disk<T>(&self, handle: HandleId, work: impl FnOnce(&OpenDisk) -> Result<T>) -> Result<T> {
        match &*self.handles().get(handle)? {
            Handle::Disk { open, .. } => work(open),
            Handle::Value { .. }
            | Handle::DiskUpload { .. }
            | Handle::Conversation { .. }
            | Handle::Events { .. }
            | Handle::ImageUpload { .. }
            | Handle::ImageContent { .. }
            | Handle::BackupExport { .. }
            | Handle::BackupUpload { .. }
            | Handle::Directory(_) => {
                Err(Error::new(ErrorKind::Unsupported, "only disk files can do this"))
            }
        }
    }
}
