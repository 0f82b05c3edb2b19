//! Wiping of the stack that a computation on secrets has used.

use zeroize::Zeroize;

/// Bytes wiped below the caller's frame: more than key expansion and one AEAD call use together.
const DEPTH: usize = 16 * 1024;

/// Runs `work`, then overwrites the stack region it used, so that copies of key material which the
/// compiler left in dead frames (by-value returns, spilled registers) do not outlive it.
///
/// Best effort: registers, and frames deeper than 16 KiB, are not covered.
pub fn with_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    let result = call(work);
    wipe();
    result
}

// Not inlined, so that its frame and all below it lie in the region `wipe` covers.
#[inline(never)]
fn call<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe() {
    // In words, since each is written with an instruction of its own.
    let mut region = [0xa5a5_u64; DEPTH / size_of::<u64>()];
    region.zeroize();
    std::hint::black_box(&region);
}
