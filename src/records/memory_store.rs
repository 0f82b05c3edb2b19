//! Records in memory, for tests.

use super::store::{MAX_RECORD_BYTES, RECORD_SUFFIX};
use super::{Aside, RecordPath, RecordStore, Survey};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::sync::Mutex;
use std::collections::BTreeMap;

/// A store that lasts as long as it is held. Share it in an `Arc` to see what a second opening of
/// the same state would see.
#[derive(Debug, Default)]
pub struct MemoryStore {
    // Both are changed by few; where both locks are held, `records` was taken first.
    records: Mutex<BTreeMap<RecordPath, Vec<u8>>>,
    asides: Mutex<BTreeMap<String, (RecordPath, Vec<u8>)>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    fn lay_aside(&self, path: &RecordPath, bytes: Vec<u8>) -> Aside {
        let token = uuid::Uuid::new_v4().to_string();
        self.asides.lock().insert(token.clone(), (path.clone(), bytes));
        Aside { path: path.clone(), token }
    }
}

impl RecordStore for MemoryStore {
    fn get(&self, path: &RecordPath) -> Result<Option<Vec<u8>>> {
        Ok(self.records.lock().get(path).cloned())
    }

    fn put(&self, path: &RecordPath, bytes: &[u8]) -> Result<()> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(Error::new(ErrorKind::Invalid, format!("record {path} is too large")));
        }
        self.records.lock().insert(path.clone(), bytes.to_vec());
        Ok(())
    }

    fn write_aside(&self, path: &RecordPath, bytes: &[u8]) -> Result<Aside> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(Error::new(ErrorKind::Invalid, format!("record {path} is too large")));
        }
        Ok(self.lay_aside(path, bytes.to_vec()))
    }

    fn take_aside(&self, path: &RecordPath) -> Result<Option<Aside>> {
        let taken = self.records.lock().remove(path);
        Ok(taken.map(|bytes| self.lay_aside(path, bytes)))
    }

    fn put_in_place(&self, aside: &Aside) -> Result<()> {
        let mut records = self.records.lock();
        if let Some((path, bytes)) = self.asides.lock().remove(&aside.token) {
            records.insert(path, bytes);
        }
        Ok(())
    }

    fn drop_aside(&self, aside: &Aside) -> Result<()> {
        self.asides.lock().retain(|_, (path, _)| *path != aside.path);
        Ok(())
    }

    fn read_aside(&self, aside: &Aside) -> Result<Option<Vec<u8>>> {
        Ok(self.asides.lock().get(&aside.token).map(|(_, bytes)| bytes.clone()))
    }

    fn survey(&self) -> Result<Survey> {
        let records = self.records.lock();
        let asides = self.asides.lock();
        let aside = |(token, (path, _)): (&String, &(RecordPath, Vec<u8>))| Aside {
            path: path.clone(),
            token: token.clone(),
        };
        Ok(Survey {
            records: records
                .keys()
                .filter(|path| path.as_str().ends_with(RECORD_SUFFIX))
                .cloned()
                .collect(),
            asides: asides.iter().map(aside).collect(),
        })
    }

    fn remove(&self, path: &RecordPath) -> Result<()> {
        self.records.lock().remove(path);
        Ok(())
    }

    fn list(&self, dir: &RecordPath) -> Result<Vec<String>> {
        let records = self.records.lock();
        let mut names: Vec<String> = records
            .keys()
            .filter_map(|path| path.as_str().strip_prefix(dir.as_str())?.strip_prefix('/'))
            .filter_map(|below| below.split('/').next())
            .map(str::to_owned)
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn append_log(&self, path: &RecordPath, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut records = self.records.lock();
        let log = records.entry(path.clone()).or_default();
        log.resize(usize::try_from(offset).unwrap_or(usize::MAX), 0);
        log.extend_from_slice(bytes);
        Ok(())
    }

    fn replace_log(&self, path: &RecordPath, bytes: &[u8]) -> Result<()> {
        self.records.lock().insert(path.clone(), bytes.to_vec());
        Ok(())
    }

    fn read_log(&self, path: &RecordPath, offset: u64, len: usize) -> Result<Vec<u8>> {
        let records = self.records.lock();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = records.get(path).and_then(|log| log.get(offset..)).unwrap_or_default();
        Ok(rest[..rest.len().min(len)].to_vec())
    }

    fn log_len(&self, path: &RecordPath) -> Result<u64> {
        Ok(self.records.lock().get(path).map_or(0, |log| log.len() as u64))
    }

    fn place(&self, path: &RecordPath) -> String {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryStore;

    #[test]
    fn memory_store_does_what_every_store_must() {
        super::super::store::suite::run(&MemoryStore::new());
    }
}
