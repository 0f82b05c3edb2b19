//! Our words and the protocol's.

use crate::error::{Error, ErrorKind};
use crate::fs::{Attributes, FileKind, Inode, PageCache};
use crate::id::Uid;
use fuser::{Errno, FileAttr, FileType, FopenFlags, INodeNo, Request};

/// Bytes of a block of st_blocks.
const BLOCK_SIZE: u32 = 4096;

pub(super) fn errno(error: &Error) -> Errno {
    Errno::from_i32(error.errno())
}

/// The errno of lseek(2), which has one of its own for positions past the end.
pub(super) fn seek_errno(error: &Error) -> Errno {
    match error.kind() {
        ErrorKind::OutOfRange => Errno::ENXIO,
        _ => errno(error),
    }
}

pub(super) fn uid(request: &Request) -> Uid {
    Uid::new(request.uid())
}

pub(super) fn inode(number: INodeNo) -> Inode {
    Inode::new(number.0)
}

pub(super) fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::Directory => FileType::Directory,
        FileKind::Regular => FileType::RegularFile,
    }
}

pub(super) fn file_attr(attributes: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(attributes.inode.get()),
        size: attributes.size,
        blocks: attributes.blocks,
        atime: attributes.modified,
        mtime: attributes.modified,
        ctime: attributes.modified,
        crtime: attributes.modified,
        kind: file_type(attributes.kind),
        perm: attributes.mode,
        nlink: if attributes.kind == FileKind::Directory { 2 } else { 1 },
        uid: attributes.owner.get(),
        gid: 0,
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

pub(super) fn open_flags(cache: PageCache) -> FopenFlags {
    match cache {
        PageCache::Keep => FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES,
        PageCache::Stream => {
            FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NONSEEKABLE | FopenFlags::FOPEN_STREAM
        }
        PageCache::BypassInParallel => {
            FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES
        }
        PageCache::BypassAndKeep => {
            open_flags(PageCache::BypassInParallel) | FopenFlags::FOPEN_KEEP_CACHE
        }
    }
}
