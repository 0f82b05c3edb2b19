//! The real service, in this process: its records and payloads in memory, its clock driven by hand.

use crate::callers::{Who, users};
use crate::command::{Detach, Line, Restart, SLOTS, Verb};
use crate::key_rules::DAY;
use crate::refusal::{shown, told};
use crate::shown::{BackupRow, DiskRow, KeyRow, Shown};
use evsfs::auth::{Authority, Caller, Project};
use evsfs::config::{CacheMode, Config};
use evsfs::crypto::Kernel;
use evsfs::error::{Error, ErrorKind, Refusal, Result};
use evsfs::id::{Alias, Name, Uid};
use evsfs::kms::{Hsm, Kms, SoftHsm};
use evsfs::records::{DirStore, PrivateDir, Records};
use evsfs::service::{
    Attachment, BackupInfo, Command, DiskInfo, Fields, KeyInfo, NoKernelCache, Parts, Reply,
    Service, Settings, StartedJob,
};
use evsfs::sys::{Clock, ManualClock};
use evsfs::units::{ByteOffset, SectorSize};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// When every world begins.
pub const BEGINNING: &str = "2026-01-01T00:00:00Z";

pub struct World {
    scratch: TempDir,
    clock: Arc<ManualClock>,
    /// `None` only while it is restarted.
    service: Option<Arc<Service>>,
}

impl World {
    pub fn new() -> World {
        // Memory where there is some: thousands of walks need no durable files.
        let shared = Path::new("/dev/shm");
        let place = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let scratch = tempfile::Builder::new().prefix("evsfs-walk-").tempdir_in(place).unwrap();
        PrivateDir::open_or_create(&scratch.path().join("state")).unwrap();
        SoftHsm::initialise(&scratch.path().join("root.key"), &scratch.path().join("hsm")).unwrap();
        let clock = Arc::new(ManualClock::at(BEGINNING.parse().unwrap()));
        let mut world = World { scratch, clock, service: None };
        world.start(true);
        world
    }

    fn start(&mut self, reattach: bool) {
        let hsm = self.scratch.path().join("hsm");
        let hsm = Arc::new(SoftHsm::open(&self.scratch.path().join("root.key"), &hsm).unwrap());
        let store = Arc::new(DirStore::open(&self.scratch.path().join("state")).unwrap());
        let records = Records::open(store, hsm.record_key().unwrap()).unwrap();
        let kms = Arc::new(Kms::open(records.clone(), hsm, self.clock.clone()).unwrap());
        let records = Arc::new(records);
        let service = Service::new(Parts {
            settings: Settings {
                mountpoint: "/mnt".into(),
                state_dir: self.scratch.path().join("state"),
                backing_dirs: Vec::new(),
                region: "local".to_owned(),
                project: "default".to_owned(),
                encrypt_by_default: true,
                default_key: Alias::evs_default(),
                default_sector_size: SectorSize::S4096,
                reattach,
                cache: CacheMode::Writeback,
                jobs: 2,
                kernel: Kernel::best(),
                passthrough: false,
                direct_backing: false,
            },
            authority: authority(),
            project: Project::load(records.clone()).unwrap(),
            kms,
            records,
            clock: self.clock.clone(),
            kernel: Arc::new(NoKernelCache),
        });
        service.load().unwrap();
        service.load_jobs().unwrap();
        self.service = Some(service);
    }

    fn service(&self) -> &Service {
        self.service.as_ref().expect("the daemon runs")
    }

    /// Takes a step; what a refusal tells.
    pub fn perform(&mut self, line: &Line) -> Result<(), String> {
        let result = match &line.verb {
            Verb::Pass(days) => {
                self.clock.advance(DAY * *days);
                Ok(())
            }
            Verb::SetBack(days) => {
                self.clock.set_wall(self.clock.now() - DAY * *days);
                Ok(())
            }
            Verb::Restart(restart) => {
                self.restart(*restart);
                Ok(())
            }
            Verb::WhileAhead(days, verb) => {
                let ahead = DAY * *days;
                self.clock.set_wall(self.clock.now() + ahead);
                let result = self.command(line.who, verb);
                self.keep_dates();
                self.clock.set_wall(self.clock.now() - ahead);
                result
            }
            verb => self.command(line.who, verb),
        };
        self.keep_dates();
        result.map_err(|error| {
            assert!(error.kind() == ErrorKind::Invalid || !is_mute(&error), "no remedy: {error:?}");
            let (errno, refusal) = (error.errno(), Refusal::from(&error));
            let exit = refusal.exit_code();
            let shown = shown(&refusal.code, refusal.cause.as_deref(), &refusal.kind);
            told(&shown, errno, exit)
        })
    }

    /// What the daemon does every second.
    fn keep_dates(&self) {
        self.service().keep_dates_of_keys().unwrap();
    }

    fn restart(&mut self, restart: Restart) {
        if !restart.killed {
            self.service().close_all();
        }
        // A killed daemon holds no payload any more.
        let service = self.service.take().unwrap();
        // Who has done a job lets go of the service a moment after it has told of its end.
        wait_until("nothing works for the daemon", || Arc::strong_count(&service) == 1);
        drop(service);
        self.clock.advance(DAY * restart.days);
        self.start(restart.reattach);
    }

    fn command(&mut self, who: Who, verb: &Verb) -> Result<()> {
        if let Verb::Write(name, slot, byte) = verb {
            return self.write(name, *slot, *byte);
        }
        let now = self.clock.now();
        let day = |days: u32| (now + DAY * days).to_string();
        let (op, words) = verb.request(day).expect("time and restarts are no commands");
        let mut fields = Fields::new();
        words.iter().try_for_each(|(word, value)| fields.insert_text(word, value))?;
        let command = Command::from_request(op, fields)?;
        let held = match verb {
            Verb::DiskDetach(name, Detach::Open | Detach::Forced) => {
                self.attachment(name).map(|attachment| attachment.open().unwrap())
            }
            _ => None,
        };
        let done = self.service().execute(caller(who), command);
        if let Ok(Reply::Started(StartedJob { job })) = &done {
            self.see_done(&job.to_string());
        }
        if let (Some(held), Ok(_)) = (held, &done) {
            // RULES D8: the open file is dead, and the data key gone.
            let read = held.disk().read_at(ByteOffset::ZERO, &mut [0; 16]);
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Detached);
            assert!(held.disk().is_revoked() && held.attachment().open().is_err());
        }
        done.map(drop)
    }

    /// What can be refused is refused before a job is made of it: jobs succeed.
    fn see_done(&self, id: &str) {
        wait_until("the job ends", || {
            let mut fields = Fields::new();
            fields.insert_text("id", id).unwrap();
            let show = Command::from_request("job.show", fields).unwrap();
            let Reply::Job(job) = self.service().execute(caller(Who::Root), show).unwrap() else {
                panic!("a job")
            };
            assert!(job.error.is_none(), "{job:?}");
            job.finished.is_some()
        });
    }

    fn attachment(&self, name: &str) -> Option<Arc<Attachment>> {
        self.service().attachment(&Name::parse(name).unwrap())
    }

    fn write(&self, name: &str, slot: usize, byte: u8) -> Result<()> {
        let Some(attachment) = self.attachment(name) else {
            return Err(Error::new(ErrorKind::NotFound, "no such file").remedy("attach the disk"));
        };
        let (offset, len) = SLOTS[slot];
        let written = attachment.disk().write_at(ByteOffset::new(offset), &vec![byte; len])?;
        assert_eq!(written, len);
        Ok(())
    }

    /// What a slot of an attached disk holds: one byte everywhere, `None` behind the disk's end.
    pub fn read(&self, name: &str, slot: usize) -> Result<Option<u8>, String> {
        let attachment = self.attachment(name).ok_or(format!("there is no file {name}"))?;
        let (offset, len) = SLOTS[slot];
        let mut bytes = vec![0xEE; len];
        let read = attachment.disk().read_at(ByteOffset::new(offset), &mut bytes);
        let read = read.map_err(|error| format!("reading {name}: {error}"))?;
        match bytes[..read].first() {
            None => Ok(None),
            Some(first) if read == len && bytes.iter().all(|byte| byte == first) => {
                Ok(Some(*first))
            }
            Some(_) => Err(format!("slot {slot} of {name} is torn")),
        }
    }

    /// The names of the files in the mount.
    pub fn files(&self) -> Vec<String> {
        let all = self.service().attachments();
        all.iter().map(|attachment| attachment.name().to_string()).collect()
    }

    /// Whether the log of all that was asked for is whole (RULES K11).
    pub fn audit_is_whole(&self) -> bool {
        match self.ask(Who::Root, "audit.verify").unwrap() {
            Reply::AuditReport(report) => report.fault.is_none(),
            other => panic!("{other:?} is no report"),
        }
    }

    /// What a caller sees; `None` when it may not look.
    pub fn shown_to(&self, who: Who) -> Option<Shown> {
        let disks = match self.ask(who, "disk.list") {
            Ok(Reply::Disks(disks)) => disks,
            Ok(other) => panic!("{other:?} are no disks"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Denied);
                return None;
            }
        };
        let Reply::Keys(keys) = self.ask(who, "key.list").unwrap() else { panic!("keys") };
        let Reply::Backups(backups) = self.ask(who, "backup.list").unwrap() else {
            panic!("backups")
        };
        let Reply::Agency(agency) = self.ask(who, "agency.show").unwrap() else { panic!("agency") };
        let default = self.ask(who, "default-encryption.show").unwrap();
        let Reply::DefaultEncryption(default) = default else { panic!("default encryption") };
        let is_there = |alias: &String| {
            alias == Alias::DEFAULT || keys.iter().any(|key| key.alias.as_str() == alias)
        };
        let default_encryption = match default.key {
            None => "off".to_owned(),
            Some(alias) if is_there(&alias) => alias,
            Some(_) => "gone".to_owned(),
        };
        Some(Shown {
            agency: agency.present,
            default_encryption,
            disks: disks.into_iter().map(disk_row).collect(),
            backups: backups.into_iter().map(backup_row).collect(),
            keys: keys.into_iter().map(key_row).collect(),
        })
    }

    fn ask(&self, who: Who, op: &str) -> Result<Reply> {
        self.service().execute(caller(who), Command::from_request(op, Fields::new())?)
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.service = None;
    }
}

/// Refusals say what helps.
fn is_mute(error: &Error) -> bool {
    let needs_none = matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Protected);
    error.suggested_remedy().is_none() && !needs_none
}

fn authority() -> Authority {
    let text = format!("mountpoint = '/m'\nstate_dir = '/s'\n{}", users());
    let config = Config::parse(&text, Path::new("/mount.toml")).unwrap();
    Authority::new(Uid::ROOT, &config.users)
}

fn caller(who: Who) -> Caller {
    Caller::new(Uid::new(who.uid()))
}

fn disk_row(disk: DiskInfo) -> DiskRow {
    assert_eq!(disk.attached, disk.status == "in-use");
    assert_eq!(disk.encrypted, disk.key.is_some());
    let key = disk.key.zip(disk.key_state).zip(disk.key_version).map(|((key, state), version)| {
        let key = if state == "gone" { "gone".to_owned() } else { key };
        (key, state.to_owned(), version)
    });
    DiskRow {
        name: disk.name.to_string(),
        status: disk.status.to_owned(),
        size: disk.size,
        sector_size: disk.sector_size,
        owner: disk.owner.get(),
        key,
        read_only: disk.read_only,
        error: disk.error.map(|reason| code_of(&reason)),
    }
}

fn backup_row(backup: BackupInfo) -> BackupRow {
    assert_eq!(backup.encrypted, backup.key.is_some());
    let key = backup.key.zip(backup.key_state).map(|(key, state)| {
        let key = if state == "gone" { "gone".to_owned() } else { key };
        (key, state.to_owned())
    });
    BackupRow {
        name: backup.name.to_string(),
        disk: backup.disk.map(|disk| disk.to_string()).unwrap_or_default(),
        status: backup.status.to_owned(),
        size: backup.size,
        owner: backup.owner.get(),
        key,
    }
}

/// The code at the end of a reason.
pub fn code_of(reason: &str) -> String {
    let code = reason.rsplit_once('(').and_then(|(_, code)| code.strip_suffix(')'));
    code.unwrap_or_else(|| panic!("no code in {reason:?}")).to_owned()
}

fn key_row(key: KeyInfo) -> KeyRow {
    let names = |names: Vec<Name>| names.iter().map(ToString::to_string).collect();
    KeyRow {
        alias: key.alias.to_string(),
        state: key.state.to_owned(),
        origin: key.origin.to_owned(),
        description: key.description,
        deletion_date: key.deletion_date,
        expiry_date: key.expiry_date,
        rotation: key.rotation_date.map(|date| (key.rotation, date)),
        versions: key.versions.iter().map(|version| version.disks).collect(),
        disks: names(key.disks),
        attached_disks: names(key.attached_disks),
        foreign_disks: key.foreign_disks,
        backups: names(key.backups),
        foreign_backups: key.foreign_backups,
    }
}
