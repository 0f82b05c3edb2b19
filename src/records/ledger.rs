//! The ledger: which record is the newest of each path, so that an older one with its own genuine
//! seal, or one that was removed, is told from it.
//!
//! One file, `ledger`, to which groups of lines are added and synchronised before what they say is
//! seen:
//!
//! | line | meaning |
//! |---|---|
//! | `ledger 1` | the first line of the file: what this is, and its version |
//! | `+ PATH MAC` | the newest record at this path is the one with this MAC, 64 hexadecimal digits |
//! | `- PATH` | there is no record at this path any more |
//! | `= MAC` | ends a group: HMAC-SHA-256 under the record key over the MAC that ended the group before (zeros before the first) and the lines of this one |
//!
//! A group is the unit because it is what is synchronised: a genuine group after one that is not
//! shows an edit, while power lost in the middle of a write tears the last group and nothing else.
//! When the file has become much longer than what it says, it is replaced by one group that says the
//! same.
//!
//! # What a crash leaves
//!
//! A record is saved in three steps: its bytes are made durable aside; a group that names them is
//! added here, and that is the moment of the change; the bytes are put in their place. It is removed
//! in three steps too: it is taken aside, a group says that it is gone, its bytes are dropped. So a
//! crash leaves at most
//!
//! * a torn group at the end, which the next one overwrites: none of its records was put in place;
//! * bytes aside that this ledger names as the newest of their path: they are put in their place;
//! * bytes aside that it does not name: they are dropped.
//!
//! [`super::Records::open`] does so before anything is read. After it every record that the ledger
//! names is in its place and is the one it names; everything else is not a crash's work and is
//! refused by name.
//!
//! # What an attacker can do
//!
//! Edit, cut or delete this file, or put back an older one: then it does not name the records that
//! were saved since, and they are refused; without a genuine group it counts as deleted, and then
//! every record that was saved under a ledger is refused.
//!
//! Not covered: the whole state directory put back as it was, this file included. Nothing in the
//! directory can show that.

use super::document::Mac;
use super::groups::Groups;
use super::{RecordPath, RecordStore};
use crate::crypto::RecordKey;
use crate::crypto::from_hex;
use crate::crypto::to_hex;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::sync::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const NAME: &str = "ledger";
/// What its MACs are bound to. No path of a record has a blank, so no record's MAC can be taken for
/// one.
const LABEL: &str = "ledger of records";
const FIRST_LINE: &str = "ledger 1";
const NO_MAC: Mac = [0; 32];
/// A shorter ledger is never replaced.
const SMALL_BYTES: u64 = 1 << 20;
/// How much longer than what it says a ledger may become.
const MAX_GROWTH: u64 = 4;
/// A longer one is none of ours, and is refused before it is read.
const MAX_BYTES: u64 = 1 << 30;
const CHUNK: usize = 1 << 20;

/// What is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// The newest record at this path has this MAC.
    Newest(RecordPath, Mac),
    /// There is no record at this path.
    Removed(RecordPath),
}

/// The ledger of a store.
pub(super) struct Ledger {
    store: Arc<dyn RecordStore>,
    key: Arc<RecordKey>,
    path: RecordPath,
    // What the file says; changed by who writes a group, after it is durable.
    newest: RwLock<BTreeMap<RecordPath, Mac>>,
    groups: Groups<End, Entry, std::result::Result<(), Failed>>,
}

/// Where the next group goes.
#[derive(Debug, Clone, Copy)]
struct End {
    bytes: u64,
    /// What ended the group before.
    mac: Mac,
    /// The length at which it was, or would have been, as short as it can be.
    compact: u64,
}

#[derive(Debug, Clone)]
struct Failed {
    kind: ErrorKind,
    why: String,
}

impl Ledger {
    /// Reads the ledger of a store; `None` when there is none, or nothing genuine in it.
    ///
    /// # Errors
    /// `integrity` when it was edited; `unsupported` when a newer version of this program wrote it;
    /// what the store reports.
    pub fn read(store: &Arc<dyn RecordStore>, key: &Arc<RecordKey>) -> Result<Option<Self>> {
        let path = RecordPath::parse(NAME)?;
        let len = store.log_len(&path)?;
        let refuse = |kind, why: &str| {
            let place = store.place(&path);
            Error::new(kind, format!("the ledger of records {place} {why}"))
                .remedy(format!("restore {place} as it was last; {ACCEPT}"))
        };
        if len > MAX_BYTES {
            return Err(refuse(ErrorKind::Integrity, "is larger than any ledger"));
        }
        let mut bytes = Vec::new();
        loop {
            let more = store.read_log(&path, bytes.len() as u64, CHUNK)?;
            if more.is_empty() || bytes.len() as u64 > MAX_BYTES {
                break;
            }
            bytes.extend_from_slice(&more);
        }
        let found = Found::in_bytes(&bytes, key);
        if found.is_edited {
            return Err(refuse(ErrorKind::Integrity, "was edited"));
        }
        let Some(entries) = found.entries else {
            return Err(refuse(
                ErrorKind::Unsupported,
                "has a form that this program does not know",
            ));
        };
        if found.end == 0 {
            return Ok(None);
        }
        let mut newest = BTreeMap::new();
        for entry in entries {
            apply(&mut newest, entry);
        }
        let compact = text_of(&newest).len() as u64;
        let end = End { bytes: found.end as u64, mac: found.mac, compact };
        Ok(Some(Ledger::new(store, key, path, newest, end)))
    }

    /// A ledger that says this; it is not written yet.
    pub fn of(
        store: &Arc<dyn RecordStore>,
        key: &Arc<RecordKey>,
        newest: BTreeMap<RecordPath, Mac>,
    ) -> Result<Self> {
        let end = End { bytes: 0, mac: NO_MAC, compact: 0 };
        Ok(Ledger::new(store, key, RecordPath::parse(NAME)?, newest, end))
    }

    fn new(
        store: &Arc<dyn RecordStore>,
        key: &Arc<RecordKey>,
        path: RecordPath,
        newest: BTreeMap<RecordPath, Mac>,
        end: End,
    ) -> Self {
        let (store, key) = (Arc::clone(store), Arc::clone(key));
        Ledger { store, key, path, newest: RwLock::new(newest), groups: Groups::new(end) }
    }

    /// Writes all it says in place of the file there is.
    ///
    /// # Errors
    /// What the store reports.
    pub fn write(self) -> Result<Self> {
        let mut end = self.groups.state();
        self.replace(&mut end)?;
        let Ledger { store, key, path, newest, .. } = self;
        Ok(Ledger::new(&store, &key, path, newest.into_inner(), end))
    }

    /// Whether it would be worth to be written anew.
    pub fn is_long(&self) -> bool {
        self.groups.state().is_long()
    }

    /// The MAC of the newest record at a path, if there should be one.
    pub fn newest(&self, path: &RecordPath) -> Option<Mac> {
        self.newest.read().get(path).copied()
    }

    /// All paths at which there should be a record, sorted.
    pub fn paths(&self) -> Vec<RecordPath> {
        self.newest.read().keys().cloned().collect()
    }

    /// The names directly under a directory of records that should be there.
    pub fn names_under(&self, directory: &RecordPath) -> Vec<String> {
        let above = format!("{directory}/");
        let newest = self.newest.read();
        let mut names: Vec<String> = newest
            .range(directory.clone()..)
            // Between `a` and `a/` sort `a-x` and `a.x`, which are skipped, not the end.
            .take_while(|(path, _)| path.as_str().starts_with(directory.as_str()))
            .filter_map(|(path, _)| path.as_str().strip_prefix(&above))
            .filter_map(|below| below.split('/').next())
            .map(str::to_owned)
            .collect();
        names.dedup();
        names
    }

    /// Adds an entry, together with those of others who come at the same time. After `Ok` it
    /// survives loss of power.
    ///
    /// # Errors
    /// `no-space`, `io`: nothing was added.
    pub fn enter(&self, entry: Entry) -> Result<()> {
        let given_up =
            Failed { kind: ErrorKind::Internal, why: "writing it was given up".to_owned() };
        let entered = self.groups.take_part(entry, Err(given_up), |end, entries| {
            let written = self.add(end, entries).map_err(|error| {
                log::error!("event=ledger-not-written error=\"{error}\"");
                Failed { kind: error.kind(), why: error.explained() }
            });
            vec![written; entries.len()]
        });
        entered.map_err(|Failed { kind, why }| {
            Error::new(kind, format!("the ledger of records cannot be written: {why}"))
                .remedy("make room where the state directory lies, then try again")
        })
    }

    fn add(&self, end: &mut End, entries: &[Entry]) -> Result<()> {
        if self.store.log_len(&self.path)? < end.bytes {
            // Cut while we run; what it must say is in memory.
            log::error!("event=ledger-was-cut file={}", self.store.place(&self.path));
            self.replace(end)?;
        }
        let mut text = String::new();
        if end.bytes == 0 {
            text.push_str(FIRST_LINE);
            text.push('\n');
        }
        for entry in entries {
            push_line(&mut text, entry);
        }
        let mac = finish_group(&mut text, &end.mac, &self.key);
        self.store.append_log(&self.path, end.bytes, text.as_bytes())?;
        (end.bytes, end.mac) = (end.bytes + text.len() as u64, mac);
        let mut newest = self.newest.write();
        for entry in entries {
            apply(&mut newest, entry.clone());
        }
        drop(newest);
        if end.is_long() {
            self.shorten(end);
        }
        Ok(())
    }

    /// What fails here has failed nobody: the long ledger says the same.
    fn shorten(&self, end: &mut End) {
        if let Err(error) = self.replace(end) {
            log::warn!("event=ledger-not-shortened error=\"{error}\"");
            end.compact = end.bytes;
            // The new file may be there all the same. What follows the end of the old one would
            // follow nothing in it, so the next group writes all anew.
            if self.store.log_len(&self.path).ok() != Some(end.bytes) {
                end.bytes = u64::MAX;
            }
        }
    }

    fn replace(&self, end: &mut End) -> Result<()> {
        let mut text = text_of(&self.newest.read());
        let mac = finish_group(&mut text, &NO_MAC, &self.key);
        self.store.replace_log(&self.path, text.as_bytes())?;
        let bytes = text.len() as u64;
        *end = End { bytes, mac, compact: bytes };
        Ok(())
    }
}

/// What to do when records are as they are on purpose.
pub(super) const ACCEPT: &str = "or, if all records are as you want them: evsfs check --accept";

impl End {
    fn is_long(&self) -> bool {
        self.bytes > SMALL_BYTES.max(self.compact.saturating_mul(MAX_GROWTH))
    }
}

/// What is found in the bytes of a ledger.
struct Found {
    /// `None` when a genuine group has a line that is none of this version.
    entries: Option<Vec<Entry>>,
    /// Where the last genuine group ends.
    end: usize,
    mac: Mac,
    /// A genuine group follows one that is not.
    is_edited: bool,
}

impl Found {
    fn in_bytes(bytes: &[u8], key: &RecordKey) -> Found {
        let mut found = Found { entries: Some(Vec::new()), end: 0, mac: NO_MAC, is_edited: false };
        let (mut group_at, mut line_at, mut mac_before) = (0, 0, NO_MAC);
        let mut is_broken = false;
        while let Some(len) = bytes[line_at..].iter().position(|byte| *byte == b'\n') {
            let (line, next_at) = (&bytes[line_at..line_at + len], line_at + len + 1);
            if let Some(said) = line.strip_prefix(b"= ") {
                let lines = &bytes[group_at..line_at];
                let said = parse_mac(said);
                let is_genuine =
                    said.is_some_and(|said| group_mac(&mac_before, lines, key) == said);
                if is_genuine && is_broken {
                    found.is_edited = true;
                    return found;
                }
                is_broken |= !is_genuine;
                if !is_broken {
                    let entries = parse_group(lines, group_at == 0);
                    found.entries = found.entries.zip(entries).map(|(mut all, more)| {
                        all.extend(more);
                        all
                    });
                    (found.end, found.mac) = (next_at, said.unwrap_or(NO_MAC));
                }
                (group_at, mac_before) = (next_at, said.unwrap_or(NO_MAC));
            }
            line_at = next_at;
        }
        found
    }
}

fn parse_group(lines: &[u8], is_first: bool) -> Option<Vec<Entry>> {
    let text = std::str::from_utf8(lines).ok()?;
    let mut lines = text.lines();
    if is_first && lines.next() != Some(FIRST_LINE) {
        return None;
    }
    lines
        .map(|line| {
            let (kind, rest) = line.split_once(' ')?;
            match kind {
                "+" => {
                    let (path, mac) = rest.split_once(' ')?;
                    Some(Entry::Newest(RecordPath::parse(path).ok()?, parse_mac(mac.as_bytes())?))
                }
                "-" => Some(Entry::Removed(RecordPath::parse(rest).ok()?)),
                _ => None,
            }
        })
        .collect()
}

fn parse_mac(digits: &[u8]) -> Option<Mac> {
    from_hex(std::str::from_utf8(digits).ok()?).ok()?.try_into().ok()
}

fn apply(newest: &mut BTreeMap<RecordPath, Mac>, entry: Entry) {
    match entry {
        Entry::Newest(path, mac) => drop(newest.insert(path, mac)),
        Entry::Removed(path) => drop(newest.remove(&path)),
    }
}

/// The lines of a ledger that says no more than it must.
fn text_of(newest: &BTreeMap<RecordPath, Mac>) -> String {
    let mut text = format!("{FIRST_LINE}\n");
    for (path, mac) in newest {
        push_newest(&mut text, path, mac);
    }
    text
}

fn push_line(text: &mut String, entry: &Entry) {
    match entry {
        Entry::Newest(path, mac) => push_newest(text, path, mac),
        Entry::Removed(path) => {
            for part in ["- ", path.as_str(), "\n"] {
                text.push_str(part);
            }
        }
    }
}

fn push_newest(text: &mut String, path: &RecordPath, mac: &Mac) {
    for part in ["+ ", path.as_str(), " ", &to_hex(mac), "\n"] {
        text.push_str(part);
    }
}

/// Ends the group that the text is, and gives the MAC it ends with.
fn finish_group(text: &mut String, before: &Mac, key: &RecordKey) -> Mac {
    let mac = group_mac(before, text.as_bytes(), key);
    for part in ["= ", &to_hex(&mac), "\n"] {
        text.push_str(part);
    }
    mac
}

fn group_mac(before: &Mac, lines: &[u8], key: &RecordKey) -> Mac {
    key.tag(LABEL, &[before, lines].concat())
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;
    use crate::crypto::Secret;

    struct Rig {
        store: Arc<dyn RecordStore>,
        key: Arc<RecordKey>,
    }

    impl Rig {
        fn new() -> Rig {
            let root = Secret::fill(|bytes| {
                bytes.fill(0x11);
                Ok(())
            });
            let key = Arc::new(RecordKey::derive(&root.unwrap()).unwrap());
            Rig { store: Arc::new(MemoryStore::new()), key }
        }

        fn begin(&self) -> Ledger {
            Ledger::of(&self.store, &self.key, BTreeMap::new()).unwrap()
        }

        fn read(&self) -> Result<Option<Ledger>> {
            Ledger::read(&self.store, &self.key)
        }

        fn bytes(&self) -> Vec<u8> {
            self.store.read_log(&path(NAME), 0, 1 << 30).unwrap()
        }

        fn said(&self) -> Option<Vec<(String, u8)>> {
            let newest = self.read().unwrap()?.newest.into_inner();
            Some(newest.iter().map(|(path, mac)| (path.to_string(), mac[0])).collect())
        }
    }

    fn ends_of_groups(bytes: &[u8]) -> Vec<usize> {
        let text = String::from_utf8_lossy(bytes);
        text.match_indices("\n= ").map(|(at, start)| at + start.len() + 64 + 1).collect()
    }

    fn path(text: &str) -> RecordPath {
        RecordPath::parse(text).unwrap()
    }

    fn newest(text: &str, mac: u8) -> Entry {
        Entry::Newest(path(text), [mac; 32])
    }

    fn with_entries() -> Rig {
        let rig = Rig::new();
        let ledger = rig.begin();
        for (at, name) in ["a", "b", "c", "a"].into_iter().enumerate() {
            ledger.enter(newest(name, at as u8)).unwrap();
        }
        ledger.enter(Entry::Removed(path("b"))).unwrap();
        rig
    }

    /// Golden bytes, the MACs computed by another implementation (RFC 2104): a ledger written by any
    /// released version stays readable.
    #[test]
    fn a_ledger_has_these_bytes() {
        let rig = with_entries();
        let golden = include_str!("golden_ledger");
        assert_eq!(String::from_utf8(rig.bytes()).unwrap(), golden);
        assert_eq!(rig.said().unwrap(), [("a".to_owned(), 3), ("c".to_owned(), 2)]);
    }

    /// Torn anywhere, it says what the groups before the tear said, and goes on from there.
    #[test]
    fn a_torn_end_is_left_out_and_overwritten() {
        let bytes = with_entries().bytes();
        let ends = ends_of_groups(&bytes);
        for len in 0..=bytes.len() {
            let rig = Rig::new();
            rig.store.append_log(&path(NAME), 0, &bytes[..len]).unwrap();
            let groups = ends.iter().filter(|end| **end <= len).count();
            let Some(ledger) = rig.read().unwrap() else {
                assert_eq!(groups, 0, "{len}");
                continue;
            };
            assert_eq!(ledger.groups.state().bytes, ends[groups - 1] as u64);
            ledger.enter(newest("d", 9)).unwrap();
            assert_eq!(rig.read().unwrap().unwrap().newest(&path("d")), Some([9; 32]), "{len}");
        }
    }

    #[test]
    fn every_flipped_bit_is_found_unless_it_cuts_the_end_off() {
        let bytes = with_entries().bytes();
        let ends = ends_of_groups(&bytes);
        for bit in 0..bytes.len() * 8 {
            let rig = Rig::new();
            let mut edited = bytes.clone();
            edited[bit / 8] ^= 1 << (bit % 8);
            rig.store.append_log(&path(NAME), 0, &edited).unwrap();
            let hurt = ends.iter().filter(|end| **end <= bit / 8).count();
            match rig.read() {
                Err(error) => assert_eq!(error.kind(), ErrorKind::Integrity),
                Ok(None) => assert_eq!(hurt, 0, "bit {bit}"),
                Ok(Some(ledger)) => {
                    assert!(hurt >= ends.len() - 2, "bit {bit} of group {hurt}");
                    let end = usize::try_from(ledger.groups.state().bytes).unwrap();
                    assert!(end <= bit / 8, "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_ledger_that_was_cut_or_deleted_while_in_use_is_written_anew() {
        for len in [0, 1, 100] {
            let rig = Rig::new();
            let ledger = rig.begin();
            for name in ["a", "b"] {
                ledger.enter(newest(name, 1)).unwrap();
            }
            rig.store.replace_log(&path(NAME), &vec![b'x'; len]).unwrap();
            ledger.enter(newest("c", 1)).unwrap();
            assert_eq!(rig.said().unwrap().len(), 3);
        }
    }

    #[test]
    fn a_long_ledger_becomes_short_and_says_the_same() {
        let rig = Rig::new();
        let ledger = rig.begin();
        let mut longest = 0;
        for at in 0..20_000_u32 {
            ledger.enter(newest(&format!("disks/{}/disk.toml", at % 7), at as u8)).unwrap();
            longest = longest.max(rig.store.log_len(&path(NAME)).unwrap());
        }
        assert!((SMALL_BYTES - 4096..=SMALL_BYTES).contains(&longest), "{longest}");
        let said = rig.said().unwrap();
        assert_eq!(said.len(), 7);
        assert!(said.iter().any(|(_, mac)| *mac == 19_999_u32 as u8));
        assert_eq!(ledger.names_under(&path("disks")).len(), 7);
    }

    #[test]
    fn names_under_a_directory_are_those_of_that_directory() {
        let rig = Rig::new();
        let ledger = rig.begin();
        for text in ["a-b/x", "a.b", "a/x/1", "a/x/2", "a/y", "ab/z", "b"] {
            ledger.enter(newest(text, 1)).unwrap();
        }
        assert_eq!(ledger.names_under(&path("a")), ["x", "y"]);
        assert!(ledger.names_under(&path("c")).is_empty());
    }

    #[test]
    fn a_ledger_of_a_newer_form_is_refused_saying_so() {
        let rig = Rig::new();
        let mut text = "ledger 2\n".to_owned();
        finish_group(&mut text, &NO_MAC, &rig.key);
        rig.store.append_log(&path(NAME), 0, text.as_bytes()).unwrap();
        assert_eq!(rig.read().err().unwrap().kind(), ErrorKind::Unsupported);
    }
}
