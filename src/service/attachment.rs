//! An attached disk: the open [`Disk`] and who holds it open.

use crate::disk::{Access, Disk, FlushCursor};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{BackupId, DiskId, Name, Uid};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The number of an attachment, never used again while the daemon lives: the file of a disk that
/// was detached and attached again is another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttachmentId(u64);

impl AttachmentId {
    /// The attachment with this number.
    pub const fn new(number: u64) -> Self {
        AttachmentId(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A disk from attach to detach.
pub struct Attachment {
    id: AttachmentId,
    disk_id: DiskId,
    name: Name,
    owner: Uid,
    access: Access,
    disk: Disk,
    // Relaxed: it orders nothing.
    passthrough_opens: AtomicU64,
    // Protects the number of changes seen and when they were.
    modified: Mutex<(u64, SystemTime)>,
    // Protects the last backup made of it: what the disk notes as changed has changed since then.
    last_backup: Mutex<Option<BackupId>>,
    // Protects the count of open files and whether new ones are taken.
    opens: Mutex<Opens>,
    released: Condvar,
}

#[derive(Default)]
struct Opens {
    count: usize,
    is_closing: bool,
}

impl Attachment {
    pub(super) fn new(
        id: AttachmentId,
        disk_id: DiskId,
        name: Name,
        owner: Uid,
        access: Access,
        disk: Disk,
        last_backup: Option<BackupId>,
    ) -> Self {
        let modified = Mutex::new((0, SystemTime::now()));
        let opens = Mutex::new(Opens::default());
        let released = Condvar::new();
        let last_backup = Mutex::new(last_backup);
        let passthrough_opens = AtomicU64::new(0);
        Attachment {
            id,
            disk_id,
            name,
            owner,
            access,
            disk,
            passthrough_opens,
            modified,
            last_backup,
            opens,
            released,
        }
    }

    /// This attachment's number.
    pub fn id(&self) -> AttachmentId {
        self.id
    }

    /// Which disk it is.
    pub fn disk_id(&self) -> DiskId {
        self.disk_id
    }

    /// The name of its file.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Whose file it is.
    pub fn owner(&self) -> Uid {
        self.owner
    }

    /// Whether it can be written to.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether it can only be read.
    pub fn is_read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// When its content was last seen to have changed. A write does not read the wall clock; the time
    /// is taken when somebody asks and writes have been made since the last question.
    pub fn modified(&self) -> SystemTime {
        let counters = self.disk.counters();
        let changes = counters.writes + counters.discards;
        let mut seen = self.modified.lock();
        if seen.0 != changes {
            *seen = (changes, SystemTime::now());
        }
        seen.1
    }

    /// The data path.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The backup since which the disk has noted its changes; `None` before the first, and when a
    /// flush has failed: the backup may hold what the disk has lost.
    pub(super) fn last_backup(&self) -> Option<BackupId> {
        self.last_backup.lock().filter(|_| !self.disk.has_failed_to_flush())
    }

    /// As [`last_backup`](Self::last_backup), for one who asks last.
    pub(super) fn take_last_backup(&self) -> Option<BackupId> {
        self.last_backup.lock().take().filter(|_| !self.disk.has_failed_to_flush())
    }

    /// A backup has been made of it.
    pub(super) fn set_last_backup(&self, backup: BackupId) {
        *self.last_backup.lock() = Some(backup);
    }

    /// How many files are open on it.
    pub fn open_count(&self) -> usize {
        self.opens.lock().count
    }

    /// How often its file was opened for the kernel to read it by itself.
    pub fn passthrough_opens(&self) -> u64 {
        self.passthrough_opens.load(Ordering::Relaxed)
    }

    /// Opens the disk's file once more.
    ///
    /// # Errors
    /// `detached` once a detach has begun.
    pub fn open(self: &Arc<Self>) -> Result<OpenDisk> {
        let mut opens = self.opens.lock();
        if opens.is_closing {
            let message = format!("disk {:?} is being detached", self.name.as_str());
            return Err(Error::new(ErrorKind::Detached, message));
        }
        opens.count += 1;
        Ok(OpenDisk { cursor: self.disk.flush_cursor(), attachment: self.clone() })
    }

    /// Takes no new opens from now on, if nobody has the file open at the end of `patience`: the
    /// kernel tells of the last close a moment after close(2) has returned.
    ///
    /// # Errors
    /// `in-use` with EVS.1046 when somebody has it open.
    pub(super) fn close_when_idle(&self, patience: Duration) -> Result<Closing<'_>> {
        let deadline = Instant::now() + patience;
        let mut opens = self.opens.lock();
        while opens.count > 0 {
            if self.released.wait_until(&mut opens, deadline).timed_out() {
                break;
            }
        }
        if opens.count > 0 {
            let name = self.name.as_str();
            let message = format!("disk {name:?} is open {} time(s)", opens.count);
            return Err(Error::new(ErrorKind::InUse, message).code(Code::EVS_1046).remedy(
                format!(
                    "close what uses it (lsof, losetup -j), or: evsfs disk detach {name} --force"
                ),
            ));
        }
        opens.is_closing = true;
        Ok(Closing { attachment: self, is_for_good: false })
    }

    /// Takes no new opens from now on, whoever has it open.
    pub(super) fn close_now(&self) -> Closing<'_> {
        self.opens.lock().is_closing = true;
        Closing { attachment: self, is_for_good: false }
    }
}

/// An attachment that takes no new opens. Dropping this, also by an error or a panic, lets it take
/// opens again, unless the detach was [carried through](Closing::for_good).
#[must_use = "dropping it lets the attachment take opens again"]
pub(super) struct Closing<'a> {
    attachment: &'a Attachment,
    is_for_good: bool,
}

impl Closing<'_> {
    /// The disk is detached.
    pub(super) fn for_good(mut self) {
        self.is_for_good = true;
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.attachment.opens.lock().is_closing = self.is_for_good;
    }
}

/// One open file on an attached disk. Dropping it closes the file.
pub struct OpenDisk {
    attachment: Arc<Attachment>,
    // Which failed flushes this file has been told of (RULES S2).
    cursor: FlushCursor,
}

impl OpenDisk {
    /// The attachment.
    pub fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// The data path.
    pub fn disk(&self) -> &Disk {
        &self.attachment.disk
    }

    /// Counts this file as one that the kernel reads by itself.
    pub fn count_passthrough(&self) {
        self.attachment.passthrough_opens.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes all acknowledged writes durable (RULES S1).
    ///
    /// # Errors
    /// `io` when the backing failed now, or failed before and this file was not told.
    pub fn flush(&self) -> Result<()> {
        self.attachment.disk.flush_for(&self.cursor)
    }
}

impl std::ops::Deref for OpenDisk {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        self.disk()
    }
}

impl Drop for OpenDisk {
    fn drop(&mut self) {
        let mut opens = self.attachment.opens.lock();
        opens.count -= 1;
        if opens.count == 0 {
            self.attachment.released.notify_all();
        }
    }
}
