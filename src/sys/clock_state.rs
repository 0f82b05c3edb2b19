//! Whether somebody keeps the machine's clock right.
#![allow(unsafe_code)]

use crate::error::{Error, Result};

/// Whether the kernel is told again and again that its clock is right (adjtimex(2)): by an NTP client,
/// PTP, or the host of a virtual machine.
///
/// # Errors
/// `io` when the kernel does not tell.
pub fn is_clock_synchronised() -> Result<bool> {
    // SAFETY: every field of a timex is an integer, for which zero is a value.
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live timex, whose modes of 0 change nothing.
    let state = unsafe { libc::adjtimex(&raw mut asked) };
    match state {
        -1 => Err(Error::io("asking for the clock's state", std::io::Error::last_os_error())),
        state => Ok(state != libc::TIME_ERROR && asked.status & libc::STA_UNSYNC == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::is_clock_synchronised;

    #[test]
    fn the_kernel_tells_of_its_clock() {
        is_clock_synchronised().unwrap();
    }
}
