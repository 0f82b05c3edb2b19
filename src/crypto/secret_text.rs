//! Secrets that people choose: passphrases and PINs.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::{SecretBox, inherited_descriptor};
use std::fs::File;
use std::io::Read;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A passphrase or PIN: one line of at most 1024 bytes, in locked memory, wiped when dropped. It
/// cannot be printed, cloned or serialised; what it holds is lent, not copied.
pub struct SecretText {
    content: SecretBox<Content>,
}

struct Content {
    bytes: [u8; SecretText::MAX_LEN],
    len: usize,
}

impl SecretText {
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// An empty one, to be typed into.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked.
    pub fn empty() -> Result<Self> {
        let content = SecretBox::try_new(|| Ok(Content { bytes: [0; Self::MAX_LEN], len: 0 }))?;
        Ok(SecretText { content })
    }

    /// The first line that `source` gives, read straight into the locked memory; `place` is where
    /// it comes from, for messages.
    ///
    /// # Errors
    /// `invalid` when the line is empty or too long; `io`; `quota` when memory cannot be locked.
    pub fn read_line(source: &mut dyn Read, place: &str) -> Result<Self> {
        let mut text = SecretText::empty()?;
        let Content { bytes, len } = &mut *text.content;
        let mut filled = 0;
        while !bytes[..filled].contains(&b'\n') && filled < bytes.len() {
            match source.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(Error::io(format!("reading {place}"), cause)),
            }
        }
        *len = bytes[..filled].iter().position(|byte| *byte == b'\n').unwrap_or(filled);
        bytes[*len..].zeroize();
        match *len {
            0 => Err(Error::new(ErrorKind::Invalid, format!("{place} gives an empty line"))),
            Self::MAX_LEN => Err(too_long(place)),
            _ => Ok(text),
        }
    }

    /// The first line that can be read from a descriptor this process was started with.
    ///
    /// # Errors
    /// As for [`SecretText::read_line`]; `invalid` when nothing is open there.
    pub fn read_descriptor(number: i32) -> Result<Self> {
        let mut file = File::from(inherited_descriptor(number)?);
        SecretText::read_line(&mut file, &format!("descriptor {number}"))
    }

    /// Another one with the same content, for who needs it longer.
    ///
    /// # Errors
    /// `quota` when memory cannot be locked.
    pub fn duplicate(&self) -> Result<Self> {
        let mut text = SecretText::empty()?;
        text.content.bytes.copy_from_slice(&self.content.bytes);
        text.content.len = self.content.len;
        Ok(text)
    }

    /// Adds a byte at the end.
    ///
    /// # Errors
    /// `invalid` when it becomes too long.
    pub fn push(&mut self, byte: u8) -> Result<()> {
        let Content { bytes, len } = &mut *self.content;
        // One less than there is room for, as when it is read.
        if *len + 1 >= bytes.len() {
            return Err(too_long("what was typed"));
        }
        bytes[*len] = byte;
        *len += 1;
        Ok(())
    }

    /// Takes the last character away, all bytes of it.
    pub fn pop(&mut self) {
        let Content { bytes, len } = &mut *self.content;
        while *len > 0 {
            *len -= 1;
            let is_continuation = bytes[*len] & 0xc0 == 0x80;
            bytes[*len] = 0;
            if !is_continuation {
                break;
            }
        }
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        self.content.bytes.zeroize();
        self.content.len = 0;
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.content.len == 0
    }

    /// Lends the bytes.
    pub fn expose(&self) -> &[u8] {
        &self.content.bytes[..self.content.len]
    }

    /// Whether both are the same, in a time that depends on their lengths only.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

fn too_long(place: &str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        format!("{place} has more than {} bytes", SecretText::MAX_LEN - 1),
    )
}

#[cfg(test)]
mod tests {
    use super::SecretText;
    use std::io::{ErrorKind, Read};

    fn line(mut bytes: &[u8]) -> Option<Vec<u8>> {
        SecretText::read_line(&mut bytes, "a test").ok().map(|text| text.expose().to_vec())
    }

    #[test]
    fn the_first_line_is_taken_without_its_end_and_nothing_else() {
        assert_eq!(line(b"open sesame").unwrap(), b"open sesame");
        assert_eq!(line(b"open sesame\n").unwrap(), b"open sesame");
        assert_eq!(line(b" one \nother\n").unwrap(), b" one ");
        assert_eq!(line(&[b'x'; 1023]).unwrap(), [b'x'; 1023]);
    }

    #[test]
    fn empty_and_endless_lines_are_refused() {
        assert!(line(b"").is_none() && line(b"\nx").is_none());
        assert!(line(&[b'x'; 1024]).is_none());
        assert!(SecretText::read_line(&mut std::io::repeat(b'x'), "a test").is_err());
    }

    #[test]
    fn a_source_that_gives_single_bytes_gives_the_same_line() {
        let mut slow = b"ab".chain(&b"c\n"[..]).chain(&b"d"[..]);
        assert_eq!(SecretText::read_line(&mut slow, "a test").unwrap().expose(), b"abc");
    }

    /// Fails once in the way it is told, and gives a line after that.
    struct Failing(Option<ErrorKind>);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.take() {
                Some(kind) => Err(kind.into()),
                None => (&b"line\n"[..]).read(buffer),
            }
        }
    }

    #[test]
    fn a_read_that_a_signal_ended_is_made_again_and_another_failure_is_told() {
        let mut interrupted = Failing(Some(ErrorKind::Interrupted));
        let text = SecretText::read_line(&mut interrupted, "a test").unwrap();
        assert_eq!(text.expose(), b"line");
        let mut broken = Failing(Some(ErrorKind::BrokenPipe));
        let error = SecretText::read_line(&mut broken, "a test").err().unwrap();
        assert_eq!(error.kind(), crate::error::ErrorKind::Io);
    }

    #[test]
    fn typing_adds_and_erasing_takes_whole_characters() {
        let mut text = SecretText::empty().unwrap();
        "aé".bytes().for_each(|byte| text.push(byte).unwrap());
        text.pop();
        assert_eq!(text.expose(), b"a");
        let same = SecretText::read_line(&mut &b"a\n"[..], "a test").unwrap();
        assert!(text.ct_eq(&same));
        text.pop();
        text.pop();
        assert!(text.is_empty() && !text.ct_eq(&same));
        (0..1023).for_each(|_| text.push(b'x').unwrap());
        assert!(text.push(b'x').is_err());
        text.clear();
        assert!(text.is_empty());
    }
}
