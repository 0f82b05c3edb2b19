//! One value in several copies, so that threads do not write to each other's cache lines.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More copies than this cost memory and help nobody.
const MOST: usize = 16;

thread_local! {
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A value of which each thread uses one of several copies.
#[derive(Debug)]
pub struct Striped<T> {
    // A power of two of them.
    copies: Box<[Aligned<T>]>,
}

// Two cache lines each: processors fetch them in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Aligned<T>(T);

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Striped::new()
    }
}

impl<T: Default> Striped<T> {
    /// Copies enough for the threads that this machine can run at a time, all of them empty.
    pub fn new() -> Self {
        Striped { copies: std::iter::repeat_with(Aligned::default).take(copies()).collect() }
    }
}

impl<T> Striped<T> {
    /// The copy of this thread, which others may use too.
    pub fn mine(&self) -> &T {
        &self.copies[thread_number() & (self.copies.len() - 1)].0
    }

    /// All copies.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.copies.iter().map(|copy| &copy.0)
    }
}

/// Twice as many as cores: threads come and go, and two that work at a time should rarely meet.
fn copies() -> usize {
    static COPIES: OnceLock<usize> = OnceLock::new();
    *COPIES.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (2 * cores).next_power_of_two().min(MOST)
    })
}

/// Numbers threads by the order in which they first count something.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NUMBER.with(|number| match number.get() {
        Some(mine) => mine,
        None => {
            let mine = NEXT.fetch_add(1, Ordering::Relaxed);
            number.set(Some(mine));
            mine
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn what_many_threads_add_is_all_there() {
        let sum = Striped::<AtomicU64>::new();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        sum.mine().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let total: u64 = sum.all().map(|copy| copy.load(Ordering::Relaxed)).sum();
        assert_eq!(total, 40_000);
    }

    #[test]
    fn a_thread_keeps_to_its_copy() {
        let value = Striped::<AtomicU64>::new();
        assert!(std::ptr::eq(value.mine(), value.mine()));
        assert!(value.copies.len().is_power_of_two());
    }
}
