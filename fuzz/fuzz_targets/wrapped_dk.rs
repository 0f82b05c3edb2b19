#![no_main]
#![allow(clippy::unwrap_used)]

#[path = "../../tests/hostile/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::wrapped_dk(bytes);
});
