//! The project's master keys: their records, and a copy of them in memory.

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
/// Lock order: `one_change`, then `keys`. Readers take `keys` only, which is never held during I/O.
pub(super) struct KeyRing {
    records: Records,
    keys: RwLock<BTreeMap<KeyId, Key>>,
    one_change: Mutex<()>,
}

/// The right to change the ring, held by one verb at a time from looking to writing.
pub(super) struct Change<'ring> {
    ring: &'ring KeyRing,
    _alone: MutexGuard<'ring, ()>,
}

impl KeyRing {
    /// Reads all keys.
    ///
    /// # Errors
    /// `integrity` naming the record that was edited, or that contradicts itself or another one.
    pub fn open(records: Records) -> Result<Self> {
        let mut keys = BTreeMap::new();
        for name in records.list(&directory()?)? {
            let path = directory()?.join(&name)?;
            let wrong = |why: &str| {
                let place = records.place(&path);
                Error::new(ErrorKind::Integrity, format!("key record {place} {why}"))
                    .remedy(format!("restore {place} from a backup, then: evsfs check"))
            };
            let Some(key) = records.load::<Key>(&path)? else { continue };
            if path != path_of(key.id)? {
                return Err(wrong("is named after another key"));
            }
            if let Some(why) = key.contradiction() {
                return Err(wrong(why));
            }
            if keys.values().any(|other: &Key| other.alias == key.alias) {
                return Err(wrong("has the alias of another key"));
            }
            keys.insert(key.id, key);
        }
        Ok(KeyRing { records, keys: RwLock::new(keys), one_change: Mutex::new(()) })
    }

    /// The key of this id.
    pub fn get(&self, id: KeyId) -> Option<Key> {
        self.keys.read().get(&id).cloned()
    }

    /// The key of this alias.
    ///
    /// # Errors
    /// `not-found` with KMS.0207.
    pub fn find(&self, alias: &Alias) -> Result<Key> {
        self.keys.read().values().find(|key| key.alias == *alias).cloned().ok_or_else(|| {
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
    /// `exists` with KMS.1104; `quota` with KMS.1105.
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
    /// `exists` with KMS.1104.
    pub fn check_free(&self, alias: &Alias) -> Result<()> {
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
        self.ring.records.save(&path_of(key.id)?, &key)?;
        self.ring.keys.write().insert(key.id, key.clone());
        Ok(key)
    }

    /// Removes a key. The record goes first: when that fails, the key is still here.
    ///
    /// # Errors
    /// What the store reports.
    pub fn remove(&self, id: KeyId) -> Result<()> {
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
