//! What this process asks of the kernel for itself.
#![allow(unsafe_code)]

use crate::error::{Error, Result};

// From <linux/prctl.h>; the libc crate does not name it.
const PR_SET_IO_FLUSHER: libc::c_int = 57;

/// Whether the kernel knows that this process serves I/O for others.
#[derive(Debug)]
pub enum IoFlusher {
    /// Memory this process allocates will not wait for writeback that it would itself have to do.
    Granted,
    /// The kernel refused (it takes CAP_SYS_RESOURCE).
    Refused(std::io::Error),
}

/// Makes the process undumpable and sets the core limit to 0, so that no key material can reach a
/// core file and no other process of the same user can read its memory.
///
/// # Errors
/// `io` when the kernel refuses.
pub fn forbid_dumps() -> Result<()> {
    let failed = |cause: rustix::io::Errno| Error::io("forbidding core dumps", cause.into());
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(failed)?;
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none).map_err(failed)
}

/// Ends the process without running what foreign libraries have registered for its end: the
/// destructors of a PKCS#11 module can crash while a thread of ours is still inside it. What is to
/// be written must have been flushed, and values that wipe themselves dropped.
pub fn end_process(code: u8) -> ! {
    // SAFETY: _exit(2) takes a plain integer and does not return.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Tells the kernel that writeback may depend on this process (`PR_SET_IO_FLUSHER`, prctl(2)).
pub fn ask_for_io_flusher() -> IoFlusher {
    // SAFETY: this prctl takes plain integers and touches no memory of ours.
    let result = unsafe { libc::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) };
    if result == 0 {
        IoFlusher::Granted
    } else {
        IoFlusher::Refused(std::io::Error::last_os_error())
    }
}
