//! A key service whose store and module can be made to fail, for tests.

use super::audit_entry::{Actor, AuditEvent, NO_DIGEST, OK};
use super::audit_log::{Draft, Place, anchor_path, log_path};
use super::{CmkVersion, Hsm, KeyView, Kms, NewKey, Origin, SoftHsm};
use crate::crypto::Dk;
use crate::crypto::RecordKey;
use crate::crypto::Secret;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::Alias;
use crate::id::Description;
use crate::records::Aside;
use crate::records::MemoryStore;
use crate::records::RecordPath;
use crate::records::RecordStore;
use crate::records::Records;
use crate::records::Survey;
use crate::sync::Mutex;
use crate::sys::ManualClock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A store of which one write to come fails, before it has any effect.
#[derive(Default)]
pub struct FaultyStore {
    inner: MemoryStore,
    writes_until_failure: Mutex<Option<usize>>,
    fails_below: Mutex<Option<&'static str>>,
}

impl FaultyStore {
    pub fn fail_after(&self, writes: Option<usize>) {
        *self.writes_until_failure.lock() = writes;
    }

    /// Lets the next write below this directory fail.
    pub fn fail_below(&self, directory: &'static str) {
        *self.fails_below.lock() = Some(directory);
    }

    /// Whether the failure is still to come.
    pub fn is_armed(&self) -> bool {
        self.writes_until_failure.lock().is_some()
    }

    fn write(&self, path: &RecordPath) -> Result<()> {
        let mut below = self.fails_below.lock();
        if below.is_some_and(|directory| path.as_str().starts_with(directory)) {
            *below = None;
            return Err(Error::new(ErrorKind::NoSpace, "the store is full"));
        }
        let mut left = self.writes_until_failure.lock();
        match *left {
            Some(0) => {
                *left = None;
                Err(Error::new(ErrorKind::NoSpace, "the store is full"))
            }
            Some(writes) => {
                *left = Some(writes - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl RecordStore for FaultyStore {
    fn get(&self, path: &RecordPath) -> Result<Option<Vec<u8>>> {
        self.inner.get(path)
    }

    fn put(&self, path: &RecordPath, bytes: &[u8]) -> Result<()> {
        self.write(path)?;
        self.inner.put(path, bytes)
    }

    fn write_aside(&self, path: &RecordPath, bytes: &[u8]) -> Result<Aside> {
        self.write(path)?;
        self.inner.write_aside(path, bytes)
    }

    fn take_aside(&self, path: &RecordPath) -> Result<Option<Aside>> {
        self.write(path)?;
        self.inner.take_aside(path)
    }

    fn put_in_place(&self, aside: &Aside) -> Result<()> {
        self.write(&aside.path)?;
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

    fn remove(&self, path: &RecordPath) -> Result<()> {
        self.write(path)?;
        self.inner.remove(path)
    }

    fn replace_log(&self, path: &RecordPath, bytes: &[u8]) -> Result<()> {
        self.write(path)?;
        self.inner.replace_log(path, bytes)
    }

    fn list(&self, dir: &RecordPath) -> Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn append_log(&self, path: &RecordPath, offset: u64, bytes: &[u8]) -> Result<()> {
        self.write(path)?;
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

type Meanwhile = Box<dyn FnOnce() + Send>;

/// A module during whose next piece of work something else happens.
pub struct SlowHsm {
    inner: SoftHsm,
    meanwhile: Mutex<Option<Meanwhile>>,
    pub refuses_to_destroy: AtomicBool,
}

impl SlowHsm {
    pub fn meanwhile(&self, happens: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock() = Some(Box::new(happens));
    }

    fn work<T>(&self, result: T) -> T {
        let happens = self.meanwhile.lock().take();
        if let Some(happens) = happens {
            happens();
        }
        result
    }
}

impl Hsm for SlowHsm {
    fn record_key(&self) -> Result<RecordKey> {
        self.inner.record_key()
    }

    fn generate(&self, cmk: CmkVersion) -> Result<()> {
        self.work(self.inner.generate(cmk))
    }

    fn import(&self, cmk: CmkVersion, material: &Secret<32>) -> Result<()> {
        self.work(self.inner.import(cmk, material))
    }

    fn generate_dk_wrapped(&self, cmk: CmkVersion, associated: &[u8]) -> Result<Vec<u8>> {
        self.work(self.inner.generate_dk_wrapped(cmk, associated))
    }

    fn wrap_dk(&self, cmk: CmkVersion, associated: &[u8], dk: &Dk) -> Result<Vec<u8>> {
        self.work(self.inner.wrap_dk(cmk, associated, dk))
    }

    fn unwrap_dk(&self, cmk: CmkVersion, associated: &[u8], wrapped: &[u8]) -> Result<Dk> {
        self.work(self.inner.unwrap_dk(cmk, associated, wrapped))
    }

    fn destroy(&self, cmk: CmkVersion) -> Result<()> {
        if self.refuses_to_destroy.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::KmsUnreachable, "the module does not answer"));
        }
        self.work(self.inner.destroy(cmk))
    }

    fn list(&self) -> Result<Vec<CmkVersion>> {
        self.inner.list()
    }
}

/// A service and all that is around it.
pub struct Fixture {
    _scratch: tempfile::TempDir,
    pub store: Arc<FaultyStore>,
    pub hsm: Arc<SlowHsm>,
    pub clock: Arc<ManualClock>,
    pub kms: Arc<Kms>,
}

impl Fixture {
    pub fn new() -> Fixture {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (root, directory) = (scratch.path().join("root.key"), scratch.path().join("hsm"));
        SoftHsm::initialise(&root, &directory).expect("a fresh module");
        let hsm = Arc::new(SlowHsm {
            inner: SoftHsm::open(&root, &directory).expect("the module opens"),
            meanwhile: Mutex::new(None),
            refuses_to_destroy: AtomicBool::new(false),
        });
        let store = Arc::new(FaultyStore::default());
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        let kms = Arc::new(open(&store, &hsm, &clock).expect("an empty service opens"));
        Fixture { _scratch: scratch, store, hsm, clock, kms }
    }

    /// What a service opened now over the same state would be.
    pub fn reopened(&self) -> Kms {
        self.try_reopen().expect("the state is sound")
    }

    pub fn try_reopen(&self) -> Result<Kms> {
        open(&self.store, &self.hsm, &self.clock)
    }

    /// The records as somebody sees them who looks at them now.
    pub fn records(&self) -> Records {
        let key = self.hsm.record_key().expect("there is memory");
        Records::look_at(self.store.clone(), key).expect("the ledger is sound")
    }

    /// All records and logs there are.
    pub fn snapshot(&self) -> Vec<(RecordPath, Vec<u8>)> {
        let logs = ["ledger", "kms/audit.jsonl"].map(|log| RecordPath::parse(log).expect("a path"));
        let paths = self.store.survey().expect("memory").records.into_iter().chain(logs);
        paths.filter_map(|path| Some((path.clone(), self.store.get(&path).ok()??))).collect()
    }

    /// Puts back what a snapshot holds, and leaves the rest.
    pub fn put_back(&self, snapshot: &[(RecordPath, Vec<u8>)]) {
        for (path, bytes) in snapshot {
            self.store.replace_log(path, bytes).expect("memory");
        }
    }

    pub fn create(&self, text: &str) -> KeyView {
        self.kms.create(new_key(text)).expect("there is room")
    }
}

pub fn new_key(text: &str) -> NewKey {
    NewKey { alias: alias(text), origin: Origin::Kms, description: Description::default() }
}

pub fn alias(text: &str) -> Alias {
    Alias::parse(text).expect("a valid alias")
}

/// A store without records, under a key of its own.
pub fn no_records() -> Records {
    let key = RecordKey::derive(&Secret::random().expect("there is memory")).expect("a key");
    Records::open(Arc::new(MemoryStore::new()), key).expect("an empty store")
}

/// An audit log of so many entries, written at once.
pub fn audit_log_of(entries: usize) -> Records {
    let (records, path) = (no_records(), log_path().expect("a path"));
    let mut place = Place { seq: 0, bytes: 0, digest: NO_DIGEST.to_owned() };
    let mut bytes = Vec::new();
    for _ in 0..entries {
        let draft = Draft {
            time: jiff::Timestamp::UNIX_EPOCH,
            caller: Actor::Daemon,
            event: AuditEvent::CreateKey,
            key: None,
            alias: None,
            disk: None,
            outcome: OK.to_owned(),
            of: None,
        };
        let mut entry = draft.after(&place);
        bytes.extend(entry.seal(&records, &path).expect("an entry"));
        place = Place { seq: entry.seq, bytes: bytes.len() as u64, digest: entry.digest };
    }
    records.append_log(&path, 0, &bytes).expect("memory");
    records.save(&anchor_path().expect("a path"), &place).expect("memory");
    records
}

fn open(store: &Arc<FaultyStore>, hsm: &Arc<SlowHsm>, clock: &Arc<ManualClock>) -> Result<Kms> {
    Kms::open(Records::open(store.clone(), hsm.record_key()?)?, hsm.clone(), clock.clone())
}
