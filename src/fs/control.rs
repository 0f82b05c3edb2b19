//! One conversation on an open `control` file.

use super::grammar::MAX_COMMAND;
use super::json;
use super::namespace::Namespace;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// The answers to the last write, and how far they have been read.
///
/// A program writes and reads on one descriptor, whose position moves with both, and may also seek
/// back to the start. So an answer can be read from position 0 or from where its request ended;
/// the first read after a write decides which.
#[derive(Default)]
pub struct Conversation {
    // Wiped when dropped: it may hold a data key.
    answer: Zeroizing<Vec<u8>>,
    request_end: u64,
    origin: Option<u64>,
}

impl Namespace {
    /// The answers to every line of a request, a line each.
    ///
    /// # Errors
    /// `invalid` when the request is too long or not text; refusals of commands are answers.
    pub(super) fn answers(&self, caller: Caller, request: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        if request.len() > MAX_COMMAND {
            return Err(Error::new(ErrorKind::Invalid, "the request is longer than 4096 bytes"));
        }
        let text = std::str::from_utf8(request)
            .map_err(|_| Error::new(ErrorKind::Invalid, "the request is not text in UTF-8"))?;
        let mut lines = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let result =
                json::command(line).and_then(|command| self.service().execute(caller, command));
            if let Err(error) = &result {
                self.refusals().remember(caller.uid(), error);
            }
            lines.push(json::answer(&result));
        }
        // Room for all from the start: growing would leave a copy behind.
        let room = lines.iter().map(|line| line.len()).sum();
        let mut answers = Zeroizing::new(Vec::with_capacity(room));
        lines.iter().for_each(|line| answers.extend_from_slice(line));
        Ok(answers)
    }
}

impl Conversation {
    /// Keeps the answers to a request that ended at `request_end`, in place of the last ones.
    pub(super) fn keep(&mut self, answer: Zeroizing<Vec<u8>>, request_end: u64) {
        *self = Conversation { answer, request_end, origin: None };
    }

    /// The part of the answer at `offset`, at most `len` bytes; empty at its end.
    pub fn read(&mut self, offset: u64, len: usize) -> &[u8] {
        let request_end = self.request_end;
        let origin =
            *self.origin.get_or_insert(if offset >= request_end { request_end } else { 0 });
        let at = usize::try_from(offset.saturating_sub(origin)).unwrap_or(usize::MAX);
        let rest = self.answer.get(at..).unwrap_or_default();
        &rest[..rest.len().min(len)]
    }
}

#[cfg(test)]
mod tests {
    use super::{Conversation, Zeroizing};

    fn answered() -> Conversation {
        let answer = Zeroizing::new(b"0123456789".to_vec());
        Conversation { answer, request_end: 4, origin: None }
    }

    #[test]
    fn an_answer_is_read_from_where_the_request_ended() {
        let mut conversation = answered();
        assert_eq!(conversation.read(4, 6), b"012345");
        assert_eq!(conversation.read(10, 6), b"6789");
        assert_eq!(conversation.read(14, 6), b"");
    }

    #[test]
    fn an_answer_is_read_from_the_start_after_a_seek() {
        let mut conversation = answered();
        assert_eq!(conversation.read(0, 6), b"012345");
        assert_eq!(conversation.read(6, 6), b"6789");
        assert_eq!(conversation.read(10, 6), b"");
    }
}
