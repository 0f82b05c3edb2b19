//! Memory for key material: locked, not dumped, not inherited, wiped.
//!
//! Where the kernel has `memfd_secret(2)` the pages are also absent from the kernel's own map, so
//! that neither another process nor a kernel read primitive sees them. Elsewhere they are
//! anonymous pages with `mlock(2)`, `MADV_DONTDUMP` and `MADV_DONTFORK`.
//!
//! A mapping costs far more than what is done with a key in it, so a few wiped ones are kept for
//! the next key. They count against the limit of locked memory and are taken before the kernel is
//! asked for more.
//!
//! Not covered: copies in registers while a cipher runs, and root, who can attach a debugger.
#![allow(unsafe_code)]

use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// How many wiped mappings of one page are kept.
const SPARES: usize = 32;

/// Wiped mappings of one page each, at most [`SPARES`]; the lock is held for a push or a pop only.
static SPARE: Mutex<Vec<Pages>> = Mutex::new(Vec::new());

/// One value in secret memory, alone in its own pages.
///
/// Dropping it drops the value and overwrites the pages before they are used again or given back.
pub struct SecretBox<T> {
    pages: Pages,
    _value: std::marker::PhantomData<T>,
}

impl<T> SecretBox<T> {
    /// Moves the value that `make` returns into secret memory and wipes the stack it came from.
    ///
    /// # Errors
    /// `quota` when the memory cannot be locked (`ulimit -l`); what `make` returns.
    pub fn try_new(make: impl FnOnce() -> Result<T>) -> Result<Self> {
        const { assert!(align_of::<T>() <= 4096, "pages are aligned to 4096 bytes") };
        let pages = Pages::take(size_of::<T>())?;
        super::with_wiped_stack(|| {
            let value = make()?;
            // SAFETY: the pages are writable, at least size_of::<T>() long, aligned for T by the
            // assertion above, and nobody else knows of them yet.
            unsafe { pages.start.cast::<T>().write(value) };
            Ok(SecretBox { pages, _value: std::marker::PhantomData })
        })
    }
}

impl<T> Deref for SecretBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: try_new wrote a T there; it is dropped only with self; &self excludes &mut.
        unsafe { self.pages.start.cast::<T>().as_ref() }
    }
}

impl<T> DerefMut for SecretBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in deref, and &mut self is exclusive.
        unsafe { self.pages.start.cast::<T>().as_mut() }
    }
}

impl<T> Drop for SecretBox<T> {
    fn drop(&mut self) {
        // SAFETY: the value was written by try_new and is not used again; the pages outlive it,
        // since fields are dropped after this function.
        unsafe { self.pages.start.cast::<T>().drop_in_place() };
        self.pages.wipe();
        self.pages.keep();
    }
}

// SAFETY: a SecretBox owns its value like a Box does; the mapping has no ties to a thread.
unsafe impl<T: Send> Send for SecretBox<T> {}
// SAFETY: as above; shared access gives only &T.
unsafe impl<T: Sync> Sync for SecretBox<T> {}

/// How well memory for keys is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretMemory {
    /// By `memfd_secret(2)`: absent from the kernel's own map.
    Hidden,
    /// Locked and left out of dumps.
    Locked,
}

/// What this kernel offers, found out by asking for a page of it.
///
/// # Errors
/// `quota` when no memory can be locked.
pub fn secret_memory_kind() -> Result<SecretMemory> {
    let page = rustix::param::page_size();
    match Pages::map_secret(page) {
        Ok(_) => Ok(SecretMemory::Hidden),
        Err(_) => Pages::map_locked(page).map(|_| SecretMemory::Locked),
    }
}

/// A private mapping of whole pages, wiped and unmapped on drop. Empty ones (`len` 0) own nothing.
struct Pages {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping has no ties to a thread, and whoever holds a Pages holds it alone.
unsafe impl Send for Pages {}

impl Pages {
    /// Pages of zeros, at least `bytes` long: spare ones, or else new ones.
    fn take(bytes: usize) -> Result<Pages> {
        let page = rustix::param::page_size();
        let len = bytes.max(1).next_multiple_of(page);
        if len == page
            && let Some(spare) = SPARE.lock().pop()
        {
            return Ok(spare);
        }
        match Pages::map_secret(len) {
            Ok(pages) => Ok(pages),
            Err(_) => Pages::map_locked(len),
        }
    }

    /// Leaves the pages, which must be wiped, to the next [`Pages::take`], or gives them back.
    fn keep(&mut self) {
        if self.len != rustix::param::page_size() {
            return;
        }
        let mut spare = SPARE.lock();
        if spare.len() < SPARES {
            spare.push(Pages { start: self.start, len: std::mem::take(&mut self.len) });
        }
    }

    fn wipe(&mut self) {
        // In words, since each is written with an instruction of its own.
        let words = self.start.cast::<u64>();
        // SAFETY: the range is our own mapping of whole pages, whose start is aligned for any
        // integer, and no reference into it is left.
        let words = unsafe { std::slice::from_raw_parts_mut(words.as_ptr(), self.len / 8) };
        zeroize::Zeroize::zeroize(words);
    }

    fn map_secret(len: usize) -> std::io::Result<Pages> {
        use std::os::fd::{FromRawFd, OwnedFd};
        // SAFETY: the call takes one integer and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let fd = i32::try_from(fd).unwrap_or(-1);
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        rustix::fs::ftruncate(&fd, len as u64)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::SHARED,
                &fd,
                0,
            )
        }?;
        Ok(Pages { start: non_null(start)?, len }.not_inherited())
    }

    fn map_locked(len: usize) -> Result<Pages> {
        let refuse = |what: &str, cause: rustix::io::Errno| {
            Error::new(ErrorKind::Quota, format!("memory for key material cannot be {what}"))
                .caused_by(std::io::Error::from(cause))
                .remedy("raise the locked-memory limit: ulimit -l unlimited")
        };
        // SAFETY: a fresh anonymous mapping aliases nothing.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                len,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::PRIVATE,
            )
        }
        .map_err(|cause| refuse("mapped", cause))?;
        let start = non_null(start).map_err(|cause| Error::io("mapping memory", cause))?;
        let pages = Pages { start, len };
        // SAFETY: the range is exactly the mapping made above.
        unsafe { rustix::mm::mlock(pages.start.as_ptr().cast(), len) }
            .map_err(|cause| refuse("locked", cause))?;
        // SAFETY: as above; the advice changes what a core dump holds, not the memory.
        unsafe {
            rustix::mm::madvise(pages.start.as_ptr().cast(), len, rustix::mm::Advice::LinuxDontDump)
        }
        .map_err(|cause| refuse("kept out of core dumps", cause))?;
        Ok(pages.not_inherited())
    }

    /// Keeps the pages out of child processes; a refusal is harmless, since this program's
    /// children replace their memory at once.
    fn not_inherited(self) -> Pages {
        let (start, len) = (self.start.as_ptr().cast(), self.len);
        // SAFETY: the range is our own mapping; the advice does not change it.
        let _ = unsafe { rustix::mm::madvise(start, len, rustix::mm::Advice::LinuxDontFork) };
        self
    }
}

fn non_null(start: *mut std::ffi::c_void) -> std::io::Result<NonNull<u8>> {
    NonNull::new(start.cast()).ok_or_else(|| std::io::Error::other("a mapping at address zero"))
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        self.wipe();
        // SAFETY: the range is our own mapping and the address is not used after this.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::{Pages, SPARE, SPARES, SecretBox};

    #[test]
    fn a_value_lives_in_secret_memory_and_is_dropped_with_it() {
        let counter = std::sync::Arc::new(());
        let boxed = SecretBox::try_new(|| Ok((counter.clone(), [7_u8; 100]))).unwrap();
        assert_eq!(boxed.1, [7; 100]);
        assert_eq!(std::sync::Arc::strong_count(&counter), 2);
        drop(boxed);
        assert_eq!(std::sync::Arc::strong_count(&counter), 1);
    }

    #[test]
    fn what_is_kept_for_the_next_key_is_wiped() {
        let mut pages = Pages::take(100).unwrap();
        // SAFETY: nobody else knows of these pages.
        unsafe { pages.start.as_ptr().write_bytes(0xa5, pages.len) };
        pages.wipe();
        // SAFETY: as above.
        let bytes = unsafe { std::slice::from_raw_parts(pages.start.as_ptr(), pages.len) };
        assert!(bytes.iter().all(|byte| *byte == 0));
        pages.keep();
        // Kept and given away, or too many are kept already: these pages own nothing then.
        assert!(pages.len == 0 || SPARE.lock().len() == SPARES);
    }

    #[test]
    fn many_boxes_at_once_and_again_hold_what_was_put_into_them() {
        for round in 0..3_u64 {
            let boxes: Vec<_> =
                (0..200_u64).map(|at| SecretBox::try_new(|| Ok([round, at])).unwrap()).collect();
            for (at, boxed) in (0..).zip(&boxes) {
                assert_eq!(**boxed, [round, at]);
            }
        }
        assert!(SPARE.lock().len() <= SPARES);
    }

    #[test]
    fn the_mapping_is_locked_and_left_out_of_dumps() {
        let boxed = SecretBox::try_new(|| Ok([1_u8; 64])).unwrap();
        let address = format!("{:x}-", std::ptr::from_ref(&*boxed).addr());
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let entry = maps.split_once(&address).expect("the mapping is listed").1;
        let flags = entry.lines().find(|line| line.starts_with("VmFlags:")).unwrap();
        for flag in [" lo", " dd"] {
            assert!(flags.contains(flag), "{flag} is missing in {flags}");
        }
    }

    #[test]
    fn the_fallback_without_memfd_secret_locks_too() {
        let pages = Pages::map_locked(4096).unwrap();
        assert_eq!(pages.len, 4096);
    }
}
