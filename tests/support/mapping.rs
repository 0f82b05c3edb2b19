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

    /// Reads bytes; volatile, since others write the file meanwhile.
    pub fn read(&self, at: usize, len: usize) -> Vec<u8> {
        assert!(at + len <= self.len);
        // SAFETY: inside the mapping, which lives as long as self.
        (at..at + len).map(|at| unsafe { self.start.wrapping_add(at).read_volatile() }).collect()
    }

    /// Writes bytes.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len);
        for (index, byte) in bytes.iter().enumerate() {
            // SAFETY: inside the mapping, which lives as long as self.
            unsafe { self.start.wrapping_add(at + index).write_volatile(*byte) };
        }
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
