//! An open descriptor of a payload: system calls finished, failures explained.

use super::contract::{Access, ends_early};
use super::direct::{Blocks, LARGEST_BLOCK};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, ResolveFlags, SeekFrom, StatxFlags};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What a fallback writes where the medium cannot make a hole: large enough to be quick, small
/// enough to lie in the program.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// The question of statx(2) for the alignment of direct I/O (include/uapi/linux/stat.h).
const STATX_DIOALIGN: u32 = 0x2000;

/// The type of a tmpfs in statfs(2) (include/uapi/linux/magic.h).
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// A descriptor and the path it was opened by, for messages.
pub(super) struct Descriptor {
    fd: OwnedFd,
    path: PathBuf,
    // Of a descriptor with O_DIRECT.
    direct: Option<Blocks>,
}

impl Descriptor {
    /// Opens `path`. No component may be a symbolic link, so that nobody who can write a directory
    /// on the way can point the daemon elsewhere (RULES A6); on kernels before 5.6, which lack
    /// openat2(2), only the last component is checked.
    pub(super) fn open(path: &Path, access: Access, extra: OFlags, mode: Mode) -> Result<Self> {
        // Non-blocking, so that opening a FIFO somebody left there fails instead of hanging.
        let always = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = match access {
            Access::ReadOnly => OFlags::RDONLY | always | extra,
            Access::ReadWrite => OFlags::RDWR | always | extra,
        };
        let strict =
            || rustix::fs::openat2(rustix::fs::CWD, path, flags, mode, ResolveFlags::NO_SYMLINKS);
        let opened = match rustix::io::retry_on_intr(strict) {
            Err(Errno::NOSYS) => rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, mode)),
            answer => answer,
        };
        match opened {
            Ok(fd) => Ok(Descriptor { fd, path: path.to_owned(), direct: None }),
            Err(errno) => Err(refused_open(path, errno)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock that makes a payload one opener's own (RULES S3). The kernel releases it
    /// with the descriptor, so a killed daemon leaves nothing behind.
    pub(super) fn lock(&self) -> Result<()> {
        let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&self.fd, exclusive)).map_err(|errno| {
            match errno {
                Errno::WOULDBLOCK => in_use(&self.path),
                other => self.failed("locking", other),
            }
        })
    }

    /// Opens the same file once more. Not a duplicate, which would share the lock and keep it for as
    /// long as it is open.
    pub(super) fn reopen_to_read(&self) -> Result<OwnedFd> {
        let itself = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::io::retry_on_intr(|| rustix::fs::open(&itself, flags, Mode::empty()))
            .map_err(|errno| self.failed("opening once more", errno))
    }

    /// Whether the file lies on a tmpfs.
    pub(super) fn is_in_memory(&self) -> bool {
        rustix::fs::fstatfs(&self.fd).is_ok_and(|stat| stat.f_type == TMPFS_MAGIC)
    }

    /// What offsets, lengths and memory of direct I/O must be multiples of; `None` when the file
    /// has no direct I/O, or the kernel (before 6.1) or the filesystem does not say.
    pub(super) fn direct_alignment(&self) -> Result<Option<usize>> {
        let wanted = StatxFlags::from_bits_retain(STATX_DIOALIGN);
        let found = match rustix::fs::statx(&self.fd, "", AtFlags::EMPTY_PATH, wanted) {
            Err(Errno::NOSYS) => return Ok(None),
            found => found.map_err(|errno| self.failed("looking at", errno))?,
        };
        // Zero says "none"; a kernel that does not know the question leaves zero, too.
        let widest = found.stx_dio_offset_align.max(found.stx_dio_mem_align) as usize;
        Ok((found.stx_dio_offset_align > 0).then_some(widest))
    }

    /// Bypasses the kernel's page cache from now on (O_DIRECT). Medium and length must allow it.
    ///
    /// # Errors
    /// `unsupported` where they do not; everything is then as before.
    pub(super) fn go_direct(&mut self, len: ByteLen, or_else: Option<usize>) -> Result<()> {
        let blocks = self.direct_alignment()?.or(or_else);
        let blocks = blocks.filter(|size| size.is_power_of_two() && *size <= LARGEST_BLOCK);
        let Some(size) = blocks else {
            return Err(self.has_no_direct_io("it does not say at which alignment"));
        };
        if !len.get().is_multiple_of(size as u64) {
            let why = format!("its length {} is no multiple of its blocks of {size}", len.get());
            return Err(self.has_no_direct_io(&why));
        }
        let set = rustix::fs::fcntl_getfl(&self.fd)
            .and_then(|flags| rustix::fs::fcntl_setfl(&self.fd, flags | OFlags::DIRECT));
        set.map_err(|errno| {
            self.has_no_direct_io("the filesystem refuses").caused_by(std::io::Error::from(errno))
        })?;
        self.direct = Some(Blocks::of(size));
        Ok(())
    }

    fn has_no_direct_io(&self, why: &str) -> Error {
        let path = self.path.display();
        Error::new(ErrorKind::Unsupported, format!("payload {path} has no direct I/O: {why}"))
            .remedy("leave direct_backing off in mount.toml, or put payloads on another filesystem")
    }

    /// The logical block size of a device.
    pub(super) fn device_block(&self) -> Result<usize> {
        rustix::fs::ioctl_blksszget(&self.fd)
            .map(|bytes| bytes as usize)
            .map_err(|errno| self.failed("asking for the block size of", errno))
    }

    pub(super) fn stat(&self) -> Result<rustix::fs::Stat> {
        rustix::fs::fstat(&self.fd).map_err(|errno| self.failed("looking at", errno))
    }

    /// Where the medium ends now.
    pub(super) fn end(&self) -> Result<ByteLen> {
        rustix::fs::seek(&self.fd, SeekFrom::End(0))
            .map(ByteLen::new)
            .map_err(|errno| self.failed("finding the end of", errno))
    }

    pub(super) fn read_at(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        match &self.direct {
            Some(blocks) if !blocks.suit(offset, into) => blocks.read(self, offset, into),
            _ => self.read_blocks(offset, into),
        }
    }

    pub(super) fn write_at(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        match &self.direct {
            Some(blocks) if !blocks.suit(offset, bytes) => blocks.write(self, offset, bytes),
            _ => self.write_blocks(offset, bytes),
        }
    }

    /// Reads what suits the medium.
    pub(super) fn read_blocks(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < into.len() {
            let at = self.advance(offset, done)?;
            match rustix::io::pread(&self.fd, &mut into[done..], at) {
                // The second: only the end cuts a block, and nothing could be asked for behind it.
                Ok(count) if count == 0 || self.is_cut(count) => {
                    return Err(ends_early(offset, into.len()));
                }
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed_at("reading", offset, into.len(), errno)),
            }
        }
        Ok(())
    }

    /// Writes what suits the medium.
    pub(super) fn write_blocks(&self, offset: ByteOffset, bytes: &[u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let at = self.advance(offset, done)?;
            match rustix::io::pwrite(&self.fd, &bytes[done..], at) {
                // No device answers so; an error is better than an endless loop if one does.
                Ok(0) => return Err(self.failed_at("writing", offset, bytes.len(), Errno::IO)),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed_at("writing", offset, bytes.len(), errno)),
            }
        }
        Ok(())
    }

    /// fallocate(2), or `false` where this medium has no such operation.
    pub(super) fn try_fallocate(
        &self,
        flags: FallocateFlags,
        offset: ByteOffset,
        len: ByteLen,
    ) -> Result<bool> {
        let call = || rustix::fs::fallocate(&self.fd, flags, offset.get(), len.get());
        let call = || rustix::io::retry_on_intr(call);
        let done = match &self.direct {
            Some(blocks) => blocks.guarding_edges(offset, len.to_usize()?, call),
            None => call(),
        };
        match done {
            Ok(()) => Ok(true),
            // A block device answers EINVAL to a range finer than its own blocks.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(errno) => {
                let len = len.to_usize().unwrap_or(usize::MAX);
                Err(self.failed_at("discarding", offset, len, errno))
            }
        }
    }

    /// Overwrites the data of the range with zeros and leaves its holes alone.
    pub(super) fn write_zeros(&self, offset: ByteOffset, end: ByteOffset) -> Result<()> {
        let mut at = offset;
        while let Some(data) = self.seek_data(at)?.filter(|data| *data < end) {
            let hole = self.seek_hole(data)?.map_or(end, |hole| hole.min(end));
            at = data;
            while let Some(left) = hole.checked_since(at).filter(|left| *left > ByteLen::ZERO) {
                let piece = left.min(ByteLen::of(&ZEROS));
                self.write_at(at, &ZEROS[..piece.to_usize()?])?;
                at = at.checked_add(piece).unwrap_or(end);
            }
            if at >= end {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn seek_data(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        self.seek(SeekFrom::Data(offset.get()), offset, offset)
    }

    pub(super) fn seek_hole(&self, offset: ByteOffset) -> Result<Option<ByteOffset>> {
        let end = self.end()?.end();
        self.seek(SeekFrom::Hole(offset.get()), offset, end)
    }

    // The descriptor's own position moves, which harms nobody: data moves by pread and pwrite.
    fn seek(
        &self,
        to: SeekFrom,
        offset: ByteOffset,
        when_unknown: ByteOffset,
    ) -> Result<Option<ByteOffset>> {
        match rustix::fs::seek(&self.fd, to) {
            Ok(found) => Ok(Some(ByteOffset::new(found))),
            Err(Errno::NXIO) => Ok(None),
            // This medium does not know its holes: everything before the end is data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                Ok((offset < self.end()?.end()).then_some(when_unknown))
            }
            Err(errno) => Err(self.failed("seeking in", errno)),
        }
    }

    pub(super) fn sync_data(&self) -> Result<()> {
        rustix::io::retry_on_intr(|| rustix::fs::fdatasync(&self.fd))
            .map_err(|errno| self.failed("flushing", errno))
    }

    pub(super) fn sync_all(&self) -> Result<()> {
        rustix::io::retry_on_intr(|| rustix::fs::fsync(&self.fd))
            .map_err(|errno| self.failed("flushing", errno))
    }

    /// Makes the file `len` long, and whole blocks where they are written as such.
    pub(super) fn truncate(&self, len: ByteLen) -> Result<()> {
        let block = self.direct.as_ref().map_or(1, Blocks::size) as u64;
        let len = len.get().checked_next_multiple_of(block).map_or(len, ByteLen::new);
        rustix::io::retry_on_intr(|| rustix::fs::ftruncate(&self.fd, len.get()))
            .map_err(|errno| self.failed(&format!("growing to {len}"), errno))
    }

    fn is_cut(&self, count: usize) -> bool {
        self.direct.as_ref().is_some_and(|blocks| !count.is_multiple_of(blocks.size()))
    }

    fn advance(&self, offset: ByteOffset, done: usize) -> Result<u64> {
        let done = ByteLen::new(done as u64);
        match offset.checked_add(done) {
            Some(at) => Ok(at.get()),
            None => Err(self.failed("reaching past 2^64 in", Errno::OVERFLOW)),
        }
    }

    fn failed(&self, doing: &str, errno: Errno) -> Error {
        Error::io(format!("{doing} payload {}", self.path.display()), errno.into())
    }

    fn failed_at(&self, doing: &str, offset: ByteOffset, len: usize, errno: Errno) -> Error {
        self.failed(&format!("{doing} {len} bytes at offset {} of", offset.get()), errno)
    }
}

pub(super) fn in_use(path: &Path) -> Error {
    Error::new(ErrorKind::InUse, format!("payload {} is held by another opener", path.display()))
        .remedy(format!("find the holder: fuser -v {}", path.display()))
}

fn refused_open(path: &Path, errno: Errno) -> Error {
    let kind = match errno {
        Errno::NOENT => ErrorKind::NotFound,
        Errno::EXIST => ErrorKind::Exists,
        Errno::LOOP | Errno::NXIO | Errno::ISDIR | Errno::NOTDIR => ErrorKind::Invalid,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
        Errno::BUSY | Errno::TXTBSY => return in_use(path),
        other => return Error::io(format!("opening payload {}", path.display()), other.into()),
    };
    let refusal = format!("payload {} cannot be opened", path.display());
    let uid = rustix::process::geteuid();
    if kind == ErrorKind::Denied && errno != Errno::ROFS && !uid.is_root() {
        return Error::new(kind, format!("{refusal} by uid {uid}, which the daemon is"))
            .caused_by(std::io::Error::from(errno))
            .remedy(format!("chown {uid} {}", path.display()));
    }
    if errno != Errno::LOOP {
        return Error::new(kind, refusal).caused_by(std::io::Error::from(errno));
    }
    Error::new(kind, format!("{refusal}: its path has a symbolic link"))
        .remedy(format!("name the place itself: realpath {}", path.display()))
}
