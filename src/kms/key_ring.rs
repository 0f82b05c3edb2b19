//! The project's master keys: their records, and a copy of them in memory.

use super::damaged_key::DamagedKey;
use super::key::Key;
use crate::error::Code;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::Alias;
use crate::id::KeyId;
use crate::records::RecordPath;
use crate::records::Records;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::RwLock;
use std::collections::BTreeMap;

/// Keys a project may have besides the default key, whatever their state (RULES K4).
pub(super) const QUOTA: usize = 100;

pub(super) const DIRECTORY: &str = "kms/keys";
const SUFFIX: &str = ".toml";

/// All keys.
///
/// Lock order: `one_change`, then `writing`, then `keys`. Readers take `keys` only, which is never
/// held during I/O.
pub(super) struct KeyRing {
    records: Records,
    keys: RwLock<BTreeMap<KeyId, Key>>,
    /// Those that were refused when the ring was opened.
    damaged: Vec<DamagedKey>,
    one_change: Mutex<()>,
    /// Held from before a record is written until `keys` says the same.
    writing: Mutex<()>,
}

/// The right to change the ring, held by one verb at a time from looking to writing.
pub(super) struct Change<'ring> {
    ring: &'ring KeyRing,
    _alone: MutexGuard<'ring, ()>,
}

impl KeyRing {
    /// Reads all keys. One whose record was edited, deleted or put back as it was earlier, or
    /// contradicts itself or another one, is left out and remembered as damaged.
    ///
    /// # Errors
    /// What the store reports.
    pub fn open(records: Records) -> Result<Self> {
        let (mut keys, mut damaged) = (BTreeMap::new(), Vec::new());
        for name in records.list(&directory()?)? {
            let path = directory()?.join(&name)?;
            match KeyRing::read(&records, &path, &keys) {
                Ok(Some(key)) => drop(keys.insert(key.id, key)),
                Ok(None) => {}
                Err(error) if DamagedKey::is_damage(&error) => {
                    log::error!(
                        "event=key-damaged file={} error=\"{error}\"",
                        records.place(&path)
                    );
                    let id = name.strip_suffix(SUFFIX).and_then(|id| KeyId::parse(id).ok());
                    damaged.push(DamagedKey::new(id, records.place(&path), &error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(KeyRing {
            records,
            keys: RwLock::new(keys),
            damaged,
            one_change: Mutex::new(()),
            writing: Mutex::new(()),
        })
    }

    fn read(
        records: &Records,
        path: &RecordPath,
        others: &BTreeMap<KeyId, Key>,
    ) -> Result<Option<Key>> {
        let wrong = |why: &str| {
            let place = records.place(path);
            Err(Error::new(ErrorKind::Integrity, format!("key record {place} {why}"))
                .remedy(format!("restore {place} from a backup, then: evsfs check")))
        };
        let Some(key) = records.load::<Key>(path)? else { return Ok(None) };
        if *path != path_of(key.id)? {
            return wrong("is named after another key");
        }
        if let Some(why) = key.contradiction() {
            return wrong(why);
        }
        if others.values().any(|other| other.alias == key.alias) {
            return wrong("has the alias of another key");
        }
        Ok(Some(key))
    }

    /// The keys that were refused when the ring was opened.
    pub fn damaged(&self) -> &[DamagedKey] {
        &self.damaged
    }

    /// Refuses when any key is damaged.
    ///
    /// # Errors
    /// `integrity` naming the record.
    pub fn refuse_damage(&self) -> Result<()> {
        self.damaged.first().map_or(Ok(()), |key| Err(key.refusal()))
    }

    /// The key of this id, which somebody depends on.
    ///
    /// # Errors
    /// `key-gone` with KMS.0207; `integrity` when it is damaged.
    pub fn require(&self, id: KeyId) -> Result<Key> {
        self.get(id).ok_or_else(|| match self.damaged.iter().find(|key| key.id == Some(id)) {
            Some(damaged) => damaged.refusal(),
            None => Key::gone(format!("key {id}")),
        })
    }

    /// Reads a key's record again before the key is used: it must be the one that is known here.
    ///
    /// # Errors
    /// `integrity` naming the record when somebody else has changed it; what the store reports.
    pub fn check_record(&self, id: KeyId) -> Result<()> {
        let path = path_of(id)?;
        let Err(error) = self.records.verify(&path) else { return Ok(()) };
        if !DamagedKey::is_damage(&error) {
            return Err(error);
        }
        // A change that was under way looks like that too.
        let _nothing_is_written = self.writing.lock();
        match self.get(id) {
            Some(_) => self.records.verify(&path),
            None => Ok(()),
        }
    }

    /// The key of this id.
    pub fn get(&self, id: KeyId) -> Option<Key> {
        self.keys.read().get(&id).cloned()
    }

    /// The key of this alias.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `integrity` for the id of a damaged key, whose alias nobody knows.
    pub fn find(&self, alias: &Alias) -> Result<Key> {
        let found = self.keys.read().values().find(|key| key.alias == *alias).cloned();
        found.ok_or_else(|| {
            let is_it =
                |key: &&DamagedKey| key.id.is_some_and(|id| id.to_string() == alias.as_str());
            if let Some(damaged) = self.damaged.iter().find(is_it) {
                return damaged.refusal();
            }
            Error::new(ErrorKind::NotFound, format!("there is no key \"{alias}\""))
                .code(Code::KMS_0207)
                .remedy("evsfs key list")
        })
    }

    /// All keys by alias, the default key first.
    pub fn all(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.keys.read().values().cloned().collect();
        keys.sort_by(|a, b| {
            (!a.alias.is_default(), &a.alias).cmp(&(!b.alias.is_default(), &b.alias))
        });
        keys
    }

    /// Waits for other verbs to finish theirs.
    pub fn change(&self) -> Change<'_> {
        Change { ring: self, _alone: self.one_change.lock() }
    }
}

impl Change<'_> {
    /// Checks that a key of this alias may be added.
    ///
    /// # Errors
    /// `exists` with KMS.1104; `quota` with KMS.1105; `integrity` while there is a damaged key, whose
    /// alias nobody knows.
    pub fn check_room_for(&self, alias: &Alias) -> Result<()> {
        self.check_free(alias)?;
        let counted = self.ring.keys.read().values().filter(|key| !key.alias.is_default()).count();
        if !alias.is_default() && counted >= QUOTA {
            return Err(Error::new(
                ErrorKind::Quota,
                format!("key \"{alias}\" would be more than the {QUOTA} a project may have"),
            )
            .code(Code::KMS_1105)
            .remedy("evsfs key schedule-deletion ALIAS --days 7, for a key no disk needs"));
        }
        Ok(())
    }

    /// Checks that no key has this alias.
    ///
    /// # Errors
    /// `exists` with KMS.1104; `integrity` while there is a damaged key, which may have it.
    pub fn check_free(&self, alias: &Alias) -> Result<()> {
        self.ring.refuse_damage()?;
        if self.ring.keys.read().values().any(|key| key.alias == *alias) {
            return Err(Error::new(
                ErrorKind::Exists,
                format!("there is a key \"{alias}\" already"),
            )
            .code(Code::KMS_1104)
            .remedy(format!("choose another alias, or use that key: evsfs key show {alias}")));
        }
        Ok(())
    }

    /// Adds a key or replaces it. Written first: when that fails, nothing has changed here.
    ///
    /// # Errors
    /// What the store reports.
    pub fn put(&self, key: Key) -> Result<Key> {
        let _writing = self.ring.writing.lock();
        self.ring.records.save(&path_of(key.id)?, &key)?;
        self.ring.keys.write().insert(key.id, key.clone());
        Ok(key)
    }

    /// Removes a key. The record goes first: when that fails, the key is still here.
    ///
    /// # Errors
    /// What the store reports.
    pub fn remove(&self, id: KeyId) -> Result<()> {
        let _writing = self.ring.writing.lock();
        self.ring.records.remove(&path_of(id)?)?;
        self.ring.keys.write().remove(&id);
        Ok(())
    }
}

fn directory() -> Result<RecordPath> {
    RecordPath::parse(DIRECTORY)
}

pub(super) fn path_of(id: KeyId) -> Result<RecordPath> {
    directory()?.join(&format!("{id}{SUFFIX}"))
}
