//! The audit log: lines in a file, chained, anchored, and synchronised in groups (RULES K11).
//!
//! Two files: `kms/audit.jsonl`, to which entries are only ever added, and the authenticated record
//! `kms/audit-anchor.toml`, which says where the newest entry ends and what its digest is. Each
//! digest is keyed and covers the one before, so nobody without the root key can edit, cut out, add
//! or reorder entries; the anchor shows that none is missing at the end.
//!
//! # A group
//!
//! Entries that come at the same time are written together, see [`Groups`]: the log is synchronised,
//! the anchor saved, and their owners go on. An entry is acknowledged after the anchor is saved, and what it records takes effect
//! after that.
//!
//! # What a crash leaves
//!
//! * Log and anchor agree: nothing was under way.
//! * Genuine entries after the anchored one: written, never acknowledged. They are kept, and say
//!   `ok` of something that was interrupted before it took effect.
//! * Anything else after the anchored one: a torn write. The anchor is saved only after the log is
//!   synchronised, so what lies after it was never acknowledged, and the next group overwrites it.
//! * Anything else up to the anchored one is no crash's work. The log goes on after it, chained to
//!   the anchored digest, so that the gap stays for all to see; [`super::Kms::verify_audit`] finds
//!   it.
//!
//! Log and anchor together put back as they were earlier are found too: the ledger of records knows
//! the newest anchor. Not covered: the whole state directory put back.

use super::audit_entry::{Actor, AuditEntry, AuditEvent, MAX_LINE, NO_DIGEST, OK};
use super::audit_walk::{Step, Walk};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{DiskId, KeyId};
use crate::records::{Groups, RecordPath, Records};
use crate::sync::Mutex;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const LOG: &str = "kms/audit.jsonl";
const ANCHOR: &str = "kms/audit-anchor.toml";

/// An entry and where it ends: the anchor record, and the end of the log in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// The entry; 0 before the first.
    pub seq: u64,
    /// Where it ends, in bytes from the start of the log.
    pub bytes: u64,
    /// Its digest.
    pub digest: String,
}

/// An entry that has no place yet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub time: Timestamp,
    pub caller: Actor,
    pub event: AuditEvent,
    pub key: Option<KeyId>,
    pub alias: Option<String>,
    pub disk: Option<DiskId>,
    pub outcome: String,
    pub of: Option<u64>,
}

/// The log.
pub(super) struct AuditLog {
    records: Records,
    lost_its_past: bool,
    /// The entry after which [`AuditEvent::StartAuditLog`] stands.
    begins_after: u64,
    groups: Groups<End, Draft, Told>,
    // Entries nobody waits for, which go with the next group that succeeds. Taken from by who
    // writes a group, and by nobody else.
    corrections: Mutex<Vec<Draft>>,
}

/// The end of the log.
#[derive(Debug, Clone)]
struct End {
    newest: Place,
    /// Where the next entry begins: after the newest, or after what does not belong there.
    next_at: u64,
}

/// The entry's number, or what kept it from being acknowledged.
type Told = Result<u64, Failed>;

#[derive(Debug, Clone)]
struct Failed {
    kind: ErrorKind,
    why: String,
    /// The number of the entry, when it stands in the log although nobody may rely on it.
    stands: Option<u64>,
}

/// Corrections that wait for the next group; more than these are not worth the memory.
const MAX_CORRECTIONS: usize = 1024;

impl AuditLog {
    /// Opens the log; `has_keys` says whether there are keys. Nothing is written before the first
    /// entry.
    ///
    /// # Errors
    /// `integrity` when the anchor was edited; what the store reports.
    pub fn open(records: Records, has_keys: bool) -> Result<Self> {
        let len = records.log_len(&log_path()?)?;
        let anchor = records.load::<Place>(&anchor_path()?)?;
        // A key is made after its entry was anchored.
        let lost_its_past = anchor.is_none() && has_keys;
        let anchor = anchor.unwrap_or(Place { seq: 0, bytes: 0, digest: NO_DIGEST.to_owned() });
        let (newest, next_at) = if ends_as_anchored(&records, &anchor, len)? {
            let mut walk = Walk::after(&records, anchor, len);
            while let Step::Entry(entry) = walk.step()? {
                log::warn!("event=audit-entry-of-something-interrupted seq={}", entry.seq);
            }
            let at = walk.place.bytes;
            (walk.place, at)
        } else {
            log::error!("event=audit-log-damaged; see: evsfs audit verify");
            (anchor, len)
        };
        let begins_after = if lost_its_past { newest.seq } else { 0 };
        Ok(AuditLog {
            records,
            lost_its_past,
            begins_after,
            groups: Groups::new(End { newest, next_at }),
            corrections: Mutex::default(),
        })
    }

    /// Adds an entry, together with those of others who come at the same time. After `Ok`, which
    /// gives its number, it survives loss of power.
    ///
    /// # Errors
    /// `no-space`, `io`: it does not stand in the log, or it does and nobody was told.
    pub fn append(&self, draft: Draft) -> Result<u64> {
        let given_up = Failed {
            kind: ErrorKind::Internal,
            why: "writing it was given up".to_owned(),
            stands: None,
        };
        let told = self
            .groups
            .take_part(draft.clone(), Err(given_up), |end, drafts| self.write(end, drafts));
        told.map_err(|failed| self.refuse(draft, failed))
    }

    /// The newest entry.
    pub fn newest(&self) -> Place {
        self.groups.state().newest
    }

    /// At most `len` bytes of the log at `offset`; what is not acknowledged yet is left out.
    ///
    /// # Errors
    /// What the store reports.
    pub fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let left = self.newest().bytes.saturating_sub(offset);
        let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        self.records.read_log(&log_path()?, offset, len)
    }

    /// The refusal of what could not be recorded. An entry that stands all the same is corrected by
    /// the next group.
    fn refuse(&self, draft: Draft, failed: Failed) -> Error {
        let Failed { kind, why, stands } = failed;
        let error = Error::new(kind, format!("the audit log cannot be written: {why}"))
            .remedy("make room where the state directory lies, then try again");
        let mut corrections = self.corrections.lock();
        if stands.is_some() && corrections.len() < MAX_CORRECTIONS {
            corrections.push(Draft { outcome: error.shown_code(), of: stands, ..draft });
        }
        error
    }

    /// The records it lies in.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Writes a group, and says what each of its entries is told.
    fn write(&self, end: &mut End, drafts: &[Draft]) -> Vec<Told> {
        let before = end.newest.seq;
        let outcome = self.try_write(end, drafts).map_err(|error| {
            log::error!("event=audit-log-not-written error=\"{error}\"");
            // The entries of the group are the last ones.
            let first = end.newest.seq + 1 - drafts.len() as u64;
            let stands = (end.newest.seq > before).then_some(first);
            Failed { kind: error.kind(), why: error.explained(), stands }
        });
        let told = |at: u64| match &outcome {
            Ok(first) => Ok(first + at),
            Err(failed) => {
                Err(Failed { stands: failed.stands.map(|first| first + at), ..failed.clone() })
            }
        };
        (0..drafts.len() as u64).map(told).collect()
    }

    fn try_write(&self, end: &mut End, drafts: &[Draft]) -> Result<u64> {
        let path = log_path()?;
        let mut newest = end.newest.clone();
        let mut bytes = Vec::new();
        // After what does not belong there, a line of one's own.
        if end.next_at != newest.bytes {
            bytes.push(b'\n');
        }
        let corrections = self.corrections.lock().clone();
        let is_first = newest.seq == self.begins_after;
        let start = is_first.then(|| self.start(drafts)).flatten();
        let first = newest.seq + 1 + u64::from(start.is_some()) + corrections.len() as u64;
        for draft in start.iter().chain(&corrections).chain(drafts) {
            let mut entry = draft.clone().after(&newest);
            bytes.extend(entry.seal(&self.records, &path)?);
            newest = Place { seq: entry.seq, bytes: 0, digest: entry.digest };
        }
        newest.bytes = end.next_at + bytes.len() as u64;
        self.records.append_log(&path, end.next_at, &bytes)?;
        // They stand there, whether or not the anchor is saved: an anchor that the ledger names and
        // that was not put in its place may be put there yet, and must still fit.
        *end = End { next_at: newest.bytes, newest };
        self.corrections.lock().drain(..corrections.len());
        self.records.save(&anchor_path()?, &end.newest)?;
        Ok(first)
    }

    /// The first entry of all, or the first after the anchor was lost.
    fn start(&self, drafts: &[Draft]) -> Option<Draft> {
        Some(Draft {
            time: drafts.first()?.time,
            caller: Actor::Daemon,
            event: AuditEvent::StartAuditLog,
            key: None,
            alias: None,
            disk: None,
            outcome: match self.lost_its_past {
                true => Error::new(ErrorKind::Integrity, "").shown_code(),
                false => OK.to_owned(),
            },
            of: None,
        })
    }
}

impl Draft {
    pub fn after(self, newest: &Place) -> AuditEntry {
        let Draft { time, caller, event, key, alias, disk, outcome, of } = self;
        let (seq, prev) = (newest.seq + 1, newest.digest.clone());
        let digest = String::new();
        AuditEntry { seq, time, caller, event, key, alias, disk, outcome, of, prev, digest }
    }
}

/// Whether the entry that ends where the anchor says is the anchored one. The others are not looked
/// at: that is for who verifies.
fn ends_as_anchored(records: &Records, anchor: &Place, len: u64) -> Result<bool> {
    if anchor.bytes == 0 || len < anchor.bytes {
        return Ok(anchor.bytes == 0 && anchor.seq == 0);
    }
    let from = anchor.bytes.saturating_sub(MAX_LINE as u64);
    let wanted = usize::try_from(anchor.bytes - from).unwrap_or(MAX_LINE);
    let bytes = records.read_log(&log_path()?, from, wanted)?;
    let line = match bytes.strip_suffix(b"\n") {
        Some(body) => {
            let before = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            &bytes[before..]
        }
        None => return Ok(false),
    };
    let entry = AuditEntry::open(line, records, &log_path()?);
    Ok(entry.is_ok_and(|entry| entry.seq == anchor.seq && entry.digest == anchor.digest))
}

pub(super) fn log_path() -> Result<RecordPath> {
    RecordPath::parse(LOG)
}

pub(super) fn anchor_path() -> Result<RecordPath> {
    RecordPath::parse(ANCHOR)
}

#[cfg(test)]
mod tests {
    use super::super::audit_verify::verify_audit_offline;
    use super::*;
    use crate::crypto::{RecordKey, Secret};
    use crate::records::{Aside, MemoryStore, RecordStore, Survey};
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A store that counts groups, and can wait or fail in the middle of one.
    #[derive(Default)]
    struct Watched {
        inner: MemoryStore,
        groups: AtomicUsize,
        meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
        fails: Mutex<Option<Part>>,
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Part {
        Log,
        Anchor,
    }

    impl Watched {
        fn fail_in(&self, part: Part) -> Result<()> {
            if *self.fails.lock() == Some(part) {
                return Err(Error::new(ErrorKind::NoSpace, "the store is full"));
            }
            Ok(())
        }
    }

    impl RecordStore for Watched {
        fn get(&self, path: &RecordPath) -> Result<Option<Vec<u8>>> {
            self.inner.get(path)
        }

        fn put(&self, path: &RecordPath, bytes: &[u8]) -> Result<()> {
            self.inner.put(path, bytes)
        }

        fn write_aside(&self, path: &RecordPath, bytes: &[u8]) -> Result<Aside> {
            self.fail_in(Part::Anchor)?;
            self.inner.write_aside(path, bytes)
        }

        fn take_aside(&self, path: &RecordPath) -> Result<Option<Aside>> {
            self.inner.take_aside(path)
        }

        fn put_in_place(&self, aside: &Aside) -> Result<()> {
            self.inner.put_in_place(aside)
        }

        fn drop_aside(&self, aside: &Aside) -> Result<()> {
            self.inner.drop_aside(aside)
        }

        fn read_aside(&self, aside: &Aside) -> Result<Option<Vec<u8>>> {
            self.inner.read_aside(aside)
        }

        fn survey(&self) -> Result<Survey> {
            self.inner.survey()
        }

        fn replace_log(&self, path: &RecordPath, bytes: &[u8]) -> Result<()> {
            self.inner.replace_log(path, bytes)
        }

        fn remove(&self, path: &RecordPath) -> Result<()> {
            self.inner.remove(path)
        }

        fn list(&self, dir: &RecordPath) -> Result<Vec<String>> {
            self.inner.list(dir)
        }

        fn append_log(&self, path: &RecordPath, offset: u64, bytes: &[u8]) -> Result<()> {
            if *path != log_path().unwrap() {
                return self.inner.append_log(path, offset, bytes);
            }
            self.groups.fetch_add(1, Ordering::Relaxed);
            if let Some(happens) = self.meanwhile.lock().take() {
                happens();
            }
            if self.fail_in(Part::Log).is_err() {
                // A part of it is there.
                self.inner.append_log(path, offset, &bytes[..bytes.len() / 2])?;
            }
            self.fail_in(Part::Log)?;
            self.inner.append_log(path, offset, bytes)
        }

        fn read_log(&self, path: &RecordPath, offset: u64, len: usize) -> Result<Vec<u8>> {
            self.inner.read_log(path, offset, len)
        }

        fn log_len(&self, path: &RecordPath) -> Result<u64> {
            self.inner.log_len(path)
        }

        fn place(&self, path: &RecordPath) -> String {
            self.inner.place(path)
        }
    }

    fn log() -> (Arc<Watched>, Arc<AuditLog>) {
        let store = Arc::new(Watched::default());
        let key = RecordKey::derive(&Secret::random().unwrap()).unwrap();
        let records = Records::open(store.clone(), key).unwrap();
        (store, Arc::new(AuditLog::open(records, false).unwrap()))
    }

    fn draft(uid: u32) -> Draft {
        Draft {
            time: Timestamp::UNIX_EPOCH,
            caller: Actor::User(crate::id::Uid::new(uid)),
            event: AuditEvent::CreateKey,
            key: None,
            alias: None,
            disk: None,
            outcome: OK.to_owned(),
            of: None,
        }
    }

    fn entries(log: &AuditLog) -> Vec<AuditEntry> {
        let mut walk = Walk::whole(log.records(), log.newest().bytes);
        let mut entries = Vec::new();
        while let Step::Entry(entry) = walk.step().unwrap() {
            entries.push(entry);
        }
        entries
    }

    /// What comes while a group is written goes together into the next one.
    #[test]
    fn sixteen_at_once_share_two_writes_and_none_is_lost() {
        let (store, log) = log();
        let waits = log.clone();
        *store.meanwhile.lock() = Some(Box::new(move || {
            while waits.groups.waiting() < 15 {
                std::thread::yield_now();
            }
        }));
        let numbers: BTreeSet<u64> = std::thread::scope(|scope| {
            let append = |uid| {
                let log = &log;
                scope.spawn(move || log.append(draft(uid)).unwrap())
            };
            let threads: Vec<_> = (0..16).map(append).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(store.groups.load(Ordering::Relaxed), 2);
        assert_eq!(numbers, (2..=17).collect());
        let callers: BTreeSet<String> =
            entries(&log).iter().skip(1).map(|entry| entry.caller.to_string()).collect();
        assert_eq!(callers.len(), 16);
        assert_eq!(verify_audit_offline(log.records()).unwrap().fault, None);
    }

    #[test]
    fn a_group_that_cannot_be_written_refuses_all_of_it_and_the_next_takes_its_place() {
        let (store, log) = log();
        log.append(draft(1)).unwrap();
        *store.fails.lock() = Some(Part::Log);
        assert_eq!(log.append(draft(2)).unwrap_err().kind(), ErrorKind::NoSpace);
        *store.fails.lock() = None;
        assert_eq!(log.append(draft(3)).unwrap(), 3);
        assert_eq!(verify_audit_offline(log.records()).unwrap().entries, 3);
    }

    /// The entry may be durable, and so may its anchor; that it was refused comes after it.
    #[test]
    fn an_entry_whose_anchor_failed_is_corrected_by_the_next_group() {
        let (store, log) = log();
        log.append(draft(1)).unwrap();
        *store.fails.lock() = Some(Part::Anchor);
        assert_eq!(log.append(draft(2)).unwrap_err().kind(), ErrorKind::NoSpace);
        assert_eq!(verify_audit_offline(log.records()).unwrap().fault, None);
        *store.fails.lock() = None;
        assert_eq!(log.append(draft(4)).unwrap(), 5);
        let outcomes: Vec<_> =
            entries(&log).into_iter().map(|entry| (entry.outcome, entry.of)).collect();
        let ok = || (OK.to_owned(), None);
        assert_eq!(outcomes, [ok(), ok(), ok(), ("EVSFS.no-space".to_owned(), Some(3)), ok()]);
        assert_eq!(verify_audit_offline(log.records()).unwrap().fault, None);
    }

    #[test]
    fn of_a_group_whose_anchor_failed_each_entry_is_corrected() {
        let (store, log) = log();
        log.append(draft(0)).unwrap();
        *store.fails.lock() = Some(Part::Anchor);
        let waits = log.clone();
        *store.meanwhile.lock() = Some(Box::new(move || {
            while waits.groups.waiting() < 3 {
                std::thread::yield_now();
            }
        }));
        std::thread::scope(|scope| {
            let log = &log;
            (1..=4).for_each(|uid| drop(scope.spawn(move || log.append(draft(uid)).unwrap_err())));
        });
        *store.fails.lock() = None;
        log.append(draft(5)).unwrap();
        let entries = entries(&log);
        let corrected: BTreeSet<u64> = entries.iter().filter_map(|entry| entry.of).collect();
        assert_eq!(corrected.len(), 4);
        for correction in &entries {
            if let Some(of) = correction.of {
                let entry = &entries[of as usize - 1];
                assert_eq!((&entry.caller, entry.of), (&correction.caller, None));
            }
        }
        assert_eq!(verify_audit_offline(log.records()).unwrap().fault, None);
    }

    #[test]
    fn a_panic_while_writing_refuses_the_group_and_leaves_the_log_usable() {
        let (store, log) = log();
        *store.meanwhile.lock() = Some(Box::new(|| panic!("injected")));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            log.append(draft(1)).map(|_| ())
        }));
        assert!(panicked.is_err());
        assert_eq!(log.append(draft(2)).unwrap(), 2);
        assert_eq!(entries(&log).len(), 2);
    }
}
