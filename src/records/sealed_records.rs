//! The records of a state directory, read and written as values.

use super::document;
use super::document::{Authenticated, Mac, Sealed, Unchecked};
use super::ledger;
use super::ledger::{ACCEPT, Entry, Ledger};
use super::store::{Aside, Survey};
use super::{RecordPath, RecordStore};
use crate::crypto::RecordKey;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A store seen through the key that authenticates its records, and the ledger that tells the newest
/// ones. Clones share all of it; a store is opened once at a time.
///
/// The types of records carry `#[serde(deny_unknown_fields)]`, and fields added later carry
/// `#[serde(default)]`, so that older records are read and unknown ones are not half understood.
/// One path has one writer at a time; that is its owner's business.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn RecordStore>,
    key: Arc<RecordKey>,
    ledger: Arc<Ledger>,
    /// Set when nothing may be written: what lies aside and should be in its place.
    only_to_look: Option<Arc<BTreeMap<RecordPath, Vec<u8>>>>,
}

impl Records {
    /// Opens the records in `store`, authenticated under `key`, and ends what a crash left half-done.
    /// A store of records from before there was a ledger gets one, which knows them as they are.
    ///
    /// # Errors
    /// `integrity` when the ledger was edited, or is missing where records were saved under one;
    /// `unsupported` when a newer version of this program wrote it; what the store reports.
    pub fn open(store: Arc<dyn RecordStore>, key: RecordKey) -> Result<Self> {
        let key = Arc::new(key);
        let survey = store.survey()?;
        let ledger = match Ledger::read(&store, &key)? {
            Some(ledger) if ledger.is_long() => ledger.write()?,
            Some(ledger) => ledger,
            None => {
                let found = adoptable(&store, &key, &survey)?;
                let is_empty = found.is_empty();
                let ledger = Ledger::of(&store, &key, found)?;
                // An empty one is written with its first entry.
                if is_empty { ledger } else { ledger.write()? }
            }
        };
        let records = Records { store, key, ledger: Arc::new(ledger), only_to_look: None };
        let mut to_drop = Vec::new();
        for aside in &survey.asides {
            if records.bytes_to_put_in_place(aside)?.is_some() {
                log::info!("event=record-finished record={}", aside.path);
                records.store.put_in_place(aside)?;
            } else {
                to_drop.push(aside);
            }
        }
        // Last, since others of the same record go with each.
        for aside in to_drop {
            records.store.drop_aside(aside)?;
        }
        Ok(records)
    }

    /// As [`Records::open`], for somebody who only looks: nothing is written, now or later.
    ///
    /// # Errors
    /// As for [`Records::open`].
    pub fn look_at(store: Arc<dyn RecordStore>, key: RecordKey) -> Result<Self> {
        let key = Arc::new(key);
        let survey = store.survey()?;
        let ledger = match Ledger::read(&store, &key)? {
            Some(ledger) => ledger,
            None => {
                let found = adoptable(&store, &key, &survey)?;
                Ledger::of(&store, &key, found)?
            }
        };
        let mut records = Records { store, key, ledger: Arc::new(ledger), only_to_look: None };
        let mut unfinished = BTreeMap::new();
        for aside in survey.asides {
            if let Some(bytes) = records.bytes_to_put_in_place(&aside)? {
                unfinished.insert(aside.path, bytes);
            }
        }
        records.only_to_look = Some(Arc::new(unfinished));
        Ok(records)
    }

    /// Writes a ledger that knows all genuine records as they are, and says which paths it tells
    /// something else about than the one before: for who has put older records back on purpose.
    ///
    /// # Errors
    /// What the store reports.
    pub fn accept_all(store: Arc<dyn RecordStore>, key: RecordKey) -> Result<Vec<RecordPath>> {
        let key = Arc::new(key);
        let survey = store.survey()?;
        let before = Ledger::read(&store, &key).ok().flatten();
        let mut found = BTreeMap::new();
        for path in &survey.records {
            if let Some(mac) = mac_of(&store, &key, path)? {
                found.insert(path.clone(), mac);
            }
        }
        let ledger = Ledger::of(&store, &key, found)?.write()?;
        let mut changed = ledger.paths();
        changed.extend(before.iter().flat_map(Ledger::paths));
        changed.sort();
        changed.dedup();
        let known = |path: &RecordPath| before.as_ref().and_then(|before| before.newest(path));
        changed.retain(|path| known(path) != ledger.newest(path));
        Ok(changed)
    }

    /// Reads a record, or `None` when there is none.
    ///
    /// # Errors
    /// `integrity` naming the file when it was edited, cut, moved, deleted, put back as it was
    /// earlier, or lacks the form of a `T`; `unsupported` when a newer version of this program wrote
    /// it; what the store reports.
    pub fn load<T: DeserializeOwned>(&self, path: &RecordPath) -> Result<Option<T>> {
        self.read(path, |record| record.parse())
    }

    /// Reads a record that must be there as it was last loaded or saved, and forgets it: whoever
    /// holds its value in memory may go on with it then.
    ///
    /// # Errors
    /// As for [`Records::load`].
    pub fn verify(&self, path: &RecordPath) -> Result<()> {
        match self.read(path, |_| Ok(()))? {
            Some(()) => Ok(()),
            None => Err(self.refused(path, "is missing")),
        }
    }

    fn read<T>(
        &self,
        path: &RecordPath,
        take: impl FnOnce(Authenticated<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let newest = self.ledger.newest(path);
        let Some(bytes) = self.bytes(path)? else {
            return match newest {
                None => Ok(None),
                Some(_) => Err(self.refused(path, "is missing")),
            };
        };
        let place = self.store.place(path);
        let record = Unchecked { path, place: &place, bytes: &bytes }.authenticate(&self.key)?;
        match newest {
            Some(mac) if mac == record.mac => take(record).map(Some),
            Some(_) => Err(self.refused(
                path,
                "is not the newest that the ledger knows: one of them was put back from a copy",
            )),
            None => Err(self.refused(
                path,
                "is not known to the ledger: it was removed, or one of them was put back from a copy",
            )),
        }
    }

    fn bytes(&self, path: &RecordPath) -> Result<Option<Vec<u8>>> {
        match self.only_to_look.as_ref().and_then(|unfinished| unfinished.get(path)) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => self.store.get(path),
        }
    }

    fn refused(&self, path: &RecordPath, why: &str) -> Error {
        let place = self.store.place(path);
        Error::new(ErrorKind::Integrity, format!("record {place} {why}"))
            .remedy(format!("restore {place} as it was last, then: evsfs check; {ACCEPT}"))
    }

    /// Writes a record in place of the one before, if any. After `Ok` it survives loss of power.
    ///
    /// # Errors
    /// What the store reports; the old record is then still there, or the new one, whole.
    pub fn save<T: Serialize>(&self, path: &RecordPath, value: &T) -> Result<()> {
        self.save_sealed(path, document::encode(path, value, &self.key)?)
    }

    /// The three steps that the ledger describes.
    fn save_sealed(&self, path: &RecordPath, Sealed { bytes, mac }: Sealed) -> Result<()> {
        self.refuse_to_write()?;
        let aside = self.store.write_aside(path, &bytes)?;
        let before = self.ledger.newest(path);
        if let Err(error) = self.ledger.enter(Entry::Newest(path.clone(), mac)) {
            self.drop_in_vain(&aside);
            return Err(error);
        }
        let Err(error) = self.store.put_in_place(&aside) else { return Ok(()) };
        // The one before is still in its place, and becomes the newest again. Where not even that
        // can be written, the next opening puts the new one in its place.
        let entry = match before {
            Some(mac) => Entry::Newest(path.clone(), mac),
            None => Entry::Removed(path.clone()),
        };
        if self.ledger.enter(entry).is_ok() {
            self.drop_in_vain(&aside);
        }
        Err(error)
    }

    fn drop_in_vain(&self, aside: &Aside) {
        if let Err(error) = self.store.drop_aside(aside) {
            log::warn!("event=left-aside record={} error=\"{error}\"", aside.path);
        }
    }

    /// The sealed document of a value, for a place that is no store, such as an exported file. The
    /// path is bound into it: one that no store uses keeps the two from being taken for each other.
    ///
    /// # Errors
    /// `internal` for a value that cannot be a record.
    pub fn seal<T: Serialize>(&self, path: &RecordPath, value: &T) -> Result<Vec<u8>> {
        document::encode(path, value, &self.key).map(|sealed| sealed.bytes)
    }

    /// The value of a sealed document that was found at `place`, as messages should show it.
    ///
    /// # Errors
    /// As for [`Records::load`].
    pub fn unseal<T: DeserializeOwned>(
        &self,
        path: &RecordPath,
        place: &str,
        bytes: &[u8],
    ) -> Result<T> {
        Unchecked { path, place, bytes }.authenticate(&self.key)?.parse()
    }

    /// Writes a record as it is into another store, under that one's key.
    ///
    /// # Errors
    /// As for [`Records::load`]; what the stores report.
    pub fn copy_to(&self, to: &Records, path: &RecordPath) -> Result<()> {
        match self.read(path, |record| Ok(record.sealed_again(path, &to.key)))? {
            Some(sealed) => to.save_sealed(path, sealed),
            None => Ok(()),
        }
    }

    /// Removes a record; one that is not there is no error.
    ///
    /// # Errors
    /// What the store reports; the record is then still there.
    pub fn remove(&self, path: &RecordPath) -> Result<()> {
        self.refuse_to_write()?;
        let aside = self.store.take_aside(path)?;
        if self.ledger.newest(path).is_some()
            && let Err(error) = self.ledger.enter(Entry::Removed(path.clone()))
        {
            if let Some(Err(second)) = aside.map(|aside| self.store.put_in_place(&aside)) {
                log::error!("event=record-left-aside record={path} error=\"{second}\"");
            }
            return Err(error);
        }
        match aside {
            // It is removed; what is left of it goes at the next opening.
            Some(aside) => {
                self.drop_in_vain(&aside);
                Ok(())
            }
            // It may have been dropped, and not durably.
            None => self.store.remove(path),
        }
    }

    fn refuse_to_write(&self) -> Result<()> {
        match self.only_to_look {
            None => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::Internal,
                "a record was to be written by who only looks at them",
            )),
        }
    }

    /// The names directly under `dir`, sorted: of what is there, and of what should be.
    ///
    /// # Errors
    /// What the store reports.
    pub fn list(&self, dir: &RecordPath) -> Result<Vec<String>> {
        let mut names = self.store.list(dir)?;
        names.extend(self.ledger.names_under(dir));
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The paths of all records, sorted: of those that are there, and of those that should be.
    ///
    /// # Errors
    /// What the store reports.
    pub fn paths(&self) -> Result<Vec<RecordPath>> {
        let mut paths = self.store.survey()?.records;
        paths.extend(self.ledger.paths());
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Whether there should be a record at a path.
    pub fn knows(&self, path: &RecordPath) -> bool {
        self.ledger.newest(path).is_some()
    }

    /// The bytes of a record that should be in its place and lie aside.
    fn bytes_to_put_in_place(&self, aside: &Aside) -> Result<Option<Vec<u8>>> {
        let path = &aside.path;
        let Some(newest) = self.ledger.newest(path) else { return Ok(None) };
        let bytes = self.store.read_aside(aside)?;
        Ok(bytes.filter(|bytes| mac_in(&self.key, path, bytes) == Some(newest)))
    }

    /// Whether a file is the ledger, which goes where its records go.
    pub fn is_ledger(path: &RecordPath) -> bool {
        path.as_str() == ledger::NAME
    }

    /// The tag that only holders of the record key can make of `bytes` in the log at `path`.
    pub fn tag(&self, path: &RecordPath, bytes: &[u8]) -> [u8; 32] {
        self.key.tag(path.as_str(), bytes)
    }

    /// Whether `tag` is that tag, in a time that does not depend on it.
    pub fn has_tag(&self, path: &RecordPath, bytes: &[u8], tag: &[u8]) -> bool {
        self.key.verify(path.as_str(), bytes, tag)
    }

    /// As [`RecordStore::append_log`]; the bytes are the caller's business.
    ///
    /// # Errors
    /// What the store reports.
    pub fn append_log(&self, path: &RecordPath, offset: u64, bytes: &[u8]) -> Result<()> {
        self.refuse_to_write()?;
        self.store.append_log(path, offset, bytes)
    }

    /// As [`RecordStore::read_log`].
    ///
    /// # Errors
    /// What the store reports.
    pub fn read_log(&self, path: &RecordPath, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.store.read_log(path, offset, len)
    }

    /// As [`RecordStore::log_len`].
    ///
    /// # Errors
    /// What the store reports.
    pub fn log_len(&self, path: &RecordPath) -> Result<u64> {
        self.store.log_len(path)
    }

    /// Where a record lies, as a message should show it.
    pub fn place(&self, path: &RecordPath) -> String {
        self.store.place(path)
    }
}

/// What a ledger should know of records from before there was one. Those that are not genuine are
/// refused by name when they are read.
fn adoptable(
    store: &Arc<dyn RecordStore>,
    key: &Arc<RecordKey>,
    survey: &Survey,
) -> Result<BTreeMap<RecordPath, Mac>> {
    let mut found = BTreeMap::new();
    for path in &survey.records {
        let Some(bytes) = store.get(path).ok().flatten() else { continue };
        let unchecked = Unchecked { path, place: "", bytes: &bytes };
        let Ok(record) = unchecked.authenticate(key) else { continue };
        if record.needs_ledger() {
            let ledger = store.place(&RecordPath::parse(ledger::NAME)?);
            let message = format!(
                "the ledger of records {ledger} is missing or damaged, and {} was saved with one",
                store.place(path)
            );
            return Err(Error::new(ErrorKind::Integrity, message)
                .remedy(format!("restore {ledger} as it was last; {ACCEPT}")));
        }
        found.insert(path.clone(), record.mac);
    }
    Ok(found)
}

fn mac_of(
    store: &Arc<dyn RecordStore>,
    key: &Arc<RecordKey>,
    path: &RecordPath,
) -> Result<Option<Mac>> {
    Ok(store.get(path).ok().flatten().and_then(|bytes| mac_in(key, path, &bytes)))
}

fn mac_in(key: &RecordKey, path: &RecordPath, bytes: &[u8]) -> Option<Mac> {
    let unchecked = Unchecked { path, place: "", bytes };
    unchecked.authenticate(key).ok().map(|record| record.mac)
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;
    use crate::crypto::Secret;
    use std::collections::BTreeMap;

    type Value = BTreeMap<String, u32>;

    struct Rig {
        store: Arc<MemoryStore>,
        root: Secret<32>,
    }

    impl Rig {
        fn new() -> Rig {
            Rig { store: Arc::new(MemoryStore::new()), root: Secret::random().unwrap() }
        }

        fn key(&self) -> RecordKey {
            RecordKey::derive(&self.root).unwrap()
        }

        fn open(&self) -> Records {
            self.try_open().unwrap()
        }

        fn try_open(&self) -> Result<Records> {
            Records::open(self.store.clone(), self.key())
        }

        fn bytes(&self, text: &str) -> Vec<u8> {
            self.store.get(&path(text)).unwrap().unwrap()
        }

        /// A record as a version without a ledger wrote it.
        fn put_old(&self, text: &str, number: u32) {
            let sealed = document::encode(&path(text), &value(number), &self.key()).unwrap();
            let text_of = String::from_utf8(sealed.bytes).unwrap().replacen("= 2", "= 1", 1);
            let at = text_of.rfind("mac = ").unwrap();
            let mac = crate::crypto::to_hex(&self.key().tag(text, &text_of.as_bytes()[..at]));
            let old = format!("{}mac = \"{mac}\"\n", &text_of[..at]);
            self.store.put(&path(text), old.as_bytes()).unwrap();
        }
    }

    fn path(text: &str) -> RecordPath {
        RecordPath::parse(text).unwrap()
    }

    fn value(number: u32) -> Value {
        BTreeMap::from([("number".to_owned(), number)])
    }

    fn load(records: &Records, text: &str) -> Result<Option<u32>> {
        Ok(records.load::<Value>(&path(text))?.map(|value| value["number"]))
    }

    #[track_caller]
    fn refused<T>(result: Result<T>, named: &str) {
        let error = result.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
        assert!(error.message().contains(named), "{error}");
        assert!(error.suggested_remedy().unwrap().contains("evsfs check"), "{error:?}");
    }

    #[test]
    fn a_value_reads_back_and_another_root_key_refuses_it() {
        let rig = Rig::new();
        let records = rig.open();
        assert_eq!(load(&records, "a.toml").unwrap(), None);
        records.save(&path("a.toml"), &value(1)).unwrap();
        for records in [records, rig.open()] {
            assert_eq!(load(&records, "a.toml").unwrap(), Some(1));
        }
        let other = Rig { root: Secret::random().unwrap(), ..rig };
        // Its ledger is not genuine, so it is as if there were none, and no record is genuine.
        assert_eq!(load(&other.open(), "a.toml").unwrap_err().kind(), ErrorKind::Integrity);
    }

    #[test]
    fn a_document_for_elsewhere_is_opened_by_its_path_and_root_key_only() {
        let rig = Rig::new();
        let document = rig.open().seal(&path("exports/a"), &value(1)).unwrap();
        let unsealed = |rig: &Rig, text| rig.open().unseal::<Value>(&path(text), "x", &document);
        assert_eq!(unsealed(&rig, "exports/a").unwrap(), value(1));
        assert!(unsealed(&rig, "exports/b").is_err());
        assert!(unsealed(&Rig::new(), "exports/a").is_err());
    }

    #[test]
    fn an_older_record_is_refused_by_who_is_running_and_after_a_restart() {
        let rig = Rig::new();
        let records = rig.open();
        records.save(&path("a.toml"), &value(1)).unwrap();
        let older = rig.bytes("a.toml");
        records.save(&path("a.toml"), &value(2)).unwrap();
        let newest = rig.bytes("a.toml");
        rig.store.put(&path("a.toml"), &older).unwrap();
        refused(load(&records, "a.toml"), "a.toml");
        refused(load(&rig.open(), "a.toml"), "a.toml");
        refused(rig.open().verify(&path("a.toml")), "a.toml");
        rig.store.put(&path("a.toml"), &newest).unwrap();
        assert_eq!(load(&rig.open(), "a.toml").unwrap(), Some(2));
    }

    #[test]
    fn a_removed_record_does_not_come_back_and_a_missing_one_is_missed() {
        let rig = Rig::new();
        let records = rig.open();
        records.save(&path("d/a.toml"), &value(1)).unwrap();
        let bytes = rig.bytes("d/a.toml");
        rig.store.remove(&path("d/a.toml")).unwrap();
        for records in [&records, &rig.open()] {
            refused(load(records, "d/a.toml"), "d/a.toml is missing");
            assert_eq!(records.list(&path("d")).unwrap(), ["a.toml"]);
        }
        rig.store.put(&path("d/a.toml"), &bytes).unwrap();
        records.remove(&path("d/a.toml")).unwrap();
        assert_eq!(load(&records, "d/a.toml").unwrap(), None);
        refused(records.verify(&path("d/a.toml")), "d/a.toml is missing");
        rig.store.put(&path("d/a.toml"), &bytes).unwrap();
        refused(load(&rig.open(), "d/a.toml"), "d/a.toml is not known");
    }

    #[test]
    fn a_ledger_that_is_older_or_gone_is_found_by_the_records_saved_since() {
        let rig = Rig::new();
        let records = rig.open();
        records.save(&path("a.toml"), &value(1)).unwrap();
        let older = rig.bytes("ledger");
        records.save(&path("b.toml"), &value(1)).unwrap();
        records.save(&path("a.toml"), &value(2)).unwrap();
        rig.store.replace_log(&path("ledger"), &older).unwrap();
        let records = rig.open();
        refused(load(&records, "a.toml"), "a.toml is not the newest");
        refused(load(&records, "b.toml"), "b.toml is not known");
        for bytes in [&b""[..], b"garbage"] {
            rig.store.replace_log(&path("ledger"), bytes).unwrap();
            refused(rig.try_open(), "ledger");
        }
        rig.store.remove(&path("ledger")).unwrap();
        refused(rig.try_open(), "ledger");
    }

    #[test]
    fn records_from_before_there_was_a_ledger_are_known_to_it_from_the_first_opening() {
        let rig = Rig::new();
        rig.put_old("a.toml", 1);
        rig.put_old("kms/keys/b.toml", 1);
        let records = Records::look_at(rig.store.clone(), rig.key()).unwrap();
        assert_eq!(load(&records, "a.toml").unwrap(), Some(1));
        assert!(rig.store.get(&path("ledger")).unwrap().is_none(), "who looks writes nothing");
        let records = rig.open();
        assert_eq!(load(&records, "kms/keys/b.toml").unwrap(), Some(1));
        rig.put_old("a.toml", 2);
        refused(load(&records, "a.toml"), "a.toml is not the newest");
        rig.put_old("a.toml", 1);
        records.save(&path("a.toml"), &value(3)).unwrap();
        rig.put_old("a.toml", 1);
        refused(load(&rig.open(), "a.toml"), "a.toml is not the newest");
    }

    /// Every state that a crash leaves: after each step of a save and of a removal.
    #[test]
    fn what_a_crash_leaves_is_finished_or_undone_at_the_next_opening() {
        let sealed = |rig: &Rig, number| {
            document::encode(&path("d/a.toml"), &value(number), &rig.key()).unwrap()
        };
        for entered in [false, true] {
            let rig = Rig::new();
            let records = rig.open();
            records.save(&path("d/a.toml"), &value(1)).unwrap();
            let Sealed { bytes, mac } = sealed(&rig, 2);
            rig.store.write_aside(&path("d/a.toml"), &bytes).unwrap();
            if entered {
                records.ledger.enter(Entry::Newest(path("d/a.toml"), mac)).unwrap();
            }
            let looks = Records::look_at(rig.store.clone(), rig.key()).unwrap();
            for records in [looks, rig.open(), rig.open()] {
                let expected = if entered { 2 } else { 1 };
                assert_eq!(load(&records, "d/a.toml").unwrap(), Some(expected));
            }
            assert!(rig.store.survey().unwrap().asides.is_empty());
        }
        for entered in [false, true] {
            let rig = Rig::new();
            let records = rig.open();
            records.save(&path("d/a.toml"), &value(1)).unwrap();
            rig.store.take_aside(&path("d/a.toml")).unwrap().unwrap();
            if entered {
                records.ledger.enter(Entry::Removed(path("d/a.toml"))).unwrap();
            }
            let looks = Records::look_at(rig.store.clone(), rig.key()).unwrap();
            for records in [looks, rig.open(), rig.open()] {
                let expected = (!entered).then_some(1);
                assert_eq!(load(&records, "d/a.toml").unwrap(), expected);
            }
            assert!(rig.store.survey().unwrap().asides.is_empty());
        }
    }

    #[test]
    fn who_only_looks_cannot_write() {
        let rig = Rig::new();
        rig.open().save(&path("a.toml"), &value(1)).unwrap();
        let looks = Records::look_at(rig.store.clone(), rig.key()).unwrap();
        assert!(looks.save(&path("a.toml"), &value(2)).is_err());
        assert!(looks.remove(&path("a.toml")).is_err());
        assert!(looks.append_log(&path("log"), 0, b"x").is_err());
        assert_eq!(load(&looks, "a.toml").unwrap(), Some(1));
    }

    #[test]
    fn accepting_makes_the_genuine_records_the_newest_and_says_which_those_are() {
        let rig = Rig::new();
        let records = rig.open();
        for name in ["a.toml", "b.toml", "c.toml", "d.toml"] {
            records.save(&path(name), &value(1)).unwrap();
        }
        let older = rig.bytes("a.toml");
        records.save(&path("a.toml"), &value(2)).unwrap();
        rig.store.put(&path("a.toml"), &older).unwrap();
        rig.store.remove(&path("b.toml")).unwrap();
        rig.store.put(&path("c.toml"), b"edited").unwrap();
        let changed = Records::accept_all(rig.store.clone(), rig.key()).unwrap();
        assert_eq!(changed, ["a.toml", "b.toml", "c.toml"].map(path));
        let records = rig.open();
        assert_eq!(load(&records, "a.toml").unwrap(), Some(1));
        assert_eq!(load(&records, "b.toml").unwrap(), None);
        refused(load(&records, "c.toml"), "c.toml was edited");
        assert_eq!(load(&records, "d.toml").unwrap(), Some(1));
        rig.store.remove(&path("ledger")).unwrap();
        assert_eq!(Records::accept_all(rig.store.clone(), rig.key()).unwrap().len(), 2);
        assert_eq!(load(&rig.open(), "d.toml").unwrap(), Some(1));
    }

    #[test]
    fn writers_at_the_same_time_all_find_their_records_afterwards() {
        let rig = Rig::new();
        let records = rig.open();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let records = &records;
                scope.spawn(move || {
                    let name = format!("d{writer}/r.toml");
                    for number in 0..50 {
                        records.save(&path(&name), &value(number)).unwrap();
                        assert_eq!(load(records, &name).unwrap(), Some(number));
                    }
                    if writer % 2 == 0 {
                        records.remove(&path(&name)).unwrap();
                    }
                });
            }
        });
        let records = rig.open();
        for writer in 0..8 {
            let found = load(&records, &format!("d{writer}/r.toml")).unwrap();
            assert_eq!(found, (writer % 2 == 1).then_some(49));
        }
    }

    #[test]
    fn a_record_is_known_from_when_it_is_saved_until_it_is_removed() {
        let records = Rig::new().open();
        let (one, other) = (path("keys/one.toml"), path("disks/other.toml"));
        assert!(!records.knows(&one));
        records.save(&one, &value(1)).unwrap();
        records.save(&other, &value(2)).unwrap();
        assert!(records.knows(&one) && records.knows(&other));
        assert_eq!(records.paths().unwrap(), [other.clone(), one.clone()]);
        records.remove(&one).unwrap();
        assert!(!records.knows(&one));
        assert_eq!(records.paths().unwrap(), [other]);
    }

    #[test]
    fn a_tag_is_that_of_all_bytes_in_one_log() {
        let records = Rig::new().open();
        let (log, other) = (path("kms/audit.jsonl"), path("kms/other.jsonl"));
        let tag = records.tag(&log, b"a line");
        assert!(records.has_tag(&log, b"a line", &tag));
        assert!(!records.has_tag(&log, b"a lime", &tag));
        assert!(!records.has_tag(&other, b"a line", &tag));
        assert!(!records.has_tag(&log, b"a line", &tag[..31]));
        assert!(!Rig::new().open().has_tag(&log, b"a line", &tag));
    }
}
