//! What a place for records must be able to do.

use super::RecordPath;
use crate::error::Result;

/// The largest record, in bytes. A reader refuses more before it allocates anything.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;

/// A place for small documents, each replaced as a whole.
///
/// It moves bytes and promises atomicity and durability; what the bytes mean and whether they are
/// genuine is the business of [`super::Records`].
pub trait RecordStore: Send + Sync {
    /// The record's bytes, or `None` when there is no such record.
    ///
    /// # Errors
    /// `io`; `integrity` when what lies there cannot be a record of ours (a link, too large, open
    /// to others).
    fn get(&self, path: &RecordPath) -> Result<Option<Vec<u8>>>;

    /// Puts a record in place of the one before, if any. After `Ok` it survives loss of power;
    /// after an error readers find the old record, also after a restart, if the medium lets it be
    /// put back. After a crash they find either the old record or the new one, never a part. Each
    /// record has one writer at a time.
    ///
    /// # Errors
    /// `io`, `no-space`; `invalid` for more than [`MAX_RECORD_BYTES`].
    fn put(&self, path: &RecordPath, bytes: &[u8]) -> Result<()>;

    /// Removes a record, durably. A record that is not there is no error: a caller that was
    /// interrupted repeats itself.
    ///
    /// # Errors
    /// `io`.
    fn remove(&self, path: &RecordPath) -> Result<()>;

    /// The names directly under `dir`, sorted: of records and of directories that hold some. A
    /// directory that does not exist is empty.
    ///
    /// # Errors
    /// `io`.
    fn list(&self, dir: &RecordPath) -> Result<Vec<String>>;

    /// Puts `bytes` at `offset` of a log, a file that grows and is no record; what lay there and
    /// after it is gone. After `Ok` they survive loss of power; after an error, as after a crash,
    /// what lies before `offset` is as it was and what comes after it is anything.
    ///
    /// # Errors
    /// `io`, `no-space`.
    fn append_log(&self, path: &RecordPath, offset: u64, bytes: &[u8]) -> Result<()>;

    /// At most `len` bytes of a log at `offset`, fewer only at its end; nothing when there is none.
    ///
    /// # Errors
    /// `io`; `integrity` as for [`RecordStore::get`].
    fn read_log(&self, path: &RecordPath, offset: u64, len: usize) -> Result<Vec<u8>>;

    /// The length of a log; 0 when there is none.
    ///
    /// # Errors
    /// As for [`RecordStore::read_log`].
    fn log_len(&self, path: &RecordPath) -> Result<u64>;

    /// Where the record lies, as a message should show it.
    fn place(&self, path: &RecordPath) -> String;
}

#[cfg(test)]
pub(super) mod suite {
    //! What every store must do; each implementation runs it.

    use super::{MAX_RECORD_BYTES, RecordPath, RecordStore};

    fn path(text: &str) -> RecordPath {
        RecordPath::parse(text).unwrap()
    }

    pub fn run(store: &dyn RecordStore) {
        what_was_put_is_got_until_replaced_or_removed(store);
        listing_names_records_and_the_directories_that_hold_them(store);
        records_larger_than_the_limit_are_refused(store);
        a_log_grows_and_its_end_is_overwritten(store);
    }

    fn a_log_grows_and_its_end_is_overwritten(store: &dyn RecordStore) {
        let log = path("kms/log.jsonl");
        assert_eq!(store.log_len(&log).unwrap(), 0);
        assert!(store.read_log(&log, 0, 10).unwrap().is_empty());
        store.append_log(&log, 0, b"one two").unwrap();
        store.append_log(&log, 4, b"2").unwrap();
        assert_eq!(
            (store.log_len(&log).unwrap(), store.read_log(&log, 0, 99).unwrap()),
            (5, b"one 2".to_vec())
        );
        store.append_log(&log, 5, &[b'x'; super::MAX_RECORD_BYTES]).unwrap();
        assert_eq!(store.read_log(&log, 3, 3).unwrap(), b" 2x");
        assert!(store.read_log(&log, 1 << 40, 3).unwrap().is_empty());
        store.remove(&log).unwrap();
    }

    fn what_was_put_is_got_until_replaced_or_removed(store: &dyn RecordStore) {
        let record = path("kms/keys/a.toml");
        assert_eq!(store.get(&record).unwrap(), None);
        store.remove(&record).unwrap();
        store.put(&record, b"one").unwrap();
        assert_eq!(store.get(&record).unwrap().unwrap(), b"one");
        store.put(&record, b"").unwrap();
        assert_eq!(store.get(&record).unwrap().unwrap(), b"");
        store.remove(&record).unwrap();
        assert_eq!(store.get(&record).unwrap(), None);
        assert!(store.place(&record).ends_with("kms/keys/a.toml"));
    }

    fn listing_names_records_and_the_directories_that_hold_them(store: &dyn RecordStore) {
        assert!(store.list(&path("disks")).unwrap().is_empty());
        for text in ["disks/b/disk.toml", "disks/a/disk.toml", "disks/note.toml"] {
            store.put(&path(text), b"x").unwrap();
        }
        assert_eq!(store.list(&path("disks")).unwrap(), ["a", "b", "note.toml"]);
        assert_eq!(store.list(&path("disks/a")).unwrap(), ["disk.toml"]);
        store.remove(&path("disks/a/disk.toml")).unwrap();
        assert_eq!(store.list(&path("disks")).unwrap(), ["b", "note.toml"]);
        assert!(store.list(&path("disks/a")).unwrap().is_empty());
    }

    fn records_larger_than_the_limit_are_refused(store: &dyn RecordStore) {
        let record = path("large.toml");
        store.put(&record, &vec![b'x'; MAX_RECORD_BYTES]).unwrap();
        assert!(store.put(&record, &vec![b'x'; MAX_RECORD_BYTES + 1]).is_err());
        assert_eq!(store.get(&record).unwrap().unwrap().len(), MAX_RECORD_BYTES);
    }
}
