//! The records of a state directory, read and written as values.

use super::document;
use super::document::Unchecked;
use super::{RecordPath, RecordStore};
use crate::crypto::RecordKey;
use crate::error::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A store seen through the key that authenticates its records. Clones share both.
///
/// The types of records carry `#[serde(deny_unknown_fields)]`, and fields added later carry
/// `#[serde(default)]`, so that older records are read and unknown ones are not half understood.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn RecordStore>,
    key: Arc<RecordKey>,
}

impl Records {
    /// The records in `store`, authenticated under `key`.
    pub fn new(store: Arc<dyn RecordStore>, key: RecordKey) -> Self {
        Records { store, key: Arc::new(key) }
    }

    /// Reads a record, or `None` when there is none.
    ///
    /// # Errors
    /// `integrity` naming the file when it was edited, cut, moved, or lacks the form of a `T`;
    /// `unsupported` when a newer version of this program wrote it; what the store reports.
    pub fn load<T: DeserializeOwned>(&self, path: &RecordPath) -> Result<Option<T>> {
        let Some(bytes) = self.store.get(path)? else { return Ok(None) };
        let place = self.store.place(path);
        Unchecked { path, place: &place, bytes: &bytes }.authenticate(&self.key)?.parse().map(Some)
    }

    /// Writes a record in place of the one before, if any. After `Ok` it survives loss of power.
    ///
    /// # Errors
    /// What the store reports; the old record is then still there, or the new one, whole.
    pub fn save<T: Serialize>(&self, path: &RecordPath, value: &T) -> Result<()> {
        self.store.put(path, &document::encode(path, value, &self.key)?)
    }

    /// The sealed document of a value, for a place that is no store, such as an exported file. The
    /// path is bound into it: one that no store uses keeps the two from being taken for each other.
    ///
    /// # Errors
    /// `internal` for a value that cannot be a record.
    pub fn seal<T: Serialize>(&self, path: &RecordPath, value: &T) -> Result<Vec<u8>> {
        document::encode(path, value, &self.key)
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
    /// `integrity` naming the file when it was edited; what the stores report.
    pub fn copy_to(&self, to: &Records, path: &RecordPath) -> Result<()> {
        let Some(bytes) = self.store.get(path)? else { return Ok(()) };
        let place = self.store.place(path);
        let unchecked = Unchecked { path, place: &place, bytes: &bytes };
        let sealed = unchecked.authenticate(&self.key)?.sealed_again(path, &to.key);
        to.store.put(path, &sealed)
    }

    /// Removes a record; one that is not there is no error.
    ///
    /// # Errors
    /// What the store reports.
    pub fn remove(&self, path: &RecordPath) -> Result<()> {
        self.store.remove(path)
    }

    /// The names directly under `dir`, sorted.
    ///
    /// # Errors
    /// What the store reports.
    pub fn list(&self, dir: &RecordPath) -> Result<Vec<String>> {
        self.store.list(dir)
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

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;
    use crate::crypto::Secret;
    use crate::error::ErrorKind;

    #[test]
    fn a_value_reads_back_and_another_root_key_refuses_it() {
        let (store, path) =
            (Arc::new(MemoryStore::new()), RecordPath::parse("project.toml").unwrap());
        let under =
            |root: &Secret<32>| Records::new(store.clone(), RecordKey::derive(root).unwrap());
        let root = Secret::random().unwrap();
        let value =
            std::collections::BTreeMap::from([("project".to_owned(), "default".to_owned())]);
        assert!(under(&root).load::<toml::Table>(&path).unwrap().is_none());
        under(&root).save(&path, &value).unwrap();
        assert_eq!(
            under(&root).load::<std::collections::BTreeMap<String, String>>(&path).unwrap(),
            Some(value.clone())
        );
        let document = under(&root).seal(&path, &value).unwrap();
        assert_eq!(document, store.get(&path).unwrap().unwrap());
        let unsealed = |records: Records, path: &str| {
            let path = RecordPath::parse(path).unwrap();
            records.unseal::<std::collections::BTreeMap<String, String>>(&path, "x", &document)
        };
        assert_eq!(unsealed(under(&root), "project.toml").unwrap(), value);
        assert!(unsealed(under(&root), "other.toml").is_err());
        assert!(unsealed(under(&Secret::random().unwrap()), "project.toml").is_err());
        let other = under(&Secret::random().unwrap());
        assert_eq!(other.load::<toml::Table>(&path).unwrap_err().kind(), ErrorKind::Integrity);
    }
}
