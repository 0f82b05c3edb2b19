//! A state directory with a past: how it is, and how it was before the last things that happened.

use crate::kernel::kernel_under_test;
use evsfs::auth::{Authority, Caller, Project};
use evsfs::config::{CacheMode, Config};
use evsfs::crypto::Secret;
use evsfs::daemon::{CheckMode, check};
use evsfs::disk::Access;
use evsfs::error::Result;
use evsfs::id::{Alias, Description, JobId, Name, Uid};
use evsfs::kms::{Hsm, Kms, Origin, SoftHsm, Upload};
use evsfs::records::{DirStore, Records};
use evsfs::service::{
    AgencyCommand, Command, DefaultEncryptionCommand, DetachMode, DiskCommand, JobCommand,
    KeyCommand, NewDisk, NewKeyRequest, NoKernelCache, Parts, Reply, Service, Settings,
};
use evsfs::sys::ManualClock;
use evsfs::units::{ByteLen, ByteOffset, SectorSize};
use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub const ROOT: Caller = Caller::new(Uid::ROOT);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Written at the start of each disk.
pub const WRITTEN: usize = 8192;

/// Files by their paths in the state directory.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// The state directory.
pub struct World {
    directory: TempDir,
    pub clock: Arc<ManualClock>,
    /// As it is.
    pub now: Tree,
    /// As it was.
    pub earlier: Tree,
}

/// What runs on it.
pub struct Running {
    pub service: Arc<Service>,
    pub kms: Arc<Kms>,
    pub records: Records,
}

impl World {
    /// Keys in all states and disks of all kinds, all of whose records have changed since `earlier`;
    /// a key and a disk are gone since.
    pub fn new() -> World {
        let directory = match Path::new("/dev/shm").is_dir() {
            true => tempfile::tempdir_in("/dev/shm").unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let (now, earlier) = (Tree::new(), Tree::new());
        let mut world = World { directory, clock, now, earlier };
        let state = world.state();
        for made in ["hsm", "kms/keys", "disks"] {
            private_directory(&state.join(made));
        }
        SoftHsm::initialise(&state.join("hsm/root.key"), &state.join("hsm")).unwrap();
        let running = world.start().unwrap();
        running.begin_life();
        world.earlier = world.tree();
        running.go_on(&world.clock);
        running.service.close_all();
        drop(running);
        // A start of its own writes what every start writes.
        world.start().unwrap().service.close_all();
        world.now = world.tree();
        world
    }

    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// All that a daemon does from its start to its mount.
    pub fn start(&self) -> Result<Running> {
        let hsm = Arc::new(self.hsm()?);
        let store = Arc::new(DirStore::open(&self.state())?);
        let records = Records::open(store, hsm.record_key()?)?;
        let kms = Arc::new(Kms::open(records.clone(), hsm, self.clock.clone())?);
        let shared = Arc::new(records.clone());
        let service = Service::new(Parts {
            settings: Settings {
                mountpoint: "/mnt".into(),
                state_dir: self.state(),
                backing_dirs: Vec::new(),
                region: "local".to_owned(),
                project: "default".to_owned(),
                encrypt_by_default: true,
                default_key: Alias::evs_default(),
                default_sector_size: SectorSize::S4096,
                reattach: true,
                jobs: 2,
                direct_backing: false,
                passthrough: false,
                cache: CacheMode::Writeback,
                kernel: kernel_under_test(),
            },
            authority: Authority::new(Uid::ROOT, &[]),
            project: Project::load(shared.clone())?,
            kms: kms.clone(),
            records: shared,
            clock: self.clock.clone(),
            kernel: Arc::new(NoKernelCache),
        });
        service.load()?;
        service.load_jobs()?;
        Ok(Running { service, kms, records })
    }

    pub fn hsm(&self) -> Result<SoftHsm> {
        let hsm = self.state().join("hsm");
        SoftHsm::open(&hsm.join("root.key"), &hsm)
    }

    /// The records as somebody sees them who looks at them now.
    pub fn look(&self) -> Result<Records> {
        Records::look_at(Arc::new(DirStore::open(&self.state())?), self.hsm()?.record_key()?)
    }

    /// What `evsfs check` finds: the files, or why it could not go on.
    pub fn check(&self) -> Vec<String> {
        let state = self.state();
        let text = format!("mountpoint = \"/mnt\"\nstate_dir = \"{}\"\n", state.display());
        let config = Config::parse(&text, Path::new("mount.toml")).unwrap();
        let found = check(&config, None, CheckMode::Look);
        std::fs::remove_file(state.join("lock")).unwrap();
        match found {
            Ok(report) => report
                .findings
                .iter()
                .map(|finding| format!("{}: {}", finding.file.display(), finding.problem))
                .collect(),
            Err(error) => vec![error.explained()],
        }
    }

    /// All files.
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        collect(&self.state(), "", &mut tree);
        tree
    }

    /// Makes the state directory hold exactly these files.
    pub fn put(&self, wanted: &Tree) {
        let found = self.tree();
        for path in found.keys().filter(|path| !wanted.contains_key(*path)) {
            std::fs::remove_file(self.state().join(path)).unwrap();
        }
        for (path, bytes) in wanted.iter().filter(|(path, bytes)| found.get(*path) != Some(bytes)) {
            self.write(path, bytes);
        }
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        use std::io::Write;
        let file = self.state().join(path);
        private_directory(file.parent().unwrap());
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(file).unwrap();
        file.write_all(bytes).unwrap();
    }
}

impl Running {
    fn run(&self, command: Command) -> Reply {
        self.service.execute(ROOT, command).unwrap()
    }

    fn begin_life(&self) {
        self.run(Command::Agency(AgencyCommand::Create));
        for (name, origin) in [
            ("enabled", Origin::Kms),
            ("disabled", Origin::Kms),
            ("pending", Origin::Kms),
            ("rotated", Origin::Kms),
            ("doomed", Origin::Kms),
            ("own", Origin::External),
            ("empty", Origin::External),
        ] {
            let description = Description::default();
            self.run(Command::Key(KeyCommand::Create(NewKeyRequest {
                alias: alias(name),
                origin,
                description,
            })));
        }
        let material = Upload::Plain(Arc::new(Secret::random().unwrap()));
        self.run(Command::Key(KeyCommand::Import(alias("own"), material, None)));
        for name in ["enabled", "disabled", "pending", "rotated", "doomed", "own"] {
            self.disk(name, Some(name));
        }
        self.disk("default", Some(Alias::DEFAULT));
        for name in ["plain", "plain-too", "gone"] {
            self.disk(name, None);
        }
    }

    fn go_on(&self, clock: &ManualClock) {
        for _ in 0..2 {
            let Reply::Started(job) = self.run(Command::Disk(DiskCommand::RewrapAll(None))) else {
                panic!("that begins a job")
            };
            while !self.shows_done(job.job) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let described = Description::parse("described since").unwrap();
        for key in [Alias::DEFAULT, "enabled", "disabled", "pending", "rotated", "own", "empty"] {
            self.run(Command::Key(KeyCommand::Describe(alias(key), described.clone())));
        }
        self.run(Command::Key(KeyCommand::Disable(alias("disabled"))));
        self.run(Command::Key(KeyCommand::ScheduleDeletion(alias("pending"), 30)));
        self.run(Command::Key(KeyCommand::ScheduleDeletion(alias("doomed"), 7)));
        self.run(Command::Key(KeyCommand::Rotate(alias("rotated"))));
        self.disk("rotated-since", Some("rotated"));
        self.run(Command::DefaultEncryption(DefaultEncryptionCommand::Set(Some(alias("enabled")))));
        for name in ["enabled", "plain"] {
            self.run(Command::Disk(DiskCommand::Extend(self::name(name), ByteLen::new(2 << 20))));
        }
        for name in
            ["disabled", "pending", "rotated", "doomed", "own", "default", "plain-too", "gone"]
        {
            self.run(Command::Disk(DiskCommand::Detach(self::name(name), DetachMode::WhenIdle)));
        }
        self.run(Command::Disk(DiskCommand::Delete(name("gone"))));
        clock.advance(8 * DAY);
        assert_eq!(self.kms.destroy_due().unwrap().len(), 1);
    }

    fn shows_done(&self, job: JobId) -> bool {
        match self.run(Command::Job(JobCommand::Show(job))) {
            Reply::Job(job) => {
                assert_ne!(job.state, "failed", "{job:?}");
                job.state == "done"
            }
            other => panic!("{other:?} is no job"),
        }
    }

    /// An attached disk with content of its own.
    fn disk(&self, disk: &str, key: Option<&str>) {
        let request = NewDisk {
            name: name(disk),
            size: Some(ByteLen::MIB),
            from: None,
            limit: None,
            encrypted: Some(key.is_some()),
            key: key.map(alias),
            sector_size: None,
            backing: None,
            overwrite: false,
        };
        self.run(Command::Disk(DiskCommand::Create(request)));
        self.run(Command::Disk(DiskCommand::Attach(name(disk), Access::ReadWrite)));
        let attachment = self.service.attachment(&name(disk)).unwrap();
        attachment.disk().write_at(ByteOffset::ZERO, &content_of(disk)).unwrap();
        attachment.disk().flush().unwrap();
    }
}

/// What is written to a disk of this name.
pub fn content_of(disk: &str) -> Vec<u8> {
    format!("this is the disk {disk} and no other; ")
        .into_bytes()
        .into_iter()
        .cycle()
        .take(WRITTEN)
        .collect()
}

pub fn alias(text: &str) -> Alias {
    Alias::parse(text).unwrap()
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn private_directory(path: &Path) {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).unwrap();
}

fn collect(directory: &Path, above: &str, tree: &mut Tree) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{above}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{path}/"), tree);
        } else {
            tree.insert(path, std::fs::read(entry.path()).unwrap());
        }
    }
}
