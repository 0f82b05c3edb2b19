//! What is done to the audit log while no daemon runs: sealed under another record key, when all keys
//! move to another HSM; and told that all records were accepted.

use super::audit_entry::{Actor, AuditEvent, NO_DIGEST, OK};
use super::audit_log::{AuditLog, Draft, Place, anchor_path, log_path};
use super::audit_verify::{AuditReport, verify_audit_offline};
use super::audit_walk::{Step, Walk};
use crate::error::{Error, ErrorKind, Result};
use crate::records::{RecordPath, Records};
use jiff::Timestamp;

/// Entries sealed before they are written.
const BATCH_BYTES: usize = 1 << 20;

/// Whether a file belongs to the audit log, which [`move_audit`] moves.
pub fn is_audit(path: &RecordPath) -> bool {
    [log_path(), anchor_path()].iter().flatten().any(|audit| audit == path)
}

/// Refuses a log that is not whole, which no move repairs; `None` where there is none yet.
///
/// # Errors
/// `integrity`; what the store reports.
pub fn check_audit_to_move(records: &Records) -> Result<Option<AuditReport>> {
    if records.load::<Place>(&anchor_path()?)?.is_none() {
        return Ok(None);
    }
    let report = verify_audit_offline(records)?;
    if let Some(fault) = report.fault {
        let message = format!("entry {} of the audit log {}", fault.seq, fault.problem);
        let remedy = "keep kms/audit.jsonl and kms/audit-anchor.toml elsewhere, and try again \
                      without them; the new log says for ever that it does not begin at the beginning";
        return Err(Error::new(ErrorKind::Integrity, message).remedy(remedy));
    }
    Ok(Some(report))
}

/// Seals all entries anew under the record key of `moved`, and adds one that says so. A project
/// without a log stays without.
///
/// # Errors
/// `integrity` for a log that is not whole, which would look as if it were; what the stores report.
pub fn move_audit(records: &Records, moved: &Records, actor: Actor, now: Timestamp) -> Result<()> {
    let Some(report) = check_audit_to_move(records)? else { return Ok(()) };
    let path = log_path()?;
    let end = records.log_len(&path)? - report.torn_bytes;
    let mut walk = Walk::whole(records, end);
    let mut place = Place { seq: 0, bytes: 0, digest: NO_DIGEST.to_owned() };
    let (mut bytes, mut written) = (Vec::new(), 0);
    loop {
        let mut entry = match walk.step()? {
            Step::Entry(entry) => entry,
            Step::End | Step::Broken(_) => break,
        };
        entry.prev = place.digest;
        bytes.extend(entry.seal(moved, &path)?);
        place = Place { seq: entry.seq, bytes: 0, digest: entry.digest };
        if bytes.len() >= BATCH_BYTES {
            moved.append_log(&path, written, &bytes)?;
            written += bytes.len() as u64;
            bytes.clear();
        }
    }
    let mut entry = said(AuditEvent::MigrateHsm, actor, now).after(&place);
    bytes.extend(entry.seal(moved, &path)?);
    moved.append_log(&path, written, &bytes)?;
    let newest =
        Place { seq: entry.seq, bytes: written + bytes.len() as u64, digest: entry.digest };
    moved.save(&anchor_path()?, &newest)
}

/// Adds an entry that says that all records were accepted as they are.
///
/// # Errors
/// `integrity` when the anchor of the log was edited; what the store reports.
pub fn record_acceptance(records: &Records, actor: Actor, now: Timestamp) -> Result<()> {
    let has_keys = !records.list(&RecordPath::parse(super::key_ring::DIRECTORY)?)?.is_empty();
    let log = AuditLog::open(records.clone(), has_keys)?;
    log.append(said(AuditEvent::AcceptRecords, actor, now)).map(drop)
}

fn said(event: AuditEvent, caller: Actor, time: Timestamp) -> Draft {
    let outcome = OK.to_owned();
    Draft { time, caller, event, key: None, alias: None, disk: None, outcome, of: None }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, alias, audit_log_of, no_records};
    use super::*;
    use crate::id::Uid;
    use crate::records::RecordStore;

    #[test]
    fn a_log_longer_than_a_batch_is_moved_without_its_torn_end() {
        let old = audit_log_of(6000);
        let path = log_path().unwrap();
        let end = old.log_len(&path).unwrap();
        assert!(end > BATCH_BYTES as u64);
        old.append_log(&path, end, b"{\"seq\":6001,").unwrap();
        let new = no_records();
        move_audit(&old, &new, Actor::Daemon, Timestamp::UNIX_EPOCH).unwrap();
        let report = verify_audit_offline(&new).unwrap();
        assert_eq!((report.entries, report.fault, report.torn_bytes), (6001, None, 0));
    }

    /// A log that is gone where there are keys was taken away; where there are none it never was.
    #[test]
    fn what_an_accepted_log_begins_with_says_whether_one_is_missing() {
        let outcome_of_first = |records: &Records| {
            record_acceptance(records, Actor::Daemon, Timestamp::UNIX_EPOCH).unwrap();
            let mut walk = Walk::whole(records, records.log_len(&log_path().unwrap()).unwrap());
            match walk.step().unwrap() {
                Step::Entry(entry) => entry.outcome,
                _ => panic!("nothing was written"),
            }
        };
        assert_eq!(outcome_of_first(&no_records()), OK);
        let fixture = Fixture::new();
        fixture.create("finance");
        let records = fixture.kms.audit.records();
        records.remove(&log_path().unwrap()).unwrap();
        records.remove(&anchor_path().unwrap()).unwrap();
        assert_ne!(outcome_of_first(records), OK);
    }

    #[test]
    fn a_moved_log_says_the_same_under_the_new_key_and_a_damaged_one_is_not_moved() {
        let fixture = Fixture::new();
        fixture.create("finance");
        fixture.kms.disable(&alias("finance")).unwrap();
        let old = fixture.kms.audit.records();
        let (new, actor) = (no_records(), Actor::User(Uid::ROOT));
        move_audit(old, &new, actor, Timestamp::UNIX_EPOCH).unwrap();
        let report = verify_audit_offline(&new).unwrap();
        assert_eq!((report.entries, report.fault), (4, None));
        let lines = |records: &Records| {
            let bytes = records.read_log(&log_path().unwrap(), 0, 1 << 20).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let said = |line: &str| line.split(",\"prev\"").next().unwrap().to_owned();
            text.lines().map(said).collect::<Vec<_>>()
        };
        assert_eq!(lines(&new)[..3], lines(old));
        assert!(lines(&new)[3].contains("migrateHsm"));

        let path = log_path().unwrap();
        let log = fixture.store.get(&path).unwrap().unwrap();
        fixture.store.append_log(&path, 0, &log[..log.len() / 2]).unwrap();
        let refused = move_audit(old, &no_records(), actor, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Integrity);
    }
}
