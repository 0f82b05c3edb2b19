//! Open files.

use super::control::Conversation;
use super::listing::Listed;
use super::node::Node;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::service::{
    BackupUpload, DiskUpload, EventReader, ImageContent, ImageUpload, OpenDisk, OutStream,
};
use crate::sync::{Mutex, RwLock};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number the kernel knows an open file by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HandleId(u64);

impl HandleId {
    /// The handle with this number.
    pub const fn new(number: u64) -> Self {
        HandleId(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// How a file is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenMode {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// With O_DIRECT.
    pub direct: bool,
}

/// What the kernel may keep of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageCache {
    /// Its pages, also from earlier opens: only this daemon changes the file.
    Keep,
    /// Nothing: every read and write is a request, and writes may run side by side.
    BypassInParallel,
    /// The same, and what is cached stays: dropping it would wait for requests of a suspended disk,
    /// in a way that cannot be ended.
    BypassAndKeep,
    /// Nothing, not even a position: what is read is not read again.
    Stream,
}

/// A file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Its handle.
    pub handle: HandleId,
    /// What the kernel may keep.
    pub cache: PageCache,
    /// The file the kernel may read in this one's place. Taking the offer is to be told by
    /// [`Namespace::count_passthrough`](super::Namespace::count_passthrough).
    pub passthrough: Option<Passthrough>,
}

/// A file that the kernel may read by itself.
#[derive(Debug)]
pub struct Passthrough {
    /// The payload, open for reading.
    pub file: OwnedFd,
    /// Whether reads come to this daemon all the same and the kernel serves mappings only: what was
    /// opened with O_DIRECT, where the payload has stricter demands than the disk.
    pub only_mappings: bool,
}

/// What stands behind a handle.
pub enum Handle {
    /// A disk's file.
    Disk {
        /// The open disk.
        open: OpenDisk,
        /// Whether it can be written through this handle.
        is_writable: bool,
    },
    /// A value file, with the value as it was at the last read from its start.
    Value {
        /// Which file.
        node: Node,
        /// Who opened it.
        caller: Caller,
        /// Protects the text between reads.
        text: Mutex<Arc<str>>,
    },
    /// `events`.
    Events {
        /// Who opened it.
        caller: Caller,
        /// Protects how far it has been read.
        reader: Mutex<EventReader>,
    },
    /// `control`.
    Conversation {
        /// Who opened it.
        caller: Caller,
        /// Protects the answers; not held while a request is carried out, for a read of this file
        /// runs on an event loop.
        conversation: Mutex<Conversation>,
    },
    /// `data` of a disk that is imported.
    DiskUpload {
        /// Who opened it.
        caller: Caller,
        /// Where it goes.
        upload: DiskUpload,
    },
    /// `data` of an image that is imported.
    ImageUpload {
        /// Who opened it.
        caller: Caller,
        /// Where it goes.
        upload: ImageUpload,
    },
    /// `data` of an image that is there.
    ImageContent {
        /// Who opened it.
        caller: Caller,
        /// What is read.
        content: ImageContent,
    },
    /// `data` of a backup that is exported.
    BackupExport {
        /// Who opened it.
        caller: Caller,
        /// What is read.
        export: OutStream,
    },
    /// `data` of a backup that is imported.
    BackupUpload {
        /// Who opened it.
        caller: Caller,
        /// Where it goes.
        upload: BackupUpload,
    },
    /// A directory, as it was when it was opened.
    Directory(Vec<Listed>),
}

/// All open files.
#[derive(Default)]
pub struct Handles {
    // Protects membership only: read for a moment by every request.
    open: RwLock<HashMap<u64, Arc<Handle>>>,
    // Never decreases; uniqueness is all that is asked of it.
    next: AtomicU64,
}

impl Handles {
    /// Adds an open file.
    pub fn add(&self, handle: Handle) -> HandleId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.write().insert(number, Arc::new(handle));
        HandleId(number)
    }

    /// The file behind a handle.
    ///
    /// # Errors
    /// `invalid` for a handle that was never given out or is closed.
    pub fn get(&self, id: HandleId) -> Result<Arc<Handle>> {
        let handle = self.open.read().get(&id.0).cloned();
        handle.ok_or_else(|| Error::new(ErrorKind::Invalid, "this file is not open"))
    }

    /// Closes a file.
    pub fn remove(&self, id: HandleId) {
        // Dropped outside the lock: closing a disk's file may wake a detach.
        let closed = self.open.write().remove(&id.0);
        drop(closed);
    }
}
