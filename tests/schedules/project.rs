//! The real service: what callers do at the same time.

use crate::hold;
use evsfs::auth::{Authority, Caller, Project};
use evsfs::config::CacheMode;
use evsfs::crypto::Kernel;
use evsfs::error::Result;
use evsfs::id::{Alias, Name, Uid};
use evsfs::kms::{Hsm, Kms, SoftHsm};
use evsfs::records::{DirStore, PrivateDir, Records};
use evsfs::service::{Command, Fields, NoKernelCache, Parts, Reply, Service, Settings};
use evsfs::sync::thread;
use evsfs::sys::{Clock, ManualClock};
use evsfs::units::{ByteOffset, SectorSize};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const SECTOR: usize = 512;
/// How often the others get a chance to end.
const PATIENCE: usize = 20_000;

/// A project with an agency, a key `a` and an encrypted disk `db`.
struct World {
    service: Arc<Service>,
    _scratch: TempDir,
}

impl World {
    fn new() -> World {
        let shared = Path::new("/dev/shm");
        let place = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let scratch = tempfile::Builder::new().prefix("evsfs-order-").tempdir_in(place).unwrap();
        let state = scratch.path().join("state");
        PrivateDir::open_or_create(&state).unwrap();
        let (root_key, hsm) = (scratch.path().join("root.key"), scratch.path().join("hsm"));
        SoftHsm::initialise(&root_key, &hsm).unwrap();
        let hsm = Arc::new(SoftHsm::open(&root_key, &hsm).unwrap());
        let records =
            Records::open(Arc::new(DirStore::open(&state).unwrap()), hsm.record_key().unwrap());
        let records = records.unwrap();
        let clock: Arc<dyn Clock> =
            Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let kms = Arc::new(Kms::open(records.clone(), hsm, clock.clone()).unwrap());
        let records = Arc::new(records);
        let service = Service::new(Parts {
            settings: Settings {
                mountpoint: "/mnt".into(),
                state_dir: state,
                backing_dirs: Vec::new(),
                region: "local".to_owned(),
                project: "default".to_owned(),
                encrypt_by_default: true,
                default_key: Alias::evs_default(),
                default_sector_size: SectorSize::S512,
                reattach: true,
                cache: CacheMode::Writeback,
                jobs: 2,
                kernel: Kernel::Portable,
                passthrough: false,
                direct_backing: false,
            },
            authority: Authority::new(Uid::ROOT, &[]),
            project: Project::load(records.clone()).unwrap(),
            kms,
            records,
            clock,
            kernel: Arc::new(NoKernelCache),
        });
        service.load().unwrap();
        service.load_jobs().unwrap();
        let world = World { service, _scratch: scratch };
        world.must("agency.create", &[]);
        world.must("key.create", &[("alias", "a")]);
        world.must("disk.create", &[("name", "db"), ("size", "1M"), ("key", "a")]);
        world
    }

    fn ask(&self, op: &str, words: &[(&str, &str)]) -> Result<Reply> {
        let mut fields = Fields::new();
        words.iter().try_for_each(|(word, value)| fields.insert_text(word, value))?;
        self.service.execute(Caller::new(Uid::ROOT), Command::from_request(op, fields)?)
    }

    fn must(&self, op: &str, words: &[(&str, &str)]) -> Reply {
        self.ask(op, words).unwrap_or_else(|error| panic!("{op} {words:?}: {error:?}"))
    }

    /// Asks for what others may stand in the way of: with one of these codes, or none.
    fn may(&self, op: &str, words: &[(&str, &str)], codes: &[&str]) -> bool {
        match self.ask(op, words) {
            Ok(_) => true,
            Err(error) => {
                let code = error.documented_code().map(|code| code.as_str().to_owned());
                let code = code.unwrap_or_else(|| format!("{:?}", error.kind()));
                assert!(codes.contains(&code.as_str()), "{op} {words:?} gave {code}: {error:?}");
                false
            }
        }
    }

    fn attach(&self) -> bool {
        self.may("disk.attach", DB, &["EVS.1046", "EVS.2040"])
    }

    fn detach(&self) -> bool {
        self.may("disk.detach", DB, &["EVS.1046"])
    }

    /// Fills the first sector, if the disk is there; whether that was acknowledged.
    fn write(&self, byte: u8) -> bool {
        let Some(attachment) = self.service.attachment(&Name::parse("db").unwrap()) else {
            return false;
        };
        let Ok(open) = attachment.open() else { return false };
        open.disk().write_at(ByteOffset::ZERO, &[byte; SECTOR]).is_ok_and(|count| count == SECTOR)
    }

    /// The one byte that the first sector of an attached disk holds everywhere.
    fn byte(&self, name: &str) -> u8 {
        let attachment = self.service.attachment(&Name::parse(name).unwrap()).expect("attached");
        let mut bytes = [0xEE; SECTOR];
        let open = attachment.open().unwrap();
        assert_eq!(open.disk().read_at(ByteOffset::ZERO, &mut bytes).unwrap(), SECTOR);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "torn, or of another key");
        bytes[0]
    }

    fn status(&self) -> &'static str {
        match self.must("disk.show", DB) {
            Reply::Disk(disk) => disk.status,
            other => panic!("{other:?}"),
        }
    }

    /// All jobs, once they have ended: kind and whether it succeeded.
    fn jobs(&self) -> Vec<(&'static str, bool)> {
        let mut jobs = Vec::new();
        for _ in 0..PATIENCE {
            let Reply::Jobs(found) = self.must("job.list", &[]) else { panic!("jobs") };
            if found.iter().all(|job| job.finished.is_some()) {
                return found.iter().map(|job| (job.kind, job.error.is_none())).collect();
            }
            jobs = found;
            thread::yield_now();
        }
        panic!("jobs that never end: {jobs:?}");
    }

    /// Whatever happened: the disk can be attached and holds one of these bytes; nothing works on it
    /// any more, and the log of it all is whole.
    fn must_be_sound(&self, possible: &[u8]) {
        self.jobs();
        self.may("key.enable", KEY, &["KMS.1201"]);
        match self.status() {
            "in-use" => {}
            "available" => assert!(self.attach(), "cannot be attached any more"),
            other => panic!("the disk is {other} for ever"),
        }
        let byte = self.byte("db");
        assert!(possible.contains(&byte), "{byte:#x} was never written, or was lost");
        assert!(self.detach(), "something holds it");
        assert_eq!(self.status(), "available");
        let Reply::AuditReport(report) = self.must("audit.verify", &[]) else { panic!("a report") };
        assert!(report.fault.is_none(), "{report:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.service.stop_jobs();
            self.service.close_all();
        }
    }
}

const DB: &[(&str, &str)] = &[("name", "db")];
const KEY: &[(&str, &str)] = &[("alias", "a")];

type Work = Box<dyn FnOnce(&World) + Send>;

fn together(world: &Arc<World>, works: Vec<Work>) {
    let threads: Vec<_> = works
        .into_iter()
        .map(|work| {
            let world = Arc::clone(world);
            thread::spawn(move || work(&world))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// RULES D5 to D8: attach, I/O and detach, while the key is disabled and enabled again, and while
/// somebody else detaches by force.
#[test]
fn attaching_writing_and_detaching_beside_a_key_that_is_disabled() {
    hold("attach, I/O, detach and disable", 1000, || {
        let world = Arc::new(World::new());
        let wrote = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = wrote.clone();
        together(
            &world,
            vec![
                Box::new(move |world| {
                    if world.attach() && world.write(0xA1) {
                        noted.lock().unwrap().push(0xA1);
                    }
                    world.detach();
                }),
                Box::new(|world| {
                    world.may("key.disable", KEY, &[]);
                    world.may("key.enable", KEY, &[]);
                }),
                Box::new(|world| {
                    let words = [DB, &[("force", "yes")]].concat();
                    world.may("disk.detach", &words, &["EVS.1046"]);
                    world.attach();
                }),
            ],
        );
        let acknowledged = !wrote.lock().unwrap().is_empty();
        world.must_be_sound(if acknowledged { &[0xA1] } else { &[0, 0xA1] });
    });
}

/// RULES P3: a backup of a disk that is written to, detached and attached again, perhaps by force,
/// holds the disk as it was once, or is not there.
#[test]
fn a_backup_beside_writing_and_detaching() {
    hold("backup, I/O, detach", 1000, || {
        let world = Arc::new(World::new());
        world.must("disk.attach", DB);
        assert!(world.write(0xA1));
        together(
            &world,
            vec![
                Box::new(|world| {
                    let words = [("disk", "db"), ("name", "monday")];
                    world.may("backup.create", &words, &["EVS.1046"]);
                }),
                Box::new(|world| {
                    world.write(0xB2);
                    world.detach();
                }),
                Box::new(|world| {
                    let words = [DB, &[("force", "yes")]].concat();
                    world.may("disk.detach", &words, &["EVS.1046"]);
                    world.attach();
                }),
            ],
        );
        let jobs = world.jobs();
        let made = jobs.iter().any(|(kind, succeeded)| *kind == "backup" && *succeeded);
        let Reply::Backups(backups) = world.must("backup.list", &[]) else { panic!("backups") };
        assert_eq!(backups.len(), usize::from(made), "{jobs:?}");
        if made {
            world.must("disk.create", &[("name", "again"), ("from", "backup:monday")]);
            assert!(world.jobs().iter().all(|(kind, done)| *kind == "backup" || *done));
            world.must("disk.attach", &[("name", "again")]);
            assert!([0xA1, 0xB2].contains(&world.byte("again")));
            world.must("disk.detach", &[("name", "again")]);
        }
        world.must_be_sound(&[0xA1, 0xB2]);
    });
}

/// RULES D1: a disk is deleted, extended, rewrapped and attached at the same time: one after the
/// other, in some order.
#[test]
fn verbs_on_one_disk_take_turns() {
    hold("verbs on one disk", 1000, || {
        let world = Arc::new(World::new());
        world.must("key.rotate", KEY);
        let gone = ["EVS.1046", "EVS.1002"];
        together(
            &world,
            vec![
                Box::new(move |world| {
                    let words = [DB, &[("size", "2M")]].concat();
                    world.may("disk.extend", &words, &gone);
                }),
                Box::new(move |world| {
                    world.may("disk.rewrap", DB, &gone);
                }),
                Box::new(move |world| {
                    world.may("disk.attach", DB, &gone);
                    world.may("disk.detach", DB, &gone);
                }),
                Box::new(move |world| {
                    world.may("disk.delete", DB, &gone);
                }),
            ],
        );
        let Reply::Disks(disks) = world.must("disk.list", &[]) else { panic!("disks") };
        match disks.as_slice() {
            [] => assert!(world.service.attachments().is_empty()),
            _ => world.must_be_sound(&[0]),
        }
    });
}
