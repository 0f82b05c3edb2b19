//! The tree itself: what the protocol adapter calls.

use super::attributes::{Attributes, FileKind, Wish};
use super::control::Conversation;
use super::files::ControlFile;
use super::handle::{Handle, HandleId, Handles, OpenMode, Opened, PageCache};
use super::inode::{Inode, Inodes};
use super::listing::Listed;
use super::node::Node;
use super::objects::{DiskFile, ObjectFile};
use super::refusals::Refusals;
use super::values::gone;
use crate::auth::{Action, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Uid;
use crate::service::{Attachment, AttachmentId, Service, encryption_never_changes};
use crate::sync::Mutex;
use crate::units::{ByteLen, ByteOffset};
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes that a control file claims to have, as in sysfs: its true length depends on the moment.
pub(super) const CONTROL_FILE_SIZE: u64 = 4096;

/// The tree of one mount.
pub struct Namespace {
    service: Arc<Service>,
    inodes: Inodes,
    handles: Handles,
    refusals: Refusals,
    mounted: SystemTime,
    bypass_cache: bool,
}

impl Namespace {
    /// The tree over a service.
    pub fn new(service: Arc<Service>) -> Self {
        let bypass_cache = service.bypasses_page_cache();
        Namespace {
            service,
            inodes: Inodes::default(),
            handles: Handles::default(),
            refusals: Refusals::default(),
            mounted: SystemTime::now(),
            bypass_cache,
        }
    }

    /// The attributes of a name in a directory.
    ///
    /// # Errors
    /// `not-found` when there is none that the caller may see; `denied` for strangers.
    pub fn look_up(&self, uid: Uid, parent: Inode, name: &[u8]) -> Result<Attributes> {
        let caller = self.admit(uid)?;
        let parent = self.node(caller, parent)?;
        let name = std::str::from_utf8(name).map_err(|_| gone())?;
        let node = self.child(caller, parent, name)?;
        self.describe(caller, node)
    }

    /// The attributes of a node.
    ///
    /// # Errors
    /// `not-found` when it has gone or the caller may not see it; `denied` for strangers, except
    /// for the root directory, which stat(2) and mount tools must be able to look at.
    pub fn attributes(&self, uid: Uid, inode: Inode) -> Result<Attributes> {
        if inode == Inode::ROOT {
            return self.describe(Caller::new(uid), Node::Root);
        }
        let caller = self.admit(uid)?;
        let node = self.node(caller, inode)?;
        self.describe(caller, node)
    }

    /// Changes attributes, of which only those that change nothing are granted: times, and the
    /// truncation that open(2) with O_TRUNC asks for, ignored as on a block device.
    ///
    /// # Errors
    /// `protected` (EPERM) for modes, owners and sizes.
    pub fn change_attributes(&self, uid: Uid, inode: Inode, wish: Wish) -> Result<Attributes> {
        let attributes = self.attributes(uid, inode)?;
        let refuse = |what: &str| Err(Error::new(ErrorKind::Protected, what.to_owned()));
        if wish.mode.is_some() || wish.owner.is_some() || wish.group.is_some() {
            return refuse("modes and owners follow the disk and are not changed here");
        }
        let Some(size) = wish.size else { return Ok(attributes) };
        let is_control_file = inode.get() < Inode::FIRST_DISK_FILE;
        let is_open_truncation = size == 0 && !wish.is_through_file;
        if is_control_file || is_open_truncation || size == attributes.size {
            return Ok(attributes);
        }
        refuse("a disk's size is changed by extend only")
    }

    /// Whether a caller may do what access(2) asks.
    ///
    /// # Errors
    /// `denied`, `not-found`.
    pub fn check_access(&self, uid: Uid, inode: Inode, read: bool, write: bool) -> Result<()> {
        let caller = self.admit(uid)?;
        let node = self.node(caller, inode)?;
        let mode = self.describe(caller, node)?.mode;
        let is_user = node.usage().is_none() || self.may_operate(caller, node);
        let bit_for = |bit: u16| mode & bit != 0 && is_user;
        if (!read || bit_for(0o400)) && (!write || bit_for(0o200)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Denied, "the file's mode does not allow this"))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// `denied` when the file's mode or the caller's roles do not allow it; `not-found`;
    /// `detached`.
    pub fn open(&self, uid: Uid, inode: Inode, mode: OpenMode) -> Result<Opened> {
        let caller = self.admit(uid)?;
        let node = self.node(caller, inode)?;
        if mode.write && matches!(node, Node::ObjectFile(ObjectFile::Disk(_, DiskFile::Encrypted)))
        {
            return self.remembered(caller, Err(encryption_never_changes()));
        }
        if let Node::ObjectFile(file) = node
            && let Some(opened) = self.open_data(caller, file, mode.write)
        {
            // Who may open it when is known best to whoever gives it out.
            let handle = self.handles.add(self.remembered(caller, opened)?);
            let cache = PageCache::BypassInParallel;
            return Ok(Opened { handle, cache, passthrough: None });
        }
        self.check_access(uid, inode, mode.read, mode.write)?;
        if let Node::File(id) = node {
            let attachment = self.file(caller, id).ok_or_else(gone)?;
            let open = attachment.open()?;
            let cache = match mode.direct || self.bypass_cache {
                false => PageCache::Keep,
                true if open.disk().is_suspended() => PageCache::BypassAndKeep,
                true => PageCache::BypassInParallel,
            };
            let passthrough = self.passthrough(open.disk(), mode);
            let handle = self.handles.add(Handle::Disk { open, is_writable: mode.write });
            return Ok(Opened { handle, cache, passthrough });
        }
        let handle = match node {
            Node::ControlFile(ControlFile::Request) => {
                Handle::Conversation { caller, conversation: Mutex::new(Conversation::default()) }
            }
            Node::ControlFile(ControlFile::Events) => {
                let reader = self.service.events().reader();
                let handle = Handle::Events { caller, reader: Mutex::new(reader) };
                let (handle, cache) = (self.handles.add(handle), PageCache::Stream);
                return Ok(Opened { handle, cache, passthrough: None });
            }
            node => Handle::Value { node, caller, text: Mutex::new(Arc::from("")) },
        };
        // In parallel, which the kernel grants inside the file's size: a command that waits for the
        // key service does not hold up those that others write into the same file.
        let (handle, cache) = (self.handles.add(handle), PageCache::BypassInParallel);
        Ok(Opened { handle, cache, passthrough: None })
    }

    /// Opens a directory and takes the listing that reads will return.
    ///
    /// # Errors
    /// `denied`, `not-found`.
    pub fn open_directory(&self, uid: Uid, inode: Inode) -> Result<HandleId> {
        let caller = self.admit(uid)?;
        let node = self.node(caller, inode)?;
        Ok(self.handles.add(Handle::Directory(self.entries(caller, node))))
    }

    /// Hands the entries of an open directory from position `from` on to `take`, until it has
    /// enough (returns true).
    ///
    /// # Errors
    /// `invalid` when the handle is not a directory's.
    pub fn list(
        &self,
        handle: HandleId,
        from: u64,
        mut take: impl FnMut(u64, &Listed) -> bool,
    ) -> Result<()> {
        let handle = self.handles.get(handle)?;
        let Handle::Directory(entries) = &*handle else {
            return Err(Error::new(ErrorKind::Invalid, "this is not a directory"));
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        for (at, entry) in entries.iter().enumerate().skip(from) {
            // The position after this entry, at which a later read goes on.
            if take(at as u64 + 1, entry) {
                break;
            }
        }
        Ok(())
    }

    /// Closes a file or directory.
    pub fn close(&self, handle: HandleId) {
        self.handles.remove(handle);
    }

    /// Reads at most `len` bytes at `offset` and lends them to `deliver`. `None`: there is nothing yet,
    /// and whoever waits asks [`Namespace::read_events`] once there was an event.
    ///
    /// # Errors
    /// Those of the disk; `not-found` when a control file's object has gone.
    pub fn read<R>(
        &self,
        handle: HandleId,
        offset: ByteOffset,
        len: usize,
        deliver: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        match &*self.handles.get(handle)? {
            Handle::Disk { open, .. } => open.disk().read_with(offset, len, deliver).map(Some),
            Handle::Value { node: Node::ControlFile(ControlFile::Audit), caller, .. } => {
                // It only grows: read where it is asked for, not kept from the first read on.
                Ok(Some(deliver(&self.service.read_audit(*caller, offset.get(), len)?)))
            }
            Handle::Value { node, caller, text } => {
                let mut text = text.lock();
                if offset == ByteOffset::ZERO {
                    *text = self.value(*caller, *node)?.into();
                }
                let at = usize::try_from(offset.get()).unwrap_or(usize::MAX);
                let rest = text.as_bytes().get(at..).unwrap_or_default();
                Ok(Some(deliver(&rest[..rest.len().min(len)])))
            }
            Handle::Events { caller, reader } => {
                let lines = self.service.read_events(*caller, &mut reader.lock(), len);
                Ok(lines.map(|lines| deliver(&lines)))
            }
            Handle::DiskUpload { caller, upload } => {
                self.remembered(*caller, upload.read_with(offset, len, deliver)).map(Some)
            }
            Handle::ImageContent { caller, content } => {
                let bytes = self.remembered(*caller, content.read_at(offset, len))?;
                Ok(Some(deliver(&bytes)))
            }
            Handle::BackupExport { caller, export } => {
                Ok(Some(deliver(&self.remembered(*caller, export.read(offset.get(), len))?)))
            }
            Handle::ImageUpload { .. } | Handle::BackupUpload { .. } => {
                Err(Error::new(ErrorKind::Denied, "this file is written, not read"))
            }
            Handle::Conversation { conversation, .. } => {
                Ok(Some(deliver(conversation.lock().read(offset.get(), len))))
            }
            Handle::Directory(_) => Err(Error::new(ErrorKind::Invalid, "this is a directory")),
        }
    }

    /// Whether a file is a stream, which is read in order and as slowly as it is made.
    pub fn is_stream(&self, handle: HandleId) -> bool {
        self.handles.get(handle).is_ok_and(|handle| {
            matches!(*handle, Handle::BackupExport { .. } | Handle::BackupUpload { .. })
        })
    }

    /// Writes at `offset` of a disk's file; returns how many bytes were taken, or `None` for a control
    /// file, whose write is a [`command`](Self::write_command) that may wait for a key service, or for
    /// what takes a stream.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write_data(
        &self,
        handle: HandleId,
        offset: ByteOffset,
        bytes: &[u8],
    ) -> Result<Option<usize>> {
        match &*self.handles.get(handle)? {
            Handle::Disk { open, .. } => open.disk().write_at(offset, bytes).map(Some),
            Handle::ImageUpload { caller, upload } => {
                self.remembered(*caller, upload.write_at(offset, bytes)).map(Some)
            }
            Handle::DiskUpload { caller, upload } => {
                self.remembered(*caller, upload.write_at(offset, bytes)).map(Some)
            }
            Handle::Value { .. }
            | Handle::Conversation { .. }
            | Handle::Events { .. }
            | Handle::ImageContent { .. }
            | Handle::BackupExport { .. }
            | Handle::BackupUpload { .. } => Ok(None),
            Handle::Directory(_) => Err(Error::new(ErrorKind::Invalid, "this is a directory")),
        }
    }

    /// Carries out the command that is written to a control file, for whoever opened the file.
    ///
    /// # Errors
    /// Whatever refuses the command, remembered for `error`; `invalid` for other files.
    pub fn write_command(&self, handle: HandleId, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        match &*self.handles.get(handle)? {
            Handle::Value { node, caller, .. } => {
                let done = self
                    .command_of(*caller, *node, bytes)
                    .and_then(|command| self.service.execute(*caller, command));
                self.remembered(*caller, done).map(drop)
            }
            Handle::Conversation { caller, conversation } => {
                let answers = self.remembered(*caller, self.answers(*caller, bytes))?;
                let request_end = offset.get().saturating_add(bytes.len() as u64);
                conversation.lock().keep(answers, request_end);
                Ok(())
            }
            Handle::BackupUpload { caller, upload } => {
                self.remembered(*caller, upload.write(offset.get(), bytes))
            }
            Handle::Disk { .. }
            | Handle::Events { .. }
            | Handle::DiskUpload { .. }
            | Handle::ImageUpload { .. }
            | Handle::ImageContent { .. }
            | Handle::BackupExport { .. }
            | Handle::Directory(_) => {
                Err(Error::new(ErrorKind::Invalid, "this is no control file"))
            }
        }
    }

    /// Total and free bytes where payloads lie.
    ///
    /// # Errors
    /// `io`.
    pub fn space(&self) -> Result<(ByteLen, ByteLen)> {
        self.service.space()
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    pub(super) fn handles(&self) -> &Handles {
        &self.handles
    }

    pub(super) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    pub(super) fn number(&self, node: Node) -> Inode {
        self.inodes.number(node)
    }

    pub(super) fn may_use(&self, caller: Caller, owner: Uid) -> bool {
        self.service.authority().allows(caller, Action::UseObject { owner })
    }

    pub(super) fn remembered<T>(&self, caller: Caller, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.refusals.remember(caller.uid(), error);
        }
        result
    }

    fn admit(&self, uid: Uid) -> Result<Caller> {
        let caller = Caller::new(uid);
        let _permit = self.service.authority().authorize(caller, Action::EnterControl)?;
        Ok(caller)
    }

    /// The node behind a number, if it is still there for this caller.
    fn node(&self, caller: Caller, inode: Inode) -> Result<Node> {
        let node = self.inodes.node(inode).ok_or_else(gone)?;
        let is_there = match node {
            Node::File(id) => self.file(caller, id).is_some(),
            Node::Object(object) => self.has_object(caller, object),
            Node::ObjectFile(file) => self.has_object(caller, file.object()),
            Node::ControlFile(file) => self.has_file(caller, file),
            _ => true,
        };
        if is_there { Ok(node) } else { Err(gone()) }
    }

    fn file(&self, caller: Caller, id: AttachmentId) -> Option<Arc<Attachment>> {
        self.service.attachment_with_id(id).filter(|open| self.may_use(caller, open.owner()))
    }

    /// Whether a control file is one this caller may operate, as opposed to look at.
    fn may_operate(&self, caller: Caller, node: Node) -> bool {
        match node {
            Node::Create(collection) => {
                self.service.authority().allows(caller, collection.create_action())
            }
            Node::ObjectFile(file) => self.operates(caller, file),
            // What is written to `agency` is decided when it is written.
            _ => true,
        }
    }

    fn describe(&self, caller: Caller, node: Node) -> Result<Attributes> {
        let inode = self.number(node);
        if let Node::File(id) = node {
            let attachment = self.file(caller, id).ok_or_else(gone)?;
            let disk = attachment.disk();
            return Ok(Attributes {
                inode,
                kind: FileKind::Regular,
                size: disk.size().get(),
                blocks: disk.allocated().unwrap_or(ByteLen::ZERO).get() / 512,
                mode: if attachment.is_read_only() { 0o400 } else { 0o600 },
                owner: attachment.owner(),
                modified: attachment.modified(),
            });
        }
        let (kind, size, mode) = match node.usage() {
            Some(_)
                if let Node::ObjectFile(file) = node
                    && let Some(data) = self.data_attributes(caller, file) =>
            {
                let (size, mode) = data?;
                (FileKind::Regular, size, mode)
            }
            None => (FileKind::Directory, 0, 0o555),
            Some(usage) => (FileKind::Regular, CONTROL_FILE_SIZE, usage.mode()),
        };
        let owner = match node {
            Node::Root => self.service.authority().mount_owner(),
            node if self.may_operate(caller, node) => caller.uid(),
            _ => self.service.authority().mount_owner(),
        };
        Ok(Attributes { inode, kind, size, blocks: 0, mode, owner, modified: self.mounted })
    }
}
