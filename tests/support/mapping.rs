//! Files in memory.
#![allow(unsafe_code)]

use rustix::mm::{MapFlags, MsyncFlags, ProtFlags};
use std::fs::File;

/// A mapping of a file from its start, taken away when dropped.
pub struct Mapping {
    start: *mut u8,
    len: usize,
}

impl Mapping {
    /// `MAP_SHARED`, writable.
    #[track_caller]
    pub fn shared(file: &File, len: usize) -> Mapping {
        Mapping::of(file, len, MapFlags::SHARED).unwrap()
    }

    /// `MAP_PRIVATE`, writable.
    #[track_caller]
    pub fn private(file: &File, len: usize) -> Mapping {
        Mapping::of(file, len, MapFlags::PRIVATE).unwrap()
    }

    /// A writable mapping, which may be refused.
    pub fn of(file: &File, len: usize, flags: MapFlags) -> rustix::io::Result<Mapping> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice aliases nothing.
        let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, access, flags, file, 0) }?;
        Ok(Mapping { start: start.cast(), len })
    }

    /// Reads bytes.
    pub fn read(&self, at: usize, len: usize) -> Vec<u8> {
        assert!(at + len <= self.len);
        let mut bytes = vec![0; len];
        // SAFETY: inside the mapping, which lives as long as self; no Rust reference points into it, so
        // that others may write the file meanwhile.
        unsafe { self.start.wrapping_add(at).copy_to_nonoverlapping(bytes.as_mut_ptr(), len) };
        bytes
    }

    /// Writes bytes.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len);
        let to = self.start.wrapping_add(at);
        // SAFETY: as in `read`.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// msync(2) with MS_SYNC.
    #[track_caller]
    pub fn sync(&self) {
        // SAFETY: exactly the mapping.
        unsafe { rustix::mm::msync(self.start.cast(), self.len, MsyncFlags::SYNC) }.unwrap();
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping, and nothing borrows from it.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), self.len) };
    }
}
