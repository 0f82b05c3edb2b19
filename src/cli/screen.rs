//! The whole terminal, for a live view: entered and left without a trace.
//!
//! A frame is written in one piece, each line over the one before it, so that nothing flickers; what
//! was on the terminal before is back when the view ends.

use super::line::Line;
use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios};
use std::io::Write;
use std::time::Duration;

/// The alternate screen, no cursor, no wrapping of long lines (xterm's private modes).
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";
/// A terminal that knows them shows what is between at once; others ignore them.
const BEGIN_FRAME: &str = "\x1b[?2026h\x1b[H";
const END_FRAME: &str = "\x1b[J\x1b[?2026l";

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// Escape, Ctrl-C, Ctrl-D, or the terminal has gone.
    Leave,
    Other,
}

/// The terminal while it is ours; put back as it was when dropped.
pub(super) struct Screen {
    before: Termios,
    has_colours: bool,
    /// What was read and not taken as a key yet.
    typed: Vec<u8>,
}

impl Screen {
    /// Whether there is a terminal to read keys from and to show a view on.
    pub fn is_possible() -> bool {
        rustix::termios::isatty(stdin()) && rustix::termios::isatty(stdout())
    }

    /// Whether stdout is a terminal that shows colours to somebody who wants them.
    pub fn has_colours() -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        // https://no-color.org
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|text| !text.is_empty());
        rustix::termios::isatty(stdout()) && !is_dumb && !is_unwanted
    }

    /// Takes the terminal.
    ///
    /// # Errors
    /// `io` when it does not let itself be taken.
    pub fn open() -> Result<Screen> {
        let failed = |cause: Errno| Error::io("taking the terminal", cause.into());
        let before = rustix::termios::tcgetattr(stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        // A read waits for nothing: poll(2) does.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        let screen = Screen { before, has_colours: Screen::has_colours(), typed: Vec::new() };
        write(ENTER)?;
        Ok(screen)
    }

    /// The window as it is now.
    pub fn size() -> Size {
        let size = rustix::termios::tcgetwinsize(stdout()).ok();
        let or = |told: Option<u16>, usual: usize| match told {
            Some(told) if told > 0 => usize::from(told),
            _ => usual,
        };
        Size {
            columns: or(size.map(|size| size.ws_col), 80),
            rows: or(size.map(|size| size.ws_row), 24),
        }
    }

    /// Shows lines, as many as there are rows.
    ///
    /// # Errors
    /// `io` when the terminal has gone.
    pub fn paint(&self, lines: &[Line], size: Size) -> Result<()> {
        let mut frame = BEGIN_FRAME.to_owned();
        for (row, line) in lines.iter().take(size.rows).enumerate() {
            if row > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(&line.ansi(size.columns, self.has_colours));
            // After the last column the cursor still stands on it, and would erase it.
            if line.len() < size.columns {
                frame.push_str("\x1b[K");
            }
        }
        frame.push_str(END_FRAME);
        write(frame.as_bytes())
    }

    /// The next key, or `None` when none came in this time.
    ///
    /// # Errors
    /// `io` when the terminal fails.
    pub fn key(&mut self, patience: Duration) -> Result<Option<Key>> {
        if let Some(key) = first_key(&mut self.typed) {
            return Ok(Some(key));
        }
        let failed = |cause: Errno| Error::io("reading keys", cause.into());
        let timeout = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        let mut wanted = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        match poll(&mut wanted, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(cause) => return Err(failed(cause)),
        }
        let mut bytes = [0; 16];
        match rustix::io::read(stdin(), &mut bytes) {
            Ok(0) | Err(Errno::IO) => Ok(Some(Key::Leave)),
            Ok(len) => {
                self.typed.extend_from_slice(&bytes[..len]);
                Ok(first_key(&mut self.typed))
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(None),
            Err(cause) => Err(failed(cause)),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that went away.
        let _ = write(LEAVE);
        let _ = rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Whether the terminal is told to show more than ASCII (setlocale(3)).
pub(super) fn shows_unicode() -> bool {
    let told = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    told.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn write(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|cause| Error::io("writing to the terminal", cause))
}

/// Takes the first key from what was typed (xterm's control sequences). A sequence comes in one piece,
/// so a lone escape is the key of that name.
fn first_key(typed: &mut Vec<u8>) -> Option<Key> {
    let is_final = |byte: &u8| (0x40..=0x7e).contains(byte);
    let len = match typed.as_slice() {
        [] => return None,
        [0x1b, b'[' | b'O', rest @ ..] => 2 + rest.iter().position(is_final).map_or(0, |at| at + 1),
        // Of one character, whose further bytes mean nothing here.
        [0x80..=0xff, rest @ ..] => 1 + rest.iter().take_while(|byte| **byte >= 0x80).count(),
        _ => 1,
    };
    let key: Vec<u8> = typed.drain(..len).collect();
    Some(match key.as_slice() {
        [0x03 | 0x04 | 0x1b] => Key::Leave,
        b"\x1b[A" | b"\x1bOA" => Key::Up,
        b"\x1b[B" | b"\x1bOB" => Key::Down,
        b"\x1b[5~" => Key::PageUp,
        b"\x1b[6~" => Key::PageDown,
        b"\x1b[H" | b"\x1bOH" | b"\x1b[1~" => Key::Home,
        b"\x1b[F" | b"\x1bOF" | b"\x1b[4~" => Key::End,
        [byte @ 0x20..=0x7e] => Key::Char(char::from(*byte)),
        _ => Key::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::{Key, first_key};

    #[test]
    fn keys_are_told_one_by_one_by_what_a_terminal_sends() {
        let mut typed = b"q\x1b[A\x1bOB\x1b[6~\x1b[15~\xc3\xa4n\x03\x1b".to_vec();
        for key in [
            Key::Char('q'),
            Key::Up,
            Key::Down,
            Key::PageDown,
            Key::Other,
            Key::Other,
            Key::Char('n'),
            Key::Leave,
            Key::Leave,
        ] {
            assert_eq!(first_key(&mut typed), Some(key));
        }
        assert_eq!(first_key(&mut typed), None);
    }
}
