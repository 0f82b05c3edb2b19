//! From entry to entry of the audit log.

use super::audit_entry::{AuditEntry, MAX_LINE, NO_DIGEST};
use super::audit_log::{Place, log_path};
use crate::error::Result;
use crate::records::Records;

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// A reader of entries that follow one another.
pub(super) struct Walk<'a> {
    records: &'a Records,
    end: u64,
    read_to: u64,
    unread: Vec<u8>,
    used: usize,
    /// The last entry that was reached.
    pub place: Place,
}

/// What comes next.
pub(super) enum Step {
    /// An entry that follows the one before.
    Entry(AuditEntry),
    /// Nothing: the log ends here.
    End,
    /// Something else, and why it is not the entry that must come next.
    Broken(&'static str),
}

impl<'a> Walk<'a> {
    /// From the first entry to byte `end`.
    pub fn whole(records: &'a Records, end: u64) -> Self {
        let start = Place { seq: 0, bytes: 0, digest: NO_DIGEST.to_owned() };
        Walk::after(records, start, end)
    }

    /// From the entry after `place` to byte `end`.
    pub fn after(records: &'a Records, place: Place, end: u64) -> Self {
        Walk { records, end, read_to: place.bytes, unread: Vec::new(), used: 0, place }
    }

    /// The next step. After [`Step::Broken`] there is none.
    ///
    /// # Errors
    /// What the store reports.
    pub fn step(&mut self) -> Result<Step> {
        let line_len = loop {
            let unread = &self.unread[self.used..];
            match unread.iter().position(|byte| *byte == b'\n') {
                Some(at) => break at + 1,
                None if unread.len() > MAX_LINE => return Ok(Step::Broken("is not an entry")),
                None if self.read_to >= self.end && unread.is_empty() => return Ok(Step::End),
                None if self.read_to >= self.end => return Ok(Step::Broken("is cut off")),
                None => self.read_on()?,
            }
        };
        let line = &self.unread[self.used..self.used + line_len];
        let entry = match AuditEntry::open(line, self.records, &log_path()?) {
            Ok(entry) => entry,
            Err(why) => return Ok(Step::Broken(why)),
        };
        if entry.seq != self.place.seq + 1 || entry.prev != self.place.digest {
            return Ok(Step::Broken(
                "does not follow the one before: entries were cut or reordered",
            ));
        }
        self.used += line_len;
        self.place = Place {
            seq: entry.seq,
            bytes: self.place.bytes + line_len as u64,
            digest: entry.digest.clone(),
        };
        Ok(Step::Entry(entry))
    }

    fn read_on(&mut self) -> Result<()> {
        let left = usize::try_from(self.end - self.read_to).unwrap_or(usize::MAX);
        let more = self.records.read_log(&log_path()?, self.read_to, left.min(CHUNK))?;
        // A log that is shorter than it was a moment ago ends where it ends.
        self.end = if more.is_empty() { self.read_to } else { self.end };
        self.read_to += more.len() as u64;
        self.unread.drain(..self.used);
        self.used = 0;
        self.unread.extend_from_slice(&more);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::audit_log_of;
    use super::*;

    /// What lies after it is not acknowledged yet.
    #[test]
    fn a_walk_ends_where_it_is_told_also_after_its_first_chunk() {
        let records = audit_log_of(2000);
        let mut whole = Walk::whole(&records, records.log_len(&log_path().unwrap()).unwrap());
        let ends: Vec<u64> = std::iter::from_fn(|| match whole.step().unwrap() {
            Step::Entry(_) => Some(whole.place.bytes),
            Step::End => None,
            Step::Broken(why) => panic!("{why}"),
        })
        .collect();
        assert_eq!(ends.len(), 2000);
        assert!(ends[1800] > CHUNK as u64);
        let mut walk = Walk::whole(&records, ends[1800]);
        for seq in 1..=1801 {
            assert!(matches!(walk.step().unwrap(), Step::Entry(entry) if entry.seq == seq));
        }
        assert!(matches!(walk.step().unwrap(), Step::End));
    }
}
