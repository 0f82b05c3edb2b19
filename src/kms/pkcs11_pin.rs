//! The PIN of a token, and where it comes from.

use crate::crypto::Secret;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::records::PrivateFile;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest PIN, in bytes. PKCS#11 itself has no limit; tokens have shorter ones.
const MAX_PIN: usize = 255;

/// A PIN in locked memory. Clones share it.
#[derive(Clone)]
pub struct Pin {
    bytes: Arc<Secret<MAX_PIN>>,
    len: usize,
}

impl Pin {
    /// Reads a PIN up to the end of the line or of the input, straight into locked memory.
    /// `place` is where it comes from, for messages.
    ///
    /// # Errors
    /// `invalid` for an empty PIN and one of more than 255 bytes; `io`.
    pub fn read(input: &mut dyn Read, place: &str) -> Result<Pin> {
        let mut len = 0;
        let bytes = Secret::fill(|bytes: &mut [u8; MAX_PIN]| {
            let mut next = [0; 1];
            loop {
                let count = match input.read(&mut next) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    read => read.map_err(|cause| {
                        Error::io(format!("reading the PIN from {place}"), cause)
                    })?,
                };
                match (count, next[0]) {
                    (0, _) | (_, b'\n') => break,
                    _ if len == MAX_PIN => {
                        return Err(refused(place, "is longer than 255 bytes"));
                    }
                    (_, byte) => {
                        bytes[len] = byte;
                        len += 1;
                    }
                }
            }
            if len > 0 && bytes[len - 1] == b'\r' {
                len -= 1;
                bytes[len] = 0;
            }
            Ok(())
        })?;
        match len {
            0 => Err(refused(place, "is empty")),
            len => Ok(Pin { bytes: Arc::new(bytes), len }),
        }
    }

    /// Lends the bytes.
    pub fn expose(&self) -> &[u8] {
        &self.bytes.expose()[..self.len]
    }

    /// Whether both are the same, in a time that does not depend on their bytes.
    pub(super) fn is(&self, other: &Pin) -> bool {
        // What follows the PIN is zeros, which no PIN of another length has there.
        self.bytes.ct_eq(&other.bytes)
    }
}

fn refused(place: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("the PIN from {place} {why}"))
        .remedy("give the token's user PIN on one line")
}

/// Where the PIN is looked for when the token asks for it.
pub enum PinSource {
    /// A file that belongs to us alone, mode 0600 or stricter. Read at each login, so that a PIN
    /// that was corrected is used without a restart.
    File(PathBuf),
    /// A credential that the service manager keeps, in a directory of its own making.
    Credential(PathBuf),
    /// A PIN that somebody gave at the start.
    Given(Pin),
}

impl PinSource {
    /// The PIN.
    ///
    /// # Errors
    /// `not-found`; `integrity` with the repair when others can read the file; `invalid`; `io`.
    pub fn pin(&self) -> Result<Pin> {
        match self {
            PinSource::File(path) => {
                let Some(file) = PrivateFile::open(path)? else { return Err(missing(path)) };
                Pin::read(&mut file.file(), &path.display().to_string())
            }
            PinSource::Credential(path) => {
                let place = path.display();
                // Its owner and mode are the service manager's business.
                let mut file = std::fs::File::open(path).map_err(|cause| match cause.kind() {
                    std::io::ErrorKind::NotFound => missing(path),
                    _ => Error::io(format!("opening {place}"), cause),
                })?;
                Pin::read(&mut file, &place.to_string())
            }
            PinSource::Given(pin) => Ok(pin.clone()),
        }
    }
}

fn missing(path: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no PIN file {}", path.display()))
        .remedy(format!("write the token's user PIN into {}, mode 0600", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn read(mut text: &[u8]) -> Result<Pin> {
        Pin::read(&mut text, "a test")
    }

    #[test]
    fn a_pin_ends_with_its_line() {
        for text in ["1234", "1234\n", "1234\r\n", "1234\nmore"] {
            assert_eq!(read(text.as_bytes()).unwrap().expose(), b"1234", "{text:?}");
        }
        assert_eq!(read(&[b'1'; 255]).unwrap().expose().len(), 255);
        for text in [&b""[..], b"\n", b"\r\n", &[b'1'; 256]] {
            assert_eq!(read(text).err().unwrap().kind(), ErrorKind::Invalid, "{text:?}");
        }
    }

    #[test]
    fn pins_are_the_same_when_all_their_bytes_are() {
        assert!(read(b"1234").unwrap().is(&read(b"1234\n").unwrap()));
        for other in ["1235", "123", "12345"] {
            assert!(!read(b"1234").unwrap().is(&read(other.as_bytes()).unwrap()), "{other}");
        }
    }

    #[test]
    fn a_pin_file_that_others_can_read_is_refused_with_the_repair() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("pin");
        assert_eq!(PinSource::File(file.clone()).pin().err().unwrap().kind(), ErrorKind::NotFound);
        std::fs::write(&file, "1234\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = PinSource::File(file.clone()).pin().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(error.suggested_remedy().unwrap().starts_with("chmod 600 "));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(PinSource::File(file).pin().unwrap().expose(), b"1234");
    }
}
