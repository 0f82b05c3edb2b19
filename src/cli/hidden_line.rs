//! A line typed at the terminal without being shown.

use crate::daemon::SecretText;
use crate::error::{Error, ErrorKind, Result};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use std::io::Write;

/// What keys send.
const END_OF_INPUT: u8 = 0x04;
const INTERRUPT: u8 = 0x03;
const ERASE: [u8; 2] = [0x08, 0x7f];
const ERASE_LINE: u8 = 0x15;

/// A terminal that shows nothing and signals nothing; put back as it was when dropped.
///
/// Keys arrive one by one, so that no line of the secret lies in a buffer of this process, and
/// Ctrl-C comes as a key, so that no signal ends the program while the terminal is hidden.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn begin() -> rustix::io::Result<Hidden> {
        let before = rustix::termios::tcgetattr(rustix::stdio::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the question is no answer to it.
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Hidden { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that went away.
        let stdin = rustix::stdio::stdin();
        let _ = rustix::termios::tcsetattr(stdin, OptionalActions::Now, &self.before);
    }
}

/// Shows `question` on stderr and reads a line from stdin, which must be a terminal.
///
/// # Errors
/// `invalid` when nothing or too much was typed, or Ctrl-C; `io` when the terminal fails.
pub(super) fn read(question: &str) -> Result<SecretText> {
    let failed = |cause: rustix::io::Errno| Error::io("asking on the terminal", cause.into());
    let mut stderr = std::io::stderr().lock();
    let hidden = Hidden::begin().map_err(failed)?;
    let asked = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    asked.map_err(|cause| Error::io("asking on the terminal", cause))?;
    let line = read_keys(&mut || {
        let mut key = [0];
        let read =
            rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut key[..]));
        Ok((read.map_err(failed)? > 0).then_some(key[0]))
    });
    drop(hidden);
    // The newline that was typed was not shown.
    let _ = stderr.write_all(b"\n");
    line
}

/// The line that a person makes with these keys; `None` is the end of the input.
fn read_keys(next: &mut dyn FnMut() -> Result<Option<u8>>) -> Result<SecretText> {
    let mut line = SecretText::empty()?;
    loop {
        match next()? {
            None | Some(b'\n' | b'\r' | END_OF_INPUT) => break,
            Some(INTERRUPT) => {
                return Err(Error::new(ErrorKind::Invalid, "the question was not answered"));
            }
            Some(ERASE_LINE) => line.clear(),
            Some(key) if ERASE.contains(&key) => line.pop(),
            Some(key) => line.push(key)?,
        }
    }
    if line.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "nothing was typed"));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::read_keys;

    fn typed(keys: &str) -> Option<Vec<u8>> {
        let mut keys = keys.bytes();
        read_keys(&mut || Ok(keys.next())).ok().map(|line| line.expose().to_vec())
    }

    #[test]
    fn keys_make_a_line_as_at_any_prompt() {
        assert_eq!(typed("secret\nrest").unwrap(), b"secret");
        assert_eq!(typed("sex\u{7f}cret\r").unwrap(), b"secret");
        assert_eq!(typed("wrong\u{15}right\u{4}").unwrap(), b"right");
        assert_eq!(typed("é\u{8}e").unwrap(), b"e");
        assert!(typed("sec\u{3}ret\n").is_none(), "Ctrl-C");
        assert!(typed("\n").is_none() && typed("").is_none());
    }
}
