//! A mount put together from the library, over a software HSM that can be told to misbehave.

use evsfs::auth::{Authority, Project};
use evsfs::config::CacheMode;
use evsfs::crypto::{Dk, RecordKey, Secret};
use evsfs::error::{Error, ErrorKind, Result};
use evsfs::fs::Namespace;
use evsfs::fuse::{
    Channels, FuseKernelCache, Lazily, MountOptions, MountedSession, Visitors, mount, unmount,
};
use evsfs::id::{Alias, Uid};
use evsfs::kms::{CmkVersion, Hsm, Kms, SoftHsm};
use evsfs::records::{DirStore, Records};
use evsfs::service::{Parts, Service, Settings};
use evsfs::sync::{Condvar, Mutex};
use evsfs::sys::SystemClock;
use evsfs::units::SectorSize;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// What the HSM does when a data key is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Obliging,
    Panicking,
    Dead,
    /// Waits until the mood changes.
    Waiting,
}

/// A software HSM with moods.
pub struct UnrulyHsm {
    inner: SoftHsm,
    mood: Mutex<Mood>,
    changed: Condvar,
}

impl UnrulyHsm {
    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock() = mood;
        self.changed.notify_all();
    }
}

/// Makes the HSM obliging again when dropped, so that a failed expectation does not leave threads
/// waiting for ever.
pub struct Relenting<'h>(pub &'h UnrulyHsm);

impl Drop for Relenting<'_> {
    fn drop(&mut self) {
        self.0.set_mood(Mood::Obliging);
    }
}

impl Hsm for UnrulyHsm {
    fn record_key(&self) -> Result<RecordKey> {
        self.inner.record_key()
    }

    fn generate(&self, cmk: CmkVersion) -> Result<()> {
        self.inner.generate(cmk)
    }

    fn import(&self, cmk: CmkVersion, material: &Secret<32>) -> Result<()> {
        self.inner.import(cmk, material)
    }

    fn generate_dk_wrapped(&self, cmk: CmkVersion, associated: &[u8]) -> Result<Vec<u8>> {
        self.inner.generate_dk_wrapped(cmk, associated)
    }

    fn wrap_dk(&self, cmk: CmkVersion, associated: &[u8], dk: &Dk) -> Result<Vec<u8>> {
        self.inner.wrap_dk(cmk, associated, dk)
    }

    fn unwrap_dk(&self, cmk: CmkVersion, associated: &[u8], wrapped: &[u8]) -> Result<Dk> {
        let mut mood = self.mood.lock();
        while *mood == Mood::Waiting {
            self.changed.wait(&mut mood);
        }
        match *mood {
            Mood::Panicking => {
                drop(mood);
                panic!("the HSM lost its temper")
            }
            Mood::Dead => Err(Error::new(ErrorKind::KmsUnreachable, "the HSM does not answer")),
            Mood::Obliging | Mood::Waiting => self.inner.unwrap_dk(cmk, associated, wrapped),
        }
    }

    fn destroy(&self, cmk: CmkVersion) -> Result<()> {
        self.inner.destroy(cmk)
    }

    fn list(&self) -> Result<Vec<CmkVersion>> {
        self.inner.list()
    }
}

/// The mount; unmounted when dropped.
pub struct Rig {
    pub hsm: Arc<UnrulyHsm>,
    directory: TempDir,
    session: Option<MountedSession>,
}

impl Rig {
    pub fn new() -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let (state_dir, mountpoint) =
            (directory.path().join("state"), directory.path().join("mnt"));
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        for made in ["hsm", "kms/keys", "disks"] {
            private.create(state_dir.join(made)).unwrap();
        }
        std::fs::create_dir(&mountpoint).unwrap();
        let root_key = state_dir.join("hsm/root.key");
        SoftHsm::initialise(&root_key, &state_dir.join("hsm")).unwrap();
        let hsm = Arc::new(UnrulyHsm {
            inner: SoftHsm::open(&root_key, &state_dir.join("hsm")).unwrap(),
            mood: Mutex::new(Mood::Obliging),
            changed: Condvar::new(),
        });
        let kernel = Arc::new(FuseKernelCache::default());
        let service = service(&hsm, &state_dir, &mountpoint, kernel.clone());
        service.load().unwrap();
        let source = PathBuf::new();
        let options = MountOptions {
            mountpoint,
            source,
            channels: Channels::OneEach,
            visitors: Visitors::Owner,
            threads: 2,
        };
        let session = mount(Arc::new(Namespace::new(service)), &options).unwrap();
        let session = session.serve(&kernel).unwrap();
        let rig = Rig { hsm, directory, session: Some(session) };
        rig.write(".evs/agency", "create").unwrap();
        rig
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("mnt").join(name)
    }

    /// One write(2) into a control file.
    pub fn write(&self, file: &str, text: &str) -> std::io::Result<()> {
        write_to(&self.path(file), text)
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    /// Makes an encrypted disk.
    pub fn disk(&self, name: &str) {
        self.write(".evs/disks/create", &format!("name={name} size=1M encrypted=yes")).unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.hsm.set_mood(Mood::Obliging);
        let unmounted = unmount(&self.directory.path().join("mnt"), Lazily::Yes);
        if let (Ok(()), Some(session)) = (unmounted, self.session.take()) {
            let _ = session.wait();
        }
    }
}

pub fn write_to(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

fn service(
    hsm: &Arc<UnrulyHsm>,
    state_dir: &Path,
    mountpoint: &Path,
    kernel: Arc<FuseKernelCache>,
) -> Arc<Service> {
    let store = Arc::new(DirStore::open(state_dir).unwrap());
    let records = Records::open(store, hsm.record_key().unwrap()).unwrap();
    let clock = Arc::new(SystemClock);
    let kms = Kms::open(records.clone(), hsm.clone(), clock.clone()).unwrap();
    let shared = Arc::new(records);
    Service::new(Parts {
        settings: Settings {
            mountpoint: mountpoint.to_owned(),
            state_dir: state_dir.to_owned(),
            backing_dirs: Vec::new(),
            region: "local".to_owned(),
            project: "default".to_owned(),
            encrypt_by_default: true,
            default_key: Alias::evs_default(),
            default_sector_size: SectorSize::S4096,
            reattach: true,
            jobs: 2,
            cache: CacheMode::Writeback,
            kernel: crate::support::kernel_under_test(),
            passthrough: false,
            direct_backing: false,
        },
        authority: Authority::new(Uid::new(rustix::process::geteuid().as_raw()), &[]),
        project: Project::load(shared.clone()).unwrap(),
        kms: Arc::new(kms),
        records: shared,
        clock,
        kernel,
    })
}
