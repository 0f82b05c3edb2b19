//! A disk of a computer whose power can be cut, and which can be unwell: one file in a FUSE mount
//! of its own.
//!
//! Writes are kept apart until they are flushed. A cut takes the power: every access through files
//! that were open fails from then on, whatever still runs above. When the power comes back there is
//! a new file (a loop device of before the cut must not reach it), and of the writes that were not
//! flushed none, all, or any are there.

use crate::support::files::Numbers;
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

/// What a disk writes at once or not at all.
const GRAIN: usize = 4096;

/// What becomes of writes that were not flushed when the power was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unflushed {
    AllLost,
    AllKept,
    /// Each page of them is there or not.
    Some(u64),
}

/// How the medium behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Well,
    ReadsFail(i32),
    WritesFail(i32),
    FlushesFail(i32),
    /// Reads give fewer bytes than they were asked for.
    ReadsAreShort,
    /// Every access takes this long.
    Slow(Duration),
    /// The access of this number from now, counted from 1, fails with this errno.
    FailsOnce(u64, i32),
}

/// The medium.
pub struct Medium {
    state: Arc<Mutex<State>>,
    mountpoint: PathBuf,
    session: Option<BackgroundSession>,
}

struct State {
    image: Vec<u8>,
    unflushed: Vec<Write>,
    /// Counts the cuts; files of another number are dead.
    power: u64,
    manner: Manner,
    /// Since the manner was chosen.
    accesses: u64,
}

struct Write {
    offset: usize,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Medium {
    /// A medium of zeros, mounted at a directory, which must be there.
    #[track_caller]
    pub fn new(mountpoint: &Path, len: usize) -> Medium {
        let state = Arc::new(Mutex::new(State {
            image: vec![0; len],
            unflushed: Vec::new(),
            power: 0,
            manner: Manner::Well,
            accesses: 0,
        }));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("evsfs-test-medium".to_owned())];
        // So that one slow access does not slow another.
        config.n_threads = Some(8);
        let session = fuser::spawn_mount(Served(state.clone()), mountpoint, &config).unwrap();
        Medium { state, mountpoint: mountpoint.to_owned(), session: Some(session) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The file, as it is called since the power was last switched on.
    pub fn file(&self) -> PathBuf {
        self.mountpoint.join(file_name(self.state().power))
    }

    /// Changes how it behaves.
    pub fn behave(&self, manner: Manner) {
        let mut state = self.state();
        (state.manner, state.accesses) = (manner, 0);
    }

    /// Reads, writes and flushes since it was told how to behave.
    pub fn accesses(&self) -> u64 {
        self.state().accesses
    }

    /// Takes the power away.
    pub fn cut(&self) {
        self.state().power += 1;
    }

    /// Decides what of the unflushed writes is there when the power comes back; how many there
    /// were.
    pub fn settle(&self, unflushed: Unflushed) -> usize {
        let mut state = self.state();
        let writes = std::mem::take(&mut state.unflushed);
        for write in writes.iter().rev() {
            state.put(write.offset, &write.before);
        }
        let mut numbers = Numbers::new(match unflushed {
            Unflushed::Some(seed) => seed,
            Unflushed::AllLost | Unflushed::AllKept => 0,
        });
        for write in &writes {
            for (page, bytes) in write.after.chunks(GRAIN).enumerate() {
                let is_kept = match unflushed {
                    Unflushed::AllLost => false,
                    Unflushed::AllKept => true,
                    Unflushed::Some(_) => numbers.below(2) == 0,
                };
                if is_kept {
                    state.put(write.offset + page * GRAIN, bytes);
                }
            }
        }
        writes.len()
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // Lazily: a test that failed may have left something that uses it.
        let mountpoint = self.mountpoint.to_str().unwrap_or_default().to_owned();
        crate::support::run("umount", &["-l", &mountpoint]);
        drop(self.session.take());
    }
}

impl State {
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.image[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let before = self.image[offset..offset + bytes.len()].to_vec();
        self.put(offset, bytes);
        self.unflushed.push(Write { offset, before, after: bytes.to_vec() });
    }
}

fn file_name(power: u64) -> String {
    format!("medium-{power}")
}

const NO_TIME: Duration = Duration::ZERO;
const ROOT: u64 = 1;

/// The file numbers are those of the power, after the root's.
struct Served(Arc<Mutex<State>>);

impl Served {
    /// The state, if the file is of the present power and the medium lets this access pass.
    fn reach(
        &self,
        file: u64,
        refused: impl FnOnce(Manner) -> Option<i32>,
    ) -> Result<MutexGuard<'_, State>, Errno> {
        let manner = self.0.lock().unwrap().manner;
        if let Manner::Slow(time) = manner {
            std::thread::sleep(time);
        }
        let mut state = self.0.lock().unwrap();
        state.accesses += 1;
        let refused = match manner {
            Manner::FailsOnce(at, errno) => (at == state.accesses).then_some(errno),
            manner => refused(manner),
        };
        if let Some(errno) = refused {
            return Err(Errno::from_i32(errno));
        }
        match file == ROOT + 1 + state.power {
            true => Ok(state),
            false => Err(Errno::EIO),
        }
    }

    fn attributes(&self, file: u64) -> FileAttr {
        let is_root = file == ROOT;
        let size = self.0.lock().unwrap().image.len() as u64;
        FileAttr {
            ino: INodeNo(file),
            size,
            blocks: size / 512,
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind: if is_root { FileType::Directory } else { FileType::RegularFile },
            perm: if is_root { 0o700 } else { 0o600 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Served {
    fn lookup(&self, _req: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let power = self.0.lock().unwrap().power;
        match name.to_str() == Some(&file_name(power)) {
            true => reply.entry(&NO_TIME, &self.attributes(ROOT + 1 + power), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&NO_TIME, &self.attributes(ino.0));
    }

    fn open(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        // Nothing is kept in the kernel: what was written is here at once.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let refused = |manner| match manner {
            Manner::ReadsFail(errno) => Some(errno),
            _ => None,
        };
        match self.reach(ino.0, refused) {
            Ok(state) => {
                let start = usize::try_from(offset).unwrap().min(state.image.len());
                let wanted = match state.manner {
                    Manner::ReadsAreShort => (size as usize).div_ceil(2).min(1000),
                    _ => size as usize,
                };
                let end = (start + wanted).min(state.image.len());
                reply.data(&state.image[start..end]);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let refused = |manner| match manner {
            Manner::WritesFail(errno) => Some(errno),
            _ => None,
        };
        match self.reach(ino.0, refused) {
            Ok(mut state) => {
                let offset = usize::try_from(offset).unwrap();
                if offset + data.len() > state.image.len() {
                    return reply.error(Errno::ENOSPC);
                }
                state.write(offset, data);
                reply.written(u32::try_from(data.len()).unwrap());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // close(2) is no flush of a disk.
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let refused = |manner| match manner {
            Manner::FlushesFail(errno) => Some(errno),
            _ => None,
        };
        match self.reach(ino.0, refused) {
            Ok(mut state) => {
                state.unflushed.clear();
                reply.ok();
            }
            Err(errno) => reply.error(errno),
        }
    }
}
