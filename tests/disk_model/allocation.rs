//! The whole-sector path allocates nothing.
#![allow(unsafe_code)]

use super::rig::{Make, at};
use evsfs::disk::ChangedRegions;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn reads_and_writes_allocate_nothing_after_the_first_request_of_a_thread() {
    for make in Make::ALL {
        let (disk, _) = make.in_memory(4 << 20);
        let disk = disk.resume_tracking(&ChangedRegions::none());
        let bytes = vec![7; 1 << 20];
        let mut into = vec![0; 1 << 20];
        let mut round = || {
            disk.write_at(at(65_536), &bytes).unwrap();
            disk.write_at(at(100), &bytes[..5000]).unwrap();
            disk.read_with(at(65_536), 1 << 20, |lent| assert_eq!(lent[9], 7)).unwrap();
            disk.read_at(at(4097), &mut into).unwrap();
        };
        round();
        let before = ALLOCATIONS.get();
        round();
        assert_eq!(ALLOCATIONS.get() - before, 0, "{make:?}");
    }
}
