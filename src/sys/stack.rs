//! Wiping of the stack that a computation on secrets has used.

use super::registers::wipe_vector_registers;

/// Bytes wiped below the caller's frame: more than key expansion and one AEAD call use together, and
/// more than a run of a sector kernel. Unoptimised code has several times as large frames.
const DEPTH: usize = if cfg!(debug_assertions) { 64 } else { 16 } * 1024;
/// The same for arithmetic on large numbers.
const GREAT_DEPTH: usize = 256 * 1024;

/// Runs `work`, then overwrites the stack region it used and the vector registers, so that copies of key
/// material which the compiler left in dead frames (by-value returns, spilled registers) do not outlive it.
///
/// So it does when `work` panics. Best effort: other registers, and frames that lie deeper, are not
/// covered.
pub fn with_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    let _wiped = WipedWhenDropped::<DEPTH>;
    call(work)
}

/// As [`with_wiped_stack`], for work that goes as deep as RSA does: 256 KiB.
pub fn with_deep_stack_wiped<T>(work: impl FnOnce() -> T) -> T {
    let _wiped = WipedWhenDropped::<GREAT_DEPTH>;
    call(work)
}

struct WipedWhenDropped<const DEPTH: usize>;

impl<const DEPTH: usize> Drop for WipedWhenDropped<DEPTH> {
    fn drop(&mut self) {
        wipe::<DEPTH>();
        wipe_vector_registers();
    }
}

// Not inlined, so that its frame and all below it lie in the region `wipe` covers.
#[inline(never)]
fn call<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe<const DEPTH: usize>() {
    // Behind the black box anybody may look, so zeros are written; it is lent to be changed, since
    // what is only read could be a constant elsewhere.
    let mut region = [0_u8; DEPTH];
    std::hint::black_box(&mut region);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than what reading memory uses of the stack.
    const BYTES: usize = 12 * 1024;

    /// Leaves bytes in a frame that is dead when this returns.
    #[inline(never)]
    fn leave(byte: u8) {
        std::hint::black_box(&[byte; BYTES]);
    }

    /// How many words of such bytes lie below this frame.
    #[inline(never)]
    fn count(byte: u8) -> usize {
        let here = std::hint::black_box(0_u8);
        let start = std::ptr::from_ref(&here).addr() - BYTES;
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut below = vec![0; BYTES];
        std::os::unix::fs::FileExt::read_exact_at(&memory, &mut below, start as u64).unwrap();
        below.as_chunks::<8>().0.iter().filter(|word| **word == [byte; 8]).count()
    }

    #[test]
    fn what_work_leaves_in_dead_frames_is_overwritten() {
        leave(0xc2);
        let found = count(0xc2);
        assert!(found > 100, "{found}: nothing would be found whatever is there");
        with_wiped_stack(|| leave(0x1d));
        assert_eq!(count(0x1d), 0);
        let panicked = std::panic::catch_unwind(|| {
            with_wiped_stack(|| {
                leave(0x3e);
                std::panic::resume_unwind(Box::new(()));
            });
        });
        assert!(panicked.is_err());
        assert_eq!(count(0x3e), 0);
    }
}
