//! Whether the audit log is whole.

use super::Kms;
use super::audit_entry::{AuditEvent, OK};
use super::audit_log::{Place, anchor_path, log_path};
use super::audit_walk::{Step, Walk};
use crate::error::Result;
use crate::records::{RecordPath, Records};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What was found in an audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Entries that are as they were written, from the first on.
    pub entries: u64,
    /// Bytes after the newest entry that an interrupted write left; no fault.
    pub torn_bytes: u64,
    /// The first fault.
    pub fault: Option<AuditFault>,
}

/// What is wrong with an audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFault {
    /// The first entry that is not as it was written.
    pub seq: u64,
    /// Where it begins, or should, in bytes from the start of the log.
    pub offset: u64,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for AuditFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "entry {} (byte {}) {}", self.seq, self.offset, self.problem)
    }
}

impl Kms {
    /// Checks the whole log up to the newest entry.
    ///
    /// # Errors
    /// What the store reports; a fault is no error.
    pub fn verify_audit(&self) -> Result<AuditReport> {
        let newest = self.audit.newest();
        verify(self.audit.records(), (newest.seq > 0).then_some(&newest), newest.bytes)
    }
}

/// Checks the log of a state directory that nobody works on.
///
/// # Errors
/// `integrity` when the anchor was edited; what the store reports. A fault is no error.
pub fn verify_audit_offline(records: &Records) -> Result<AuditReport> {
    let anchor = records.load::<Place>(&anchor_path()?)?;
    verify(records, anchor.as_ref(), records.log_len(&log_path()?)?)
}

fn verify(records: &Records, anchor: Option<&Place>, end: u64) -> Result<AuditReport> {
    let mut walk = Walk::whole(records, end);
    let anchored_seq = anchor.map_or(0, |anchor| anchor.seq);
    let broken = loop {
        let before = walk.place.clone();
        match walk.step()? {
            Step::Entry(entry) => {
                let is_anchored = entry.seq == anchored_seq;
                if is_anchored && anchor.is_some_and(|anchor| *anchor != walk.place) {
                    return Ok(report(&before, 0, Some("is not the one that was anchored".into())));
                }
                if entry.event == AuditEvent::StartAuditLog && entry.outcome != OK {
                    let problem = "says that there were keys and no anchor: entries are missing";
                    return Ok(report(&before, 0, Some(problem.into())));
                }
            }
            Step::End => break None,
            Step::Broken(why) => break Some(why),
        }
    };
    let reached = &walk.place;
    if reached.seq < anchored_seq {
        let problem = match broken {
            Some(why) => why.to_owned(),
            None => format!("is missing: the newest was entry {anchored_seq}"),
        };
        return Ok(report(reached, 0, Some(problem)));
    }
    if anchor.is_none()
        && !records.list(&RecordPath::parse(super::key_ring::DIRECTORY)?)?.is_empty()
    {
        // Before the first anchor there can be entries, of a crash, but no keys.
        let problem = "may be missing: there are keys and no record kms/audit-anchor.toml";
        return Ok(report(reached, 0, Some(problem.into())));
    }
    Ok(report(reached, end.saturating_sub(reached.bytes), None))
}

fn report(reached: &Place, torn_bytes: u64, problem: Option<String>) -> AuditReport {
    let fault = |problem| AuditFault { seq: reached.seq + 1, offset: reached.bytes, problem };
    AuditReport { entries: reached.seq, torn_bytes, fault: problem.map(fault) }
}

#[cfg(test)]
mod tests {
    use super::super::audit_log::{anchor_path, log_path};
    use super::super::fixture::{Fixture, alias};
    use super::*;
    use crate::error::ErrorKind;
    use crate::kms::Hsm;
    use crate::records::RecordStore;

    /// A service with a log of some entries.
    fn with_entries() -> Fixture {
        let fixture = Fixture::new();
        fixture.create("finance");
        for _ in 0..3 {
            fixture.kms.disable(&alias("finance")).unwrap();
            fixture.kms.enable(&alias("finance")).unwrap();
        }
        fixture
    }

    fn log_of(fixture: &Fixture) -> Vec<u8> {
        fixture.store.get(&log_path().unwrap()).unwrap().unwrap()
    }

    fn put_log(fixture: &Fixture, bytes: &[u8]) {
        fixture.store.append_log(&log_path().unwrap(), 0, bytes).unwrap();
    }

    fn lines_of(log: &[u8]) -> Vec<&[u8]> {
        log.split_inclusive(|byte| *byte == b'\n').collect()
    }

    fn offline(fixture: &Fixture) -> AuditReport {
        verify_audit_offline(&fixture.records()).unwrap()
    }

    /// The number of the first entry that is wrong, as daemon, offline check and restart see it.
    fn fault(fixture: &Fixture) -> Option<u64> {
        let live = fixture.kms.verify_audit().unwrap().fault.map(|fault| fault.seq);
        let offline = offline(fixture).fault.map(|fault| fault.seq);
        let reopened = fixture.reopened().verify_audit().unwrap().fault.map(|fault| fault.seq);
        assert_eq!((live, offline), (offline, reopened));
        offline
    }

    #[test]
    fn a_log_nobody_touched_is_whole() {
        let fixture = with_entries();
        assert_eq!(fault(&fixture), None);
        let report = offline(&fixture);
        assert_eq!((report.entries, report.torn_bytes), (8, 0));
        assert_eq!(offline(&Fixture::new()).fault, None);
    }

    /// RULES K11: edited.
    #[test]
    fn every_edited_byte_is_found_in_the_entry_it_is_in() {
        let fixture = with_entries();
        let log = log_of(&fixture);
        let mut seq = 1;
        for at in 0..log.len() {
            let mut edited = log.clone();
            edited[at] ^= 1 << (at % 8);
            put_log(&fixture, &edited);
            assert_eq!(offline(&fixture).fault.map(|fault| fault.seq), Some(seq), "byte {at}");
            if at % 97 == 0 {
                assert_eq!(fault(&fixture), Some(seq), "byte {at}");
            }
            seq += u64::from(log[at] == b'\n');
        }
    }

    /// RULES K11: cut, reordered, doubled.
    #[test]
    fn entries_that_are_cut_out_swapped_or_doubled_are_found() {
        let fixture = with_entries();
        let log = log_of(&fixture);
        let lines = lines_of(&log);
        for at in 0..lines.len() {
            let seq = at as u64 + 1;
            let mut cut = lines.clone();
            cut.remove(at);
            put_log(&fixture, &cut.concat());
            assert_eq!(fault(&fixture), Some(seq), "without {seq}");
            let mut doubled = lines.clone();
            doubled.insert(at, lines[at]);
            put_log(&fixture, &doubled.concat());
            // An entry that is there twice at the end lies after the newest, as a torn write does.
            let expected = (at + 1 < lines.len()).then_some(seq + 1);
            assert_eq!(fault(&fixture), expected, "{seq} twice");
            if at > 0 {
                let mut swapped = lines.clone();
                swapped.swap(at - 1, at);
                put_log(&fixture, &swapped.concat());
                assert_eq!(fault(&fixture), Some(seq - 1), "{seq} before {}", seq - 1);
            }
        }
    }

    /// RULES K11: cut at the end, which only the anchor shows.
    #[test]
    fn a_log_that_is_shorter_by_any_number_of_bytes_is_found() {
        let fixture = with_entries();
        let log = log_of(&fixture);
        for len in (0..log.len()).rev() {
            put_log(&fixture, &log[..len]);
            let whole = log[..len].iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(offline(&fixture).fault.map(|fault| fault.seq), Some(whole + 1), "{len}");
        }
        fixture.store.remove(&log_path().unwrap()).unwrap();
        assert_eq!(fault(&fixture), Some(1));
    }

    /// RULES K11: put back as it was, and gone on with.
    #[test]
    fn an_older_copy_is_found_also_after_new_entries() {
        let fixture = with_entries();
        let older = log_of(&fixture);
        fixture.kms.disable(&alias("finance")).unwrap();
        put_log(&fixture, &older);
        assert_eq!(fault(&fixture), Some(9));
        // A restart goes on with the log; the gap stays.
        let reopened = fixture.reopened();
        reopened.enable(&alias("finance")).unwrap();
        assert_eq!(reopened.verify_audit().unwrap().fault.unwrap().seq, 9);
        assert_eq!(offline(&fixture).fault.unwrap().seq, 9);
    }

    #[test]
    fn an_anchor_that_is_missing_or_edited_is_found() {
        let fixture = with_entries();
        let (path, log) = (anchor_path().unwrap(), log_of(&fixture));
        let anchor = fixture.store.get(&path).unwrap().unwrap();
        let mut edited = anchor.clone();
        edited[20] ^= 1;
        fixture.store.put(&path, &edited).unwrap();
        let refused = || {
            let offline = verify_audit_offline(&fixture.records()).unwrap_err();
            let reopened = fixture.try_reopen().err().unwrap();
            for error in [offline, reopened] {
                assert_eq!(error.kind(), ErrorKind::Integrity);
                assert!(error.message().contains("kms/audit-anchor.toml"), "{error}");
            }
        };
        refused();
        fixture.store.remove(&path).unwrap();
        refused();

        // Who goes on without the anchor has a log whose end could be missing, and the restart says
        // so for ever.
        put_log(&fixture, &lines_of(&log)[..4].concat());
        Records::accept_all(fixture.store.clone(), fixture.hsm.record_key().unwrap()).unwrap();
        assert_eq!(offline(&fixture).fault.unwrap().seq, 5);
        let reopened = fixture.reopened();
        reopened.describe(&alias("finance"), Default::default()).unwrap();
        assert_eq!(reopened.verify_audit().unwrap().fault.unwrap().seq, 5);
        assert_eq!(offline(&fixture).fault.unwrap().seq, 5);
    }

    /// RULES K11: log and anchor fit each other, and the ledger tells that they are older.
    #[test]
    fn a_log_that_is_put_back_together_with_its_anchor_is_found() {
        let fixture = with_entries();
        let mut older = fixture.snapshot();
        older.retain(|(path, _)| *path == log_path().unwrap() || *path == anchor_path().unwrap());
        fixture.kms.disable(&alias("finance")).unwrap();
        fixture.put_back(&older);
        let refused = verify_audit_offline(&fixture.records()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Integrity);
        assert!(refused.message().contains("kms/audit-anchor.toml is not the newest"), "{refused}");
        assert!(fixture.try_reopen().is_err());
        // Who is running knows where the log ended.
        assert_eq!(fixture.kms.verify_audit().unwrap().fault.unwrap().seq, 9);
    }

    /// RULES K11: an entry that is genuine and was never a part of this log.
    #[test]
    fn an_entry_of_a_past_that_was_put_back_does_not_fit_in_place_of_the_one_that_followed() {
        let fixture = with_entries();
        let (before, kept) = (fixture.snapshot(), log_of(&fixture).len());
        fixture.kms.disable(&alias("finance")).unwrap();
        let other = log_of(&fixture)[kept..].to_vec();
        fixture.put_back(&before);
        let kms = fixture.reopened();
        fixture.clock.advance(std::time::Duration::from_secs(1));
        kms.disable(&alias("finance")).unwrap();
        kms.enable(&alias("finance")).unwrap();
        let log = log_of(&fixture);
        assert_eq!(offline(&fixture).fault, None);
        let mut lines = lines_of(&log);
        assert_ne!(lines[8], other);
        lines[8] = &other;
        put_log(&fixture, &lines.concat());
        assert_eq!(offline(&fixture).fault.map(|fault| fault.seq), Some(10));
    }

    #[test]
    fn a_log_that_was_cut_goes_on_right_after_the_cut() {
        let fixture = with_entries();
        let (log, path) = (log_of(&fixture), log_path().unwrap());
        fixture.store.replace_log(&path, &log[..log.len() / 2]).unwrap();
        fixture.reopened().disable(&alias("finance")).unwrap();
        let after = log_of(&fixture)[log.len() / 2..].to_vec();
        let text = String::from_utf8(after).unwrap();
        assert!(text.starts_with("\n{\"seq\":9,") && text.ends_with("}\n"), "{text}");
        assert!(offline(&fixture).fault.is_some());
    }

    /// What lies after the anchored entry was never acknowledged: see the module `audit_log`.
    #[test]
    fn what_a_crash_tore_is_no_fault_and_is_overwritten() {
        let fixture = with_entries();
        let (log, path) = (log_of(&fixture), log_path().unwrap());
        let before = fixture.snapshot();
        fixture.kms.disable(&alias("finance")).unwrap();
        let longer = log_of(&fixture);
        for len in log.len()..=longer.len() {
            fixture.put_back(&before);
            put_log(&fixture, &longer[..len]);
            let report = offline(&fixture);
            let is_whole = len == longer.len();
            assert_eq!((report.fault, report.entries), (None, 8 + u64::from(is_whole)), "{len}");
            let torn = if is_whole { 0 } else { len - log.len() };
            assert_eq!(report.torn_bytes, torn as u64);
            let reopened = fixture.reopened();
            reopened.describe(&alias("finance"), Default::default()).unwrap();
            assert_eq!(reopened.verify_audit().unwrap().fault, None, "{len}");
            assert_eq!(offline(&fixture).torn_bytes, 0);
        }
        assert!(fixture.store.log_len(&path).unwrap() > log.len() as u64);
    }
}
