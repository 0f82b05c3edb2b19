//! Descriptors that whoever started this process left open for it.
#![allow(unsafe_code)]

use crate::error::{Error, ErrorKind, Result};
use std::os::fd::{FromRawFd, OwnedFd};

/// A descriptor of our own for the file that number `number` is open on. The number itself stays
/// with whoever named it.
///
/// # Errors
/// `invalid` when nothing is open there.
pub fn inherited_descriptor(number: i32) -> Result<OwnedFd> {
    // SAFETY: the call takes plain integers and touches no memory of ours.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        let cause = std::io::Error::last_os_error();
        let message = format!("descriptor {number} is not open");
        return Err(Error::new(ErrorKind::Invalid, message).caused_by(cause));
    }
    // SAFETY: the kernel has just given us this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::inherited_descriptor;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_is_open_can_be_read_and_what_is_not_is_refused() {
        let (reader, writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut { writer }, b"x").unwrap();
        let mut text = String::new();
        let mut copy = std::fs::File::from(inherited_descriptor(reader.as_raw_fd()).unwrap());
        copy.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert!(inherited_descriptor(-1).is_err());
        assert!(inherited_descriptor(1 << 30).is_err());
    }
}
