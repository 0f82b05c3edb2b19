//! Signals that end the daemon.
#![allow(unsafe_code)]

use crate::error::{Error, Result};

/// A request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Termination {
    /// SIGTERM, SIGINT or SIGHUP.
    Asked,
}

const SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Blocks the terminating signals in this thread and all it starts later, so that only
/// [`wait_for_termination`] sees them. To be called before any thread is started.
///
/// # Errors
/// `io` when the kernel refuses.
pub fn block_termination_signals() -> Result<()> {
    let set = termination_set();
    // SAFETY: the set is initialised, and a null old set is allowed.
    let code =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    match code {
        0 => Ok(()),
        code => Err(Error::io("blocking signals", std::io::Error::from_raw_os_error(code))),
    }
}

/// Sleeps until a terminating signal arrives.
///
/// # Errors
/// `io` when the kernel refuses.
pub fn wait_for_termination() -> Result<Termination> {
    let set = termination_set();
    let mut signal = 0;
    // SAFETY: both pointers are to live, initialised values.
    let code = unsafe { libc::sigwait(&raw const set, &raw mut signal) };
    match code {
        0 => Ok(Termination::Asked),
        code => Err(Error::io("waiting for signals", std::io::Error::from_raw_os_error(code))),
    }
}

fn termination_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the call above.
    let mut set = unsafe { set.assume_init() };
    for signal in SIGNALS {
        // SAFETY: the set is initialised and the signal numbers are valid.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}
