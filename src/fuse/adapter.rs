//! `fuser::Filesystem` on the namespace.
//!
//! Every operation the kernel can ask for is answered here or in [`refused`]: the library's
//! defaults answer ENOSYS, which the kernel takes as "never ask again", for fsync even as "it is
//! safe already".

use super::disk_io::{Asked, DiskIo, answer_empty, guarded, written_u32};
use super::passthrough::{self, PassthroughFiles};
use super::refused;
use super::translate::{errno, file_attr, file_type, inode, uid};
use super::waiting::{WaitingReads, always_ready};
use super::workers::Workers;
use crate::fs::{Allocation, HandleId, Inode, Namespace, OpenMode, Whence, Wish};
use crate::units::{ByteLen, ByteOffset};
use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, PollEvents, PollFlags,
    PollNotifier, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyLseek,
    ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{FallocateFlags, OFlags};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Nothing may be cached: what a caller sees depends on the caller (RULES A7).
const NO_TIME: Duration = Duration::ZERO;
/// The longest request, in bytes.
const MAX_REQUEST: u32 = 1 << 20;
/// Requests the kernel may have under way on its own account (readahead, writeback).
const MAX_BACKGROUND: u16 = 64;
/// Commands carried out at the same time.
const COMMAND_THREADS: usize = 16;

/// The protocol adapter of one mount.
pub(super) struct Adapter {
    namespace: Arc<Namespace>,
    commands: Workers,
    io: DiskIo,
    passthrough: PassthroughFiles,
    waiting: WaitingReads,
}

impl Adapter {
    pub(super) fn new(namespace: Arc<Namespace>) -> Self {
        Adapter {
            waiting: WaitingReads::new(namespace.clone()),
            io: DiskIo::new(namespace.clone()),
            namespace,
            commands: Workers::new("evsfs-command", COMMAND_THREADS),
            passthrough: PassthroughFiles::default(),
        }
    }

    /// Has a command carried out by a worker, which answers the write.
    fn command(&self, file: HandleId, offset: ByteOffset, text: Vec<u8>, reply: ReplyWrite) {
        let namespace = self.namespace.clone();
        self.commands.submit(move || {
            guarded("command", || match namespace.write_command(file, offset, &text) {
                Ok(()) => reply.written(written_u32(text.len())),
                Err(error) => reply.error(errno(&error)),
            });
        });
    }

    /// Has a worker wait for the next bytes of a stream.
    fn read_stream(&self, file: HandleId, offset: ByteOffset, len: usize, reply: ReplyData) {
        let namespace = self.namespace.clone();
        self.commands.submit(move || {
            guarded("read", || match namespace.read(file, offset, len, <[u8]>::to_vec) {
                Ok(bytes) => reply.data(&bytes.unwrap_or_default()),
                Err(error) => reply.error(errno(&error)),
            });
        });
    }
}

fn handle(number: FileHandle) -> HandleId {
    HandleId::new(number.0)
}

fn asked(req: &Request, file: FileHandle) -> Asked {
    Asked { handle: handle(file), thread: req.pid() }
}

fn is_nonblocking(flags: OpenFlags) -> bool {
    OFlags::from_bits_retain(flags.0.cast_unsigned()).contains(OFlags::NONBLOCK)
}

fn asks_for_sync(flags: OpenFlags) -> bool {
    OFlags::from_bits_retain(flags.0.cast_unsigned()).intersects(OFlags::SYNC | OFlags::DSYNC)
}

impl Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        for wanted in [
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_HANDLE_KILLPRIV_V2,
            InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
            InitFlags::FUSE_ABORT_ERROR,
        ] {
            if let Err(missing) = config.add_capabilities(wanted) {
                log::debug!("event=kernel-does-not-offer what={missing:?}");
            }
        }
        if self.namespace.offers_passthrough() {
            passthrough::ask_for_it(config);
        }
        let granted = config
            .set_max_write(MAX_REQUEST)
            .and_then(|_| config.set_max_background(MAX_BACKGROUND).map_err(u32::from).map(|_| ()));
        if let Err(nearest) = granted {
            log::warn!("event=requests-limited bytes={nearest}");
        }
        Ok(())
    }

    fn destroy(&mut self) {
        self.commands.close();
        self.io.close();
        self.waiting.close();
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        guarded("lookup", || {
            match self.namespace.look_up(uid(req), inode(parent), name.as_bytes()) {
                Ok(found) => reply.entry(&NO_TIME, &file_attr(&found), Generation(0)),
                Err(error) => reply.error(errno(&error)),
            }
        });
    }

    fn getattr(&self, req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        guarded("getattr", || match self.namespace.attributes(uid(req), inode(ino)) {
            Ok(found) => reply.attr(&NO_TIME, &file_attr(&found)),
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        owner: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        guarded("setattr", || {
            let wish = Wish { mode, owner, group, size, is_through_file: fh.is_some() };
            match self.namespace.change_attributes(uid(req), inode(ino), wish) {
                Ok(found) => reply.attr(&NO_TIME, &file_attr(&found)),
                Err(error) => reply.error(errno(&error)),
            }
        });
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        guarded("access", || {
            let (read, write) =
                (mask.contains(AccessFlags::R_OK), mask.contains(AccessFlags::W_OK));
            let allowed = self.namespace.check_access(uid(req), inode(ino), read, write);
            answer_empty(reply, allowed.map_err(|error| errno(&error)));
        });
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        guarded("open", || {
            let mode = OpenMode {
                read: flags.acc_mode() != OpenAccMode::O_WRONLY,
                write: flags.acc_mode() != OpenAccMode::O_RDONLY,
                direct: OFlags::from_bits_retain(flags.0.cast_unsigned()).contains(OFlags::DIRECT),
            };
            match self.namespace.open(uid(req), inode(ino), mode) {
                Ok(opened) => self.passthrough.answer(&self.namespace, ino, opened, reply),
                Err(error) => reply.error(errno(&error)),
            }
        });
    }

    fn read(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        guarded("read", || {
            // A request is at most 1 MiB, so it fits in memory on every target.
            let (offset, len) = (ByteOffset::new(offset), size as usize);
            if self.namespace.is_stream(handle(fh)) {
                return self.read_stream(handle(fh), offset, len, reply);
            }
            match self.io.read(asked(req, fh), offset, len, reply) {
                None => {}
                Some(reply) if is_nonblocking(flags) => reply.error(Errno::EAGAIN),
                Some(reply) => self.waiting.add(handle(fh), len, req.pid(), reply),
            }
        });
    }

    fn write(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (file, offset) = (handle(fh), ByteOffset::new(offset));
        guarded("write", || {
            let sync = asks_for_sync(flags);
            let mut asked = asked(req, fh);
            if write_flags.contains(WriteFlags::FUSE_WRITE_CACHE) {
                // Dirty pages, of whomever; the thread that has them written has no say in it.
                asked.thread = 0;
            }
            if let Some(reply) = self.io.write(asked, offset, data, sync, reply) {
                self.command(file, offset, data.to_vec(), reply);
            }
        });
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        guarded("flush", || {
            if self.namespace.needs_flush_on_close(handle(fh)) {
                self.io.sync_then(handle(fh), |synced| answer_empty(reply, synced));
            } else {
                reply.ok();
            }
        });
    }

    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        guarded("fsync", || self.io.sync_then(handle(fh), |synced| answer_empty(reply, synced)));
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        guarded("release", || {
            self.passthrough.closed(handle(fh));
            self.waiting.forget(handle(fh));
            if self.namespace.is_stream(handle(fh)) {
                // Its thread is waited for, and what it has received may have to be removed.
                let (namespace, file) = (self.namespace.clone(), handle(fh));
                self.commands.submit(move || guarded("release", || namespace.close(file)));
            } else {
                self.namespace.close(handle(fh));
            }
            reply.ok();
        });
    }

    fn poll(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        notifier: PollNotifier,
        _events: PollEvents,
        flags: PollFlags,
        reply: ReplyPoll,
    ) {
        guarded("poll", || {
            // Asked to be told first: what comes after the look below is then not missed.
            let would_wait = self.namespace.would_wait(handle(fh));
            if !would_wait {
                return reply.poll(always_ready());
            }
            if flags.contains(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY) {
                self.waiting.notify(handle(fh), notifier);
            }
            reply.poll(PollEvents::empty());
        });
    }

    fn opendir(&self, req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        guarded("opendir", || match self.namespace.open_directory(uid(req), inode(ino)) {
            Ok(opened) => reply.opened(FileHandle(opened.get()), FopenFlags::empty()),
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn readdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        guarded("readdir", || {
            let listed = self.namespace.list(handle(fh), offset, |next, entry| {
                let number = INodeNo(entry.inode.get());
                reply.add(number, next, file_type(entry.kind), &entry.name)
            });
            match listed {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno(&error)),
            }
        });
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        guarded("releasedir", || {
            self.namespace.close(handle(fh));
            reply.ok();
        });
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        // Directories hold nothing of their own: what they show is durable when a verb returns.
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        guarded("statfs", || match self.namespace.space() {
            Ok((total, free)) => {
                let block = 4096;
                let blocks = |len: ByteLen| len.get() / u64::from(block);
                reply.statfs(blocks(total), blocks(free), blocks(free), 0, 0, block, 63, block);
            }
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn fallocate(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let Some(how) = allocation(mode) else { return reply.error(Errno::EOPNOTSUPP) };
        let (offset, length) = (ByteOffset::new(offset), ByteLen::new(length));
        self.io.allocate(asked(req, fh), how, offset, length, reply);
    }

    fn lseek(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        guarded("lseek", || {
            let Ok(from) = u64::try_from(offset) else { return reply.error(Errno::ENXIO) };
            // The kernel forwards these two only: SEEK_DATA is 3, SEEK_HOLE 4 (lseek(2)).
            let whence = match whence {
                3 => Whence::Data,
                4 => Whence::Hole,
                _ => return reply.error(Errno::EINVAL),
            };
            self.io.seek(asked(req, fh), whence, ByteOffset::new(from), reply);
        });
    }

    refused::refused_operations!();
}

fn allocation(mode: i32) -> Option<Allocation> {
    let flags = FallocateFlags::from_bits_retain(mode.cast_unsigned());
    let without_size = flags - FallocateFlags::KEEP_SIZE;
    if without_size.is_empty() {
        Some(Allocation::Reserve)
    } else if flags == FallocateFlags::ZERO_RANGE {
        Some(Allocation::ZeroRange)
    } else if flags.contains(FallocateFlags::KEEP_SIZE)
        && (without_size == FallocateFlags::PUNCH_HOLE
            || without_size == FallocateFlags::ZERO_RANGE)
    {
        // Zeros at rest are holes, so that zeroing which keeps the size is punching.
        Some(Allocation::PunchHole)
    } else {
        None
    }
}

/// The root's number in the protocol is ours.
const _: () = assert!(Inode::ROOT.get() == INodeNo::ROOT.0);
