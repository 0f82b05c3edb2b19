//! The heap: freed memory is wiped, and large memory is locked and not dumped.
//!
//! Values that know of their secrets wipe themselves; libraries that parse, decode or compute with
//! one do not: the text of a request, the numbers of a key that is being made. So every piece of
//! heap is overwritten when it is freed. No request of the data path frees memory, and elsewhere a
//! `memset` costs less than the call that comes with it.
//!
//! Large pieces are what requests of the kernel and sectors pass through, which therefore hold
//! content of disks and, when a program sends one in the clear, material of a key, until the next
//! request overwrites them. They get mappings of their own, which are left out of core dumps and,
//! where the limit of locked memory allows it, never written to swap space; only pages that are
//! touched take memory.
//!
//! Not covered: memory of C libraries, such as a PKCS#11 module, which have the heap of libc.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

/// From here on a piece gets a mapping of its own.
const LARGE: usize = 1 << 20;

/// The heap of the program. A library does not choose its user's heap, so `main.rs` does.
#[derive(Debug)]
pub struct WipingHeap;

/// Whether a layout is served by a mapping of its own, whose start is aligned to pages.
const fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= 4096
}

// SAFETY: System keeps the contract for what is small, and its own pieces are given back to it with
// the layout they were taken with; a mapping is as long as asked for, aligned to pages, of zeros, and
// nobody else's. Neither unwinds. The default `realloc` is made of the other functions.
unsafe impl GlobalAlloc for WipingHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if is_large(layout) {
            // Its pages go back to the kernel, which gives them to nobody before it has wiped them.
            // SAFETY: `map` made it with this length, and the caller does not use it any more. A
            // refusal would leave it as it is.
            let _ = unsafe { rustix::mm::munmap(start.cast(), layout.size()) };
            return;
        }
        // SAFETY: the piece is the caller's until it is freed below, and as long as its layout says.
        unsafe { start.write_bytes(0, layout.size()) };
        // Nobody reads what is about to be freed, so the compiler would leave the zeros out.
        let start = std::hint::black_box(start);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(start, layout) };
    }
}

/// A mapping, or null.
fn map(len: usize) -> *mut u8 {
    use rustix::mm::{Advice, MapFlags, MlockFlags, ProtFlags};
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice aliases nothing.
    let mapped = unsafe {
        rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    let Ok(start) = mapped else { return std::ptr::null_mut() };
    // Both are wishes: without them the memory is what any heap is.
    // SAFETY: the range is the mapping; the advice changes what a dump holds, not the memory.
    let _ = unsafe { rustix::mm::madvise(start, len, Advice::LinuxDontDump) };
    // SAFETY: as above; locking changes where pages are, not what they hold.
    let _ = unsafe { rustix::mm::mlock_with(start, len, MlockFlags::ONFAULT) };
    start.cast()
}

#[cfg(test)]
mod tests {
    use super::{LARGE, WipingHeap};
    use std::alloc::{GlobalAlloc, Layout};

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    /// A piece of the heap, full of one byte.
    fn filled(size: usize, byte: u8) -> *mut u8 {
        // SAFETY: the layout has a size.
        let start = unsafe { WipingHeap.alloc(layout(size)) };
        assert!(!start.is_null());
        // SAFETY: the piece is as long.
        unsafe { start.write_bytes(byte, size) };
        start
    }

    fn count_at(address: usize, len: usize, byte: u8) -> usize {
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut bytes = vec![0; len];
        // Memory that was given back to the kernel cannot be read.
        match std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, address as u64) {
            Ok(()) => bytes.iter().filter(|found| **found == byte).count(),
            Err(_) => 0,
        }
    }

    #[test]
    fn freed_memory_is_wiped() {
        for size in [24, 5000, 200_000, LARGE, LARGE + 5000] {
            let left = [0xa7, 0x5c, 0x39].map(|byte| {
                let start = filled(size, byte);
                assert_eq!(count_at(start.addr(), size, byte), size);
                // SAFETY: it is of this heap, and not used after this.
                unsafe { WipingHeap.dealloc(start, layout(size)) };
                count_at(start.addr(), size, byte)
            });
            // What is not wiped is left each time. The links that the allocator puts into free memory
            // are random numbers, of which a byte may be that of one filling.
            assert!(left.into_iter().min() <= Some(size / 100), "{size}: {left:?}");
        }
    }

    #[test]
    fn memory_that_moves_keeps_what_it_holds_and_is_wiped_where_it_was() {
        for (old, new) in [(5000, 70_000), (5000, LARGE), (LARGE, 2 * LARGE), (LARGE, 5000)] {
            let start = filled(old, 0xb9);
            // SAFETY: it is of this heap, and the new size is not zero.
            let moved = unsafe { WipingHeap.realloc(start, layout(old), new) };
            assert!(!moved.is_null() && moved != start);
            assert_eq!(count_at(moved.addr(), old.min(new), 0xb9), old.min(new));
            assert!(count_at(start.addr(), old, 0xb9) <= old / 100, "{old} to {new}");
            // SAFETY: it is of this heap, and not used after this.
            unsafe { WipingHeap.dealloc(moved, layout(new)) };
        }
    }

    #[test]
    fn large_memory_is_zeroed_and_left_out_of_dumps() {
        // SAFETY: the layout has a size.
        let start = unsafe { WipingHeap.alloc_zeroed(layout(LARGE)) };
        assert_eq!(count_at(start.addr(), LARGE, 0), LARGE);
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        // The kernel may have joined it with a neighbour of the same kind.
        let is_here = |line: &&str| {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            range.is_some_and(|(first, end)| {
                let of = |text| usize::from_str_radix(text, 16).unwrap_or(0);
                (of(first)..of(end)).contains(&start.addr())
            })
        };
        let flags = smaps.lines().skip_while(|line| !is_here(line));
        let flags = flags.into_iter().find(|line| line.starts_with("VmFlags:")).unwrap();
        assert!(flags.contains(" dd"), "{flags}");
        // SAFETY: it is of this heap, and not used after this.
        unsafe { WipingHeap.dealloc(start, layout(LARGE)) };
    }
}
