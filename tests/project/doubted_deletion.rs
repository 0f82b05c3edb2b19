//! RULES K10 through the service: a deletion date that passed by a clock that was set forward.

use crate::support::{Mount, Needs, trial};
use evsfs::auth::{Authority, Caller, Project};
use evsfs::config::CacheMode;
use evsfs::disk::Access;
use evsfs::error::ErrorKind;
use evsfs::id::{Alias, Description, Name, Uid};
use evsfs::kms::{Hsm, Kms, Origin, SoftHsm};
use evsfs::records::{DirStore, Records};
use evsfs::service::{
    AgencyCommand, Command, DiskCommand, KeyCommand, KeyInfo, NewDisk, NewKeyRequest,
    NoKernelCache, Parts, Reply, Service, Settings,
};
use evsfs::sys::{Clock, ManualClock};
use evsfs::units::{ByteLen, SectorSize};
use jiff::Timestamp;
use libtest_mimic::Trial;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const ROOT: Caller = Caller::new(Uid::ROOT);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_deletion_under_a_doubted_clock_waits_a_day_and_says_so",
            Needs::Nothing,
            a_deletion_under_a_doubted_clock_waits_a_day_and_says_so,
        ),
        trial(
            "the_administrator_may_confirm_a_deletion_that_waits",
            Needs::Nothing,
            the_administrator_may_confirm_a_deletion_that_waits,
        ),
        trial(
            "confirming_a_deletion_that_does_not_wait_is_refused",
            Needs::Fuse,
            confirming_a_deletion_that_does_not_wait_is_refused,
        ),
    ]
}

/// A service whose clock stands still until it is moved.
struct Rig {
    _directory: TempDir,
    clock: Arc<ManualClock>,
    service: Arc<Service>,
}

impl Rig {
    /// With a disk `db` under a key `finance` that is to be destroyed in 7 days.
    fn scheduled() -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("state");
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        for made in ["hsm", "kms/keys", "disks"] {
            private.create(state_dir.join(made)).unwrap();
        }
        let root_key = state_dir.join("hsm/root.key");
        SoftHsm::initialise(&root_key, &state_dir.join("hsm")).unwrap();
        let hsm = Arc::new(SoftHsm::open(&root_key, &state_dir.join("hsm")).unwrap());
        let store = Arc::new(DirStore::open(&state_dir).unwrap());
        let records = Records::open(store, hsm.record_key().unwrap()).unwrap();
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let kms = Kms::open(records.clone(), hsm, clock.clone()).unwrap();
        let records = Arc::new(records);
        let service = Service::new(Parts {
            settings: Settings {
                mountpoint: "/mnt".into(),
                state_dir,
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
            authority: Authority::new(Uid::ROOT, &[]),
            project: Project::load(records.clone()).unwrap(),
            kms: Arc::new(kms),
            records,
            clock: clock.clone(),
            kernel: Arc::new(NoKernelCache),
        });
        let rig = Rig { _directory: directory, clock, service };
        rig.run(AgencyCommand::Create);
        rig.run(KeyCommand::Create(NewKeyRequest {
            alias: alias(),
            origin: Origin::Kms,
            description: Description::default(),
        }));
        rig.run(DiskCommand::Create(NewDisk {
            name: Name::parse("db").unwrap(),
            size: Some(ByteLen::MIB),
            from: None,
            limit: None,
            encrypted: Some(true),
            key: Some(alias()),
            sector_size: None,
            backing: None,
            overwrite: false,
        }));
        rig.run(KeyCommand::ScheduleDeletion(alias(), 7));
        rig
    }

    fn run(&self, command: impl Into<Command>) -> Reply {
        self.service.execute(ROOT, command).unwrap()
    }

    fn key(&self) -> KeyInfo {
        match self.run(KeyCommand::Show(alias())) {
            Reply::Key(key) => key,
            other => panic!("{other:?} is no key"),
        }
    }

    fn set_forward(&self, by: Duration) {
        self.clock.set_wall(self.clock.now() + by);
    }

    fn is_destroyed(&self) -> bool {
        self.service.keep_dates_of_keys().unwrap();
        match self.service.execute(ROOT, KeyCommand::Show(alias())) {
            Ok(_) => false,
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }
}

fn alias() -> Alias {
    Alias::parse("finance").unwrap()
}

fn a_deletion_under_a_doubted_clock_waits_a_day_and_says_so() {
    let rig = Rig::scheduled();
    assert_eq!(rig.key().deletion_waits_until, None);
    rig.set_forward(8 * DAY);
    assert!(!rig.is_destroyed());
    let key = rig.key();
    assert_eq!(key.state, "pending-deletion");
    let until: Timestamp = key.deletion_waits_until.unwrap().parse().unwrap();
    assert_eq!(until, rig.clock.now() + DAY);
    // The key is unusable meanwhile.
    let attach = DiskCommand::Attach(Name::parse("db").unwrap(), Access::ReadWrite);
    let refusal = rig.service.execute(ROOT, attach).unwrap_err();
    assert_eq!(refusal.kind().name(), "key-unusable");
    rig.clock.advance(DAY - Duration::from_secs(1));
    assert!(!rig.is_destroyed());
    rig.clock.advance(Duration::from_secs(1));
    assert!(rig.is_destroyed());
}

fn the_administrator_may_confirm_a_deletion_that_waits() {
    let rig = Rig::scheduled();
    let confirm = || rig.service.execute(ROOT, KeyCommand::ConfirmDeletion(alias()));
    assert_eq!(confirm().unwrap_err().kind(), ErrorKind::WrongStatus);
    rig.set_forward(8 * DAY);
    let nobody = Caller::new(Uid::new(4001));
    let refusal = rig.service.execute(nobody, KeyCommand::ConfirmDeletion(alias())).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::Denied);
    confirm().unwrap();
    assert!(rig.is_destroyed());
    assert_eq!(confirm().unwrap_err().kind(), ErrorKind::NotFound);
    match rig.run(DiskCommand::Show(Name::parse("db").unwrap())) {
        Reply::Disk(disk) => assert_eq!(disk.key_state, Some("gone")),
        other => panic!("{other:?} is no disk"),
    }
}

fn confirming_a_deletion_that_does_not_wait_is_refused() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let confirm = ["key", "confirm-deletion", "finance", "--yes"];
    let refusal = mount.evsfs(&confirm).refused(4);
    assert!(refusal.contains("key \"finance\" is enabled, not pending-deletion"), "{refusal}");
    mount.evsfs(&["key", "schedule-deletion", "finance", "--days", "7", "--yes"]).ok();
    let refusal = mount.evsfs(&confirm).refused(4);
    assert!(refusal.contains("the deletion date of key \"finance\" has not come"), "{refusal}");
    // Without --yes and a terminal nothing is asked of the daemon.
    mount.evsfs(&["key", "confirm-deletion", "finance"]).refused(2);
    for text in ["\n", "finance2\n", "finance\n"] {
        assert!(mount.write_control("keys/finance/confirm-deletion", text).is_err(), "{text:?}");
    }
    assert!(mount.read_control("error").contains("has not come"));
    assert_eq!(mount.read_control("keys/finance/deletion-waits-until"), "");
}
