//! Which sector kernel the tests use: `EVSFS_TEST_KERNEL=vaes256`, or else what evsfs would choose.
//! `make test-kernels` runs the tests once for each kernel that the processor has.

use evsfs::crypto::Kernel;

/// The kernel under test.
///
/// # Panics
/// When `EVSFS_TEST_KERNEL` names none.
pub fn kernel_under_test() -> Kernel {
    match std::env::var("EVSFS_TEST_KERNEL") {
        Ok(name) => Kernel::from_name(&name).unwrap_or_else(|| panic!("no kernel {name:?}")),
        Err(_) => Kernel::best(),
    }
}

/// Lines of `mount.toml`, and the one for the kernel under test.
pub fn with_kernel_under_test(config: &str) -> String {
    let line = format!("kernel = \"{}\"\n", kernel_under_test().name());
    match config.split_once("[mount]\n") {
        Some((before, after)) => format!("{before}[mount]\n{line}{after}"),
        None => format!("{config}\n[mount]\n{line}"),
    }
}
