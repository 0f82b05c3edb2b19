//! A file for key material that another program reads: it has no name and lies in no file system.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::FdFlags;
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::ptr::NonNull;

/// A file in memory that is locked there, wiped when dropped, and sealed: nobody else can change it or
/// its length. Processes of this user that it is shown to, and root, can read it.
pub struct SecretFile {
    file: OwnedFd,
    start: NonNull<u8>,
    len: usize,
}

impl SecretFile {
    /// A file with this content. Nothing but the file holds a copy.
    ///
    /// # Errors
    /// `io` when the kernel has no memory for it, or it cannot be locked.
    pub fn new(content: &[u8]) -> Result<SecretFile> {
        let failed =
            |cause: rustix::io::Errno| Error::io("making a file for key material", cause.into());
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("evsfs-secret", flags).map_err(failed)?;
        let len = content.len();
        rustix::fs::ftruncate(&file, len as u64).map_err(failed)?;
        // The only mapping that can ever be written: after the seal there is no other way, and this
        // one is needed to wipe.
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing, and nobody
        // else knows of the file.
        let start = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, &file, 0)
        }
        .map_err(failed)?;
        let start = NonNull::new(start.cast::<u8>())
            .ok_or_else(|| Error::io("mapping memory", std::io::Error::other("address zero")))?;
        let mut secret = SecretFile { file, start, len };
        // SAFETY: the range is exactly the mapping made above.
        unsafe { rustix::mm::mlock(start.as_ptr().cast(), len) }.map_err(failed)?;
        secret.bytes().copy_from_slice(content);
        let seals = SealFlags::GROW | SealFlags::SHRINK | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&secret.file, seals).map_err(failed)?;
        Ok(secret)
    }

    /// The path at which a child finds the file that inherits it; it does while `work` runs, which
    /// must start no other program.
    ///
    /// # Errors
    /// `io`; what `work` returns.
    pub fn lend<T>(&self, work: impl FnOnce(PathBuf) -> Result<T>) -> Result<T> {
        lend_descriptor(self.file.as_fd(), work)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is ours, `len` long, writable, and &mut self is exclusive; others can
        // only read the file.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// As [`SecretFile::lend`], for any open file.
///
/// # Errors
/// `io`; what `work` returns.
pub fn lend_descriptor<T>(
    file: std::os::fd::BorrowedFd<'_>,
    work: impl FnOnce(PathBuf) -> Result<T>,
) -> Result<T> {
    let set = |flags| {
        rustix::io::fcntl_setfd(file, flags)
            .map_err(|cause| Error::io("lending an open file to a program", cause.into()))
    };
    set(FdFlags::empty())?;
    let done = work(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())));
    set(FdFlags::CLOEXEC)?;
    done
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(self.bytes());
        // SAFETY: the range is our own mapping and the address is not used after this.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::SecretFile;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    #[test]
    fn another_opener_reads_it_and_nobody_changes_it() {
        let secret = SecretFile::new(b"0123456789").unwrap();
        let path = secret.lend(Ok).unwrap();
        let mut text = String::new();
        std::fs::File::open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "0123456789");
        let mut writer = std::fs::File::options().write(true).open(&path).unwrap();
        assert!(writer.write(b"x").is_err());
        assert!(writer.set_len(0).is_err() && writer.set_len(100).is_err());
    }

    #[test]
    fn it_is_wiped_when_it_is_dropped() {
        let secret = SecretFile::new(b"0123456789").unwrap();
        let mut kept = std::fs::File::from(secret.file.as_fd().try_clone_to_owned().unwrap());
        drop(secret);
        let mut bytes = Vec::new();
        kept.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 10]);
    }

    #[test]
    fn a_child_sees_it_only_while_it_is_lent() {
        let secret = SecretFile::new(b"0123456789").unwrap();
        let read = |path: &std::path::Path| {
            std::process::Command::new("cat").arg(path).output().unwrap().stdout
        };
        let (path, seen) = secret.lend(|path| Ok((path.clone(), read(&path)))).unwrap();
        assert_eq!(seen, b"0123456789");
        assert_eq!(read(&path), b"");
    }
}
