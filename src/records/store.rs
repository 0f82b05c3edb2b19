//! What a place for records must be able to do.

use super::RecordPath;
use crate::error::Result;

/// The largest record, in bytes. A reader refuses more before it allocates anything.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;

/// A place for small documents, each replaced as a whole.
///
/// It moves bytes and promises atomicity and durability; what the bytes mean and whether they are
/// genuine is the business of [`super::Records`], which also decides what becomes of bytes that lie
/// aside, see [`Aside`].
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

    /// Makes bytes durable aside of a record that they are to replace. The record is as it was.
    ///
    /// # Errors
    /// As for [`RecordStore::put`]; nothing lies aside then, or what nobody knows of.
    fn write_aside(&self, path: &RecordPath, bytes: &[u8]) -> Result<Aside>;

    /// Takes a record out of its place, durably, and keeps its bytes aside; `None` when there is
    /// none.
    ///
    /// # Errors
    /// `io`.
    fn take_aside(&self, path: &RecordPath) -> Result<Option<Aside>>;

    /// Makes bytes that lie aside the record, in place of the one before, if any. Loss of power
    /// after it may leave them aside.
    ///
    /// # Errors
    /// `io`; both are as they were.
    fn put_in_place(&self, aside: &Aside) -> Result<()>;

    /// Removes bytes that lie aside, durably, and all others that lie aside of the same record.
    ///
    /// # Errors
    /// `io`.
    fn drop_aside(&self, aside: &Aside) -> Result<()>;

    /// Bytes that lie aside; nothing when they do not.
    ///
    /// # Errors
    /// As for [`RecordStore::get`].
    fn read_aside(&self, aside: &Aside) -> Result<Option<Vec<u8>>>;

    /// All there is.
    ///
    /// # Errors
    /// `io`; `integrity` for a directory that is none of ours.
    fn survey(&self) -> Result<Survey>;

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

    /// Puts a log in place of the one before, if any, as [`RecordStore::put`] does a record, but of
    /// any length.
    ///
    /// # Errors
    /// `io`, `no-space`; the old log is there then, or the new one.
    fn replace_log(&self, path: &RecordPath, bytes: &[u8]) -> Result<()>;

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

/// Bytes of a record that are not in its place: they are to be the record, or were until it was
/// removed. A crash may leave them there; whether they are the record is then decided by
/// [`super::Records::open`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The record.
    pub path: RecordPath,
    /// What the store finds the bytes by.
    pub token: String,
}

/// What a store holds.
#[derive(Debug, Default)]
pub struct Survey {
    /// All records, sorted.
    pub records: Vec<RecordPath>,
    /// All that lies aside.
    pub asides: Vec<Aside>,
}

/// How the name of a record ends, where it lies beside what is none.
pub(super) const RECORD_SUFFIX: &str = ".toml";

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
        bytes_aside_are_no_record_until_they_are_put_in_place(store);
    }

    fn bytes_aside_are_no_record_until_they_are_put_in_place(store: &dyn RecordStore) {
        let record = path("servers/a/r.toml");
        let written = store.write_aside(&record, b"one").unwrap();
        assert_eq!(store.get(&record).unwrap(), None);
        assert_eq!(store.read_aside(&written).unwrap().unwrap(), b"one");
        assert_eq!(store.survey().unwrap().asides, std::slice::from_ref(&written));
        store.put_in_place(&written).unwrap();
        assert_eq!(store.get(&record).unwrap().unwrap(), b"one");
        assert_eq!(store.read_aside(&written).unwrap(), None);

        let second = store.write_aside(&record, b"two").unwrap();
        store.drop_aside(&second).unwrap();
        assert_eq!(store.get(&record).unwrap().unwrap(), b"one");

        let taken = store.take_aside(&record).unwrap().unwrap();
        assert_eq!(store.get(&record).unwrap(), None);
        assert!(store.survey().unwrap().records.iter().all(|found| *found != record));
        store.put_in_place(&taken).unwrap();
        assert_eq!(store.get(&record).unwrap().unwrap(), b"one");
        let taken = store.take_aside(&record).unwrap().unwrap();
        store.drop_aside(&taken).unwrap();
        assert!(store.survey().unwrap().asides.is_empty());
        assert!(store.list(&path("servers")).unwrap().is_empty());
        assert_eq!(store.take_aside(&record).unwrap(), None);
        assert!(store.write_aside(&record, &vec![b'x'; MAX_RECORD_BYTES + 1]).is_err());
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
        store.replace_log(&log, &[b'y'; super::MAX_RECORD_BYTES + 1]).unwrap();
        assert_eq!(store.read_log(&log, super::MAX_RECORD_BYTES as u64, 3).unwrap(), b"y");
        store.append_log(&log, 3, b"x").unwrap();
        assert_eq!(store.read_log(&log, 0, 99).unwrap(), b"yyyx");
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
