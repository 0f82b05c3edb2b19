//! The key management service against RULES section 2.
//!
//! First every cell of the table of RULES K1, then random walks of the real service beside a model
//! that is only that table and a clock, then what an attacker and a wrong clock try.

#![allow(clippy::unwrap_used)]

use evsfs::crypto::WrappedDk;
use evsfs::error::{Code, ErrorKind, Result};
use evsfs::id::{Alias, Description, DiskId, KeyId};
use evsfs::kms::{Hsm, KeyState, KeyView, Kms, NewKey, Origin, SoftHsm};
use evsfs::records::{DirStore, MemoryStore, RecordPath, RecordStore, Records};
use evsfs::sys::{Clock, ManualClock};
use evsfs::units::SectorSize;
use jiff::Timestamp;
use proptest::prelude::{Strategy, any, prop_oneof};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const SECTOR: SectorSize = SectorSize::S4096;

/// A service that can be closed and opened again.
struct World {
    store: Arc<dyn RecordStore>,
    scratch: tempfile::TempDir,
    clock: Arc<ManualClock>,
    kms: Kms,
}

impl World {
    fn new() -> World {
        // Memory where there is some: thousands of walks need no durable files.
        let scratch = match Path::new("/dev/shm").is_dir() {
            true => tempfile::tempdir_in("/dev/shm").unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        World::with(Arc::new(MemoryStore::new()), scratch)
    }

    fn on_files() -> World {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("state");
        evsfs::records::PrivateDir::open_or_create(&state).unwrap();
        World::with(Arc::new(DirStore::open(&state).unwrap()), scratch)
    }

    fn with(store: Arc<dyn RecordStore>, scratch: tempfile::TempDir) -> World {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        SoftHsm::initialise(&scratch.path().join("root.key"), &scratch.path().join("hsm")).unwrap();
        let kms = open(&store, scratch.path(), &clock).unwrap();
        World { store, scratch, clock, kms }
    }

    fn reopen(&mut self) {
        self.kms = self.try_open().unwrap();
    }

    fn try_open(&self) -> Result<Kms> {
        open(&self.store, self.scratch.path(), &self.clock)
    }

    fn create(&self, text: &str, origin: Origin) -> KeyView {
        let new = NewKey { alias: alias(text), origin, description: Description::default() };
        self.kms.create(new).unwrap()
    }

    fn step_wall(&self, forward: Duration) {
        self.clock.set_wall(self.clock.now() + forward);
    }
}

fn open(store: &Arc<dyn RecordStore>, scratch: &Path, clock: &Arc<ManualClock>) -> Result<Kms> {
    let hsm = Arc::new(SoftHsm::open(&scratch.join("root.key"), &scratch.join("hsm"))?);
    let records = Records::new(Arc::clone(store), hsm.record_key()?);
    Kms::open(records, hsm, clock.clone())
}

fn alias(text: &str) -> Alias {
    Alias::parse(text).unwrap()
}

fn code<T>(result: Result<T>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.documented_code().map_or("-", Code::as_str),
    }
}

// ---------------------------------------------------------------------------------------------
// The table.

/// The rows of a state: how to come there.
const STATES: [&str; 6] =
    ["pending-import", "enabled", "disabled", "pending-deletion", "pending, empty", "default"];

/// RULES K1 and K2, cell by cell: the code of a refusal, or the state the key is in afterwards.
const TABLE: &[(&str, [&str; 6])] = &[
    ("enable", ["KMS.1201", "KMS.1201", "enabled", "KMS.1201", "KMS.1201", "KMS.1201"]),
    ("disable", ["KMS.1301", "disabled", "KMS.1301", "KMS.1301", "KMS.1301", "KMS.0211"]),
    (
        "schedule 7",
        [
            "pending-deletion",
            "pending-deletion",
            "pending-deletion",
            "KMS.1402",
            "KMS.1402",
            "KMS.0211",
        ],
    ),
    (
        "schedule 1096",
        [
            "pending-deletion",
            "pending-deletion",
            "pending-deletion",
            "KMS.1402",
            "KMS.1402",
            "KMS.0211",
        ],
    ),
    ("schedule 6", ["KMS.1401", "KMS.1401", "KMS.1401", "KMS.1402", "KMS.1402", "KMS.0211"]),
    ("schedule 1097", ["KMS.1401", "KMS.1401", "KMS.1401", "KMS.1402", "KMS.1402", "KMS.0211"]),
    ("cancel", ["KMS.1501", "KMS.1501", "KMS.1501", "disabled", "pending-import", "KMS.1501"]),
    ("make", ["KMS.1301", "enabled", "KMS.0209", "KMS.0210", "KMS.0210", "enabled"]),
    ("describe", ["pending-import", "enabled", "disabled", "KMS.0210", "KMS.0210", "enabled"]),
    ("rename", ["pending-import", "enabled", "disabled", "KMS.0210", "KMS.0210", "KMS.0211"]),
    ("rename evs", ["KMS.1101", "KMS.1101", "KMS.1101", "KMS.0210", "KMS.0210", "KMS.0211"]),
    ("rename taken", ["KMS.1104", "KMS.1104", "KMS.1104", "KMS.0210", "KMS.0210", "KMS.0211"]),
    ("confirm", ["KMS.1501", "KMS.1501", "KMS.1501", "-", "-", "KMS.0211"]),
];

fn brought_to(world: &World, state: &str) -> KeyView {
    let subject = alias("subject");
    let origin = match state {
        "pending-import" | "pending, empty" => Origin::External,
        _ => Origin::Kms,
    };
    match state {
        "default" => return world.kms.ensure_default().unwrap(),
        _ => world.create("subject", origin),
    };
    match state {
        "disabled" => world.kms.disable(&subject).unwrap(),
        "pending-deletion" | "pending, empty" => world.kms.schedule_deletion(&subject, 30).unwrap(),
        _ => world.kms.show(&subject).unwrap(),
    }
}

fn perform(world: &World, operation: &str, key: &KeyView) -> Result<()> {
    let (kms, of) = (&world.kms, &key.alias);
    let done = match operation.split_once(' ').unwrap_or((operation, "")) {
        ("enable", _) => kms.enable(of),
        ("disable", _) => kms.disable(of),
        ("schedule", days) => kms.schedule_deletion(of, days.parse().unwrap()),
        ("cancel", _) => kms.cancel_deletion(of),
        ("make", _) => {
            return kms.generate_dk(key.id, DiskId::random(), SECTOR).map(|_| ());
        }
        ("describe", _) => kms.describe(of, Description::parse("ledgers").unwrap()),
        ("rename", "evs") => kms.set_alias(of, alias("evs/mine")),
        ("rename", "taken") => kms.set_alias(of, alias("other")),
        ("rename", _) => kms.set_alias(of, alias("renamed")),
        ("confirm", _) => kms.confirm_deletion(of),
        other => panic!("{other:?}"),
    };
    done.map(|_| ())
}

/// RULES K1, K2: every operation in every state, and a refusal changes nothing, in memory or at rest.
#[test]
fn every_cell_of_the_table_holds() {
    for (operation, row) in TABLE {
        for (state, expected) in STATES.iter().zip(row) {
            let mut world = World::new();
            world.create("other", Origin::Kms);
            let before = brought_to(&world, state);
            let result = perform(&world, operation, &before);
            let after = world.kms.by_id(before.id).unwrap();
            match result {
                Ok(()) => assert_eq!(after.state.name(), *expected, "{operation} in {state}"),
                Err(error) => {
                    let shown = error.documented_code().map_or("-", Code::as_str);
                    assert_eq!(shown, *expected, "{operation} in {state}: {error}");
                    assert!(error.suggested_remedy().is_some(), "{operation} in {state}");
                    assert_eq!(after, before, "{operation} in {state}");
                }
            }
            let dated = after.deletion_date.is_some();
            assert_eq!(dated, after.state == KeyState::PendingDeletion);
            world.reopen();
            assert_eq!(world.kms.by_id(before.id).unwrap(), after, "{operation} in {state}");
        }
    }
}

/// RULES K3, K4.
#[test]
fn at_most_100_keys_besides_the_default_and_no_alias_twice() {
    let world = World::new();
    let create = |text: &str| {
        let new = NewKey {
            alias: alias(text),
            origin: Origin::External,
            description: Description::default(),
        };
        world.kms.create(new)
    };
    assert_eq!(code(create("evs/default")), "KMS.1101");
    for number in 0..100 {
        create(&format!("k{number:03}")).unwrap();
    }
    assert_eq!(code(create("k000")), "KMS.1104");
    let error = create("one-more").unwrap_err();
    assert_eq!((error.kind(), code::<()>(Err(error))), (ErrorKind::Quota, "KMS.1105"));
    // Pending keys count; the default key does not.
    world.kms.schedule_deletion(&alias("k000"), 7).unwrap();
    assert_eq!(code(create("one-more")), "KMS.1105");
    world.kms.ensure_default().unwrap();
    let names: Vec<String> = world.kms.list().iter().map(|key| key.alias.to_string()).collect();
    assert_eq!(names[..3], ["evs/default", "k000", "k001"]);
    world.clock.advance(7 * DAY);
    world.kms.destroy_due().unwrap();
    create("one-more").unwrap();
}

#[test]
fn unknown_keys_are_not_found_by_alias_and_gone_by_id() {
    let world = World::new();
    let error = world.kms.show(&alias("nobody")).unwrap_err();
    assert_eq!((error.kind(), code::<()>(Err(error))), (ErrorKind::NotFound, "KMS.0207"));
    let error = world.kms.by_id(KeyId::random()).unwrap_err();
    assert_eq!((error.kind(), code::<()>(Err(error))), (ErrorKind::KeyGone, "KMS.0207"));
    assert_eq!(code(world.kms.enable(&alias("nobody"))), "KMS.0207");
}

// ---------------------------------------------------------------------------------------------
// The walks.

const ALIASES: [&str; 3] = ["a", "b", "evs/default"];

#[derive(Debug, Clone, Copy)]
enum Action {
    Create(usize, bool),
    Default,
    Enable(usize),
    Disable(usize),
    Schedule(usize, u32),
    Cancel(usize),
    Rename(usize, usize),
    Make(usize),
    /// Opens every data key ever made.
    OpenAll,
    Sweep,
    Reopen,
    Pass(u32),
    SetBack(u32),
    /// The wall clock runs ahead by these days, is looked at, and is put right.
    Glitch(u32),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let key = 0..ALIASES.len();
    let action = prop_oneof![
        3 => (key.clone(), any::<bool>()).prop_map(|(k, external)| Action::Create(k, external)),
        1 => proptest::strategy::Just(Action::Default),
        3 => key.clone().prop_map(Action::Enable),
        3 => key.clone().prop_map(Action::Disable),
        4 => (key.clone(), 6_u32..20).prop_map(|(k, days)| Action::Schedule(k, days)),
        3 => key.clone().prop_map(Action::Cancel),
        1 => (key.clone(), key.clone()).prop_map(|(k, to)| Action::Rename(k, to)),
        4 => key.prop_map(Action::Make),
        3 => proptest::strategy::Just(Action::OpenAll),
        2 => proptest::strategy::Just(Action::Sweep),
        2 => proptest::strategy::Just(Action::Reopen),
        3 => (1_u32..12).prop_map(Action::Pass),
        1 => (1_u32..12).prop_map(Action::SetBack),
        1 => (1_u32..40).prop_map(Action::Glitch),
    ];
    proptest::collection::vec(action, 1..16)
}

/// A key of the model: RULES K1 and nothing else.
#[derive(Debug, Clone, PartialEq)]
struct ModelKey {
    id: KeyId,
    state: &'static str,
    external: bool,
    deadline: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Model {
    keys: BTreeMap<&'static str, ModelKey>,
    /// The latest moment the service has seen.
    seen: Option<Timestamp>,
}

impl Model {
    fn look(&mut self, now: Timestamp) {
        self.seen = self.seen.max(Some(now));
    }

    fn is_past(&self, key: &ModelKey) -> bool {
        key.deadline.is_some() && key.deadline <= self.seen
    }

    fn sweep(&mut self) {
        let seen = self.seen;
        self.keys.retain(|_, key| key.deadline.is_none() || key.deadline > seen);
    }

    /// The verdict on a verb, and the state it leads to.
    fn verdict(&self, name: &str, verb: &str) -> (&'static str, Option<&'static str>) {
        let Some(key) = self.keys.get(name) else { return ("KMS.0207", None) };
        if self.is_past(key) {
            return ("KMS.0207", None);
        }
        if name == "evs/default" && matches!(verb, "disable" | "schedule" | "rename") {
            return ("KMS.0211", None);
        }
        match (verb, key.state) {
            ("enable", "disabled") => ("ok", Some("enabled")),
            ("enable", _) => ("KMS.1201", None),
            ("disable", "enabled") => ("ok", Some("disabled")),
            ("disable", _) => ("KMS.1301", None),
            ("schedule", "pending-deletion") => ("KMS.1402", None),
            ("schedule", _) => ("ok", Some("pending-deletion")),
            ("cancel", "pending-deletion") if key.external => ("ok", Some("pending-import")),
            ("cancel", "pending-deletion") => ("ok", Some("disabled")),
            ("cancel", _) => ("KMS.1501", None),
            ("use", "enabled") => ("ok", None),
            ("use", "disabled") => ("KMS.0209", None),
            ("use", "pending-deletion") => ("KMS.0210", None),
            ("use", "pending-import") => ("KMS.1301", None),
            ("rename", "pending-deletion") => ("KMS.0210", None),
            ("rename", _) => ("ok", None),
            other => panic!("{other:?}"),
        }
    }

    /// Carries a verb out; the code the service must give.
    fn change(&mut self, name: &str, verb: &str) -> &'static str {
        let (code, next) = self.verdict(name, verb);
        if let (Some(next), Some(key)) = (next, self.keys.get_mut(name)) {
            key.state = next;
            key.deadline = None;
        }
        code
    }
}

struct Walk {
    world: World,
    model: Model,
    /// Every data key made: its master key's id, its disk, and the plaintext it must open to.
    made: Vec<(WrappedDk, DiskId, Option<[u8; 64]>)>,
}

impl Walk {
    fn step(&mut self, action: Action) {
        let now = self.world.clock.now();
        let kms = &self.world.kms;
        let looks = match action {
            Action::Pass(_) | Action::SetBack(_) => false,
            Action::OpenAll => !self.made.is_empty(),
            _ => true,
        };
        if looks {
            self.model.look(now);
        }
        match action {
            Action::Create(key, external) => {
                let origin = if external { Origin::External } else { Origin::Kms };
                let name = ALIASES[key];
                let new =
                    NewKey { alias: alias(name), origin, description: Description::default() };
                let expected = match name {
                    "evs/default" => "KMS.1101",
                    taken if self.model.keys.contains_key(taken) => "KMS.1104",
                    _ => "ok",
                };
                let result = kms.create(new);
                if let Ok(view) = &result {
                    let state = if external { "pending-import" } else { "enabled" };
                    let key = ModelKey { id: view.id, state, external, deadline: None };
                    self.model.keys.insert(name, key);
                }
                assert_eq!(code(result), expected);
            }
            Action::Default => {
                let id = kms.ensure_default().unwrap().id;
                let key = ModelKey { id, state: "enabled", external: false, deadline: None };
                assert_eq!(*self.model.keys.entry("evs/default").or_insert(key.clone()), key);
            }
            Action::Enable(key) => {
                let expected = self.model.change(ALIASES[key], "enable");
                assert_eq!(code(kms.enable(&alias(ALIASES[key]))), expected);
            }
            Action::Disable(key) => {
                let expected = self.model.change(ALIASES[key], "disable");
                assert_eq!(code(kms.disable(&alias(ALIASES[key]))), expected);
            }
            Action::Schedule(key, days) => {
                let name = ALIASES[key];
                let expected = match self.model.verdict(name, "schedule").0 {
                    "ok" if days < 7 => "KMS.1401",
                    "ok" => {
                        self.model.change(name, "schedule");
                        let from = self.model.seen.max(Some(now)).unwrap();
                        let key = self.model.keys.get_mut(name).unwrap();
                        key.deadline = Some(from + DAY * days);
                        "ok"
                    }
                    refused => refused,
                };
                assert_eq!(code(kms.schedule_deletion(&alias(name), days)), expected);
            }
            Action::Cancel(key) => {
                let expected = self.model.change(ALIASES[key], "cancel");
                assert_eq!(code(kms.cancel_deletion(&alias(ALIASES[key]))), expected);
            }
            Action::Rename(key, to) => {
                let (name, new) = (ALIASES[key], ALIASES[to]);
                let expected = match self.model.verdict(name, "rename").0 {
                    "ok" if new == "evs/default" => "KMS.1101",
                    "ok" if name != new && self.model.keys.contains_key(new) => "KMS.1104",
                    "ok" => {
                        let key = self.model.keys.remove(name).unwrap();
                        self.model.keys.insert(new, key);
                        "ok"
                    }
                    refused => refused,
                };
                assert_eq!(code(kms.set_alias(&alias(name), alias(new))), expected);
            }
            Action::Make(key) => {
                let id = self.model.keys.get(ALIASES[key]).map_or(KeyId::random(), |key| key.id);
                let (expected, _) = self.model.verdict(ALIASES[key], "use");
                let disk = DiskId::random();
                let result = kms.generate_dk(id, disk, SECTOR);
                if let Ok(wrapped) = &result {
                    self.made.push((wrapped.clone(), disk, None));
                }
                assert_eq!(code(result), expected);
            }
            Action::OpenAll => self.open_all(),
            Action::Sweep => {
                let before = self.model.keys.len();
                self.model.sweep();
                let swept = before - self.model.keys.len();
                assert_eq!(kms.destroy_due().unwrap().len(), swept);
            }
            Action::Reopen => {
                self.model.sweep();
                self.world.reopen();
            }
            Action::Pass(days) => self.world.clock.advance(DAY * days),
            Action::SetBack(days) => self.world.clock.set_wall(now - DAY * days),
            Action::Glitch(days) => self.glitch(days),
        }
        self.compare();
    }

    /// RULES K1 for opening, K9: a data key opens to the same bytes each time, or not at all.
    fn open_all(&mut self) {
        for (wrapped, disk, plaintext) in &mut self.made {
            let name = self.model.keys.iter().find(|(_, key)| key.id == wrapped.key);
            let expected = match name {
                Some((name, _)) => self.model.verdict(name, "use").0,
                None => "KMS.0207",
            };
            let opened = self.world.kms.open_dk(wrapped, *disk, SECTOR);
            if let Ok(dk) = &opened {
                assert_eq!(plaintext.get_or_insert(*dk.expose()), dk.expose());
            }
            assert_eq!(code(opened), expected);
        }
    }

    /// RULES K10: a clock that runs ahead and is put right has destroyed and changed nothing.
    fn glitch(&mut self, days: u32) {
        self.model.sweep();
        self.world.kms.destroy_due().unwrap();
        let before = self.world.kms.list();
        self.world.step_wall(DAY * days);
        assert!(self.world.kms.destroy_due().unwrap().is_empty());
        self.open_all();
        self.world.clock.set_wall(self.world.clock.now() - DAY * days);
        assert!(self.world.kms.destroy_due().unwrap().is_empty());
        assert_eq!(self.world.kms.list(), before);
    }

    fn compare(&self) {
        let shown: BTreeMap<String, ModelKey> = self
            .world
            .kms
            .list()
            .into_iter()
            .map(|view| {
                let external = view.origin == Origin::External;
                let (state, deadline) = (view.state.name(), view.deletion_date);
                (view.alias.to_string(), ModelKey { id: view.id, state, external, deadline })
            })
            .collect();
        let expected: BTreeMap<String, ModelKey> =
            self.model.keys.iter().map(|(name, key)| ((*name).to_owned(), key.clone())).collect();
        assert_eq!(shown, expected);
    }
}

#[test]
fn random_walks_of_the_service_and_of_the_table_stay_together() {
    let config = proptest::test_runner::Config {
        cases: 2_000,
        failure_persistence: None,
        ..Default::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&actions(), |actions| {
            let mut walk = Walk { world: World::new(), model: Model::default(), made: Vec::new() };
            walk.model.look(walk.world.clock.now());
            for action in actions {
                walk.step(action);
            }
            Ok(())
        })
        .unwrap();
}

// ---------------------------------------------------------------------------------------------
// What others try.

/// RULES K6.
#[test]
fn a_wrapped_data_key_opens_for_its_own_disk_and_sector_size_and_unedited_only() {
    let world = World::new();
    let (one, other) = (world.create("one", Origin::Kms), world.create("other", Origin::Kms));
    let disk = DiskId::random();
    let wrapped = world.kms.generate_dk(one.id, disk, SECTOR).unwrap();
    world.kms.open_dk(&wrapped, disk, SECTOR).unwrap();
    let refuse = |wrapped: &WrappedDk, disk, size| {
        let error = world.kms.open_dk(wrapped, disk, size).err().expect("it does not open");
        assert_eq!((error.kind(), code::<()>(Err(error))), (ErrorKind::WrongContext, "KMS.0208"));
    };
    refuse(&wrapped, DiskId::random(), SECTOR);
    refuse(&wrapped, disk, SectorSize::S512);
    refuse(&WrappedDk { key: other.id, ..wrapped.clone() }, disk, SECTOR);
    for version in [0, 2, u32::MAX] {
        refuse(&WrappedDk { version, ..wrapped.clone() }, disk, SECTOR);
    }
    for bit in 0..wrapped.bytes.len() * 8 {
        let mut edited = wrapped.clone();
        edited.bytes[bit / 8] ^= 1 << (bit % 8);
        refuse(&edited, disk, SECTOR);
    }
    for len in 0..wrapped.bytes.len() {
        refuse(
            &WrappedDk { bytes: wrapped.bytes[..len].to_vec(), ..wrapped.clone() },
            disk,
            SECTOR,
        );
    }
}

/// RULES K8: enabling a key by editing its record does not work.
#[test]
fn an_edited_key_record_is_refused_and_its_file_named() {
    let world = World::on_files();
    let key = world.create("finance", Origin::Kms);
    world.kms.disable(&key.alias).unwrap();
    let name = format!("kms/keys/{}.toml", key.id);
    let file = world.scratch.path().join("state").join(&name);
    let genuine = std::fs::read_to_string(&file).unwrap();
    for (from, to) in [
        ("state = \"disabled\"", "state = \"enabled\""),
        ("alias = \"finance\"", "alias = \"payroll\""),
        ("version = 1", "version = 2"),
    ] {
        let edited = genuine.replace(from, to);
        assert_ne!(edited, genuine, "{from} stands in the record");
        std::fs::write(&file, edited).unwrap();
        let error = world.try_open().err().expect("it is refused");
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(error.message().contains(&name), "{error}");
    }
    std::fs::write(&file, genuine).unwrap();
    assert_eq!(world.try_open().unwrap().show(&key.alias).unwrap().state, KeyState::Disabled);
}

/// RULES K8: the deadline is under the seal too, as is the clock's record.
#[test]
fn an_edited_clock_record_is_refused_and_its_file_named() {
    let world = World::on_files();
    world.create("finance", Origin::Kms);
    let file = world.scratch.path().join("state/kms/clock.toml");
    let edited = std::fs::read_to_string(&file).unwrap().replace("2026", "2025");
    std::fs::write(&file, edited).unwrap();
    let error = world.try_open().err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.message().contains("kms/clock.toml"), "{error}");
}

/// RULES K9: neither the record alone nor a new key of the same alias brings anything back.
#[test]
fn a_destroyed_key_does_not_come_back_with_its_record_or_its_alias() {
    let mut world = World::on_files();
    let (key, disk) = (world.create("finance", Origin::Kms), DiskId::random());
    let wrapped = world.kms.generate_dk(key.id, disk, SECTOR).unwrap();
    let path = RecordPath::parse(&format!("kms/keys/{}.toml", key.id)).unwrap();
    let genuine = world.store.get(&path).unwrap().expect("the record is there");
    world.kms.schedule_deletion(&key.alias, 7).unwrap();
    world.clock.advance(7 * DAY);
    assert_eq!(world.kms.destroy_due().unwrap().len(), 1);
    assert_eq!(code(world.kms.open_dk(&wrapped, disk, SECTOR)), "KMS.0207");

    world.create("finance", Origin::Kms);
    assert_eq!(code(world.kms.open_dk(&wrapped, disk, SECTOR)), "KMS.0207");
    let newer = world.kms.show(&key.alias).unwrap().id;
    let claimed = WrappedDk { key: newer, ..wrapped.clone() };
    assert_eq!(code(world.kms.open_dk(&claimed, disk, SECTOR)), "KMS.0208");

    world.kms.set_alias(&key.alias, alias("payroll")).unwrap();
    world.store.put(&path, &genuine).unwrap();
    world.reopen();
    assert_eq!(world.kms.show(&key.alias).unwrap().state, KeyState::Enabled);
    let error = world.kms.open_dk(&wrapped, disk, SECTOR).err().expect("it is gone");
    assert_eq!((error.kind(), code::<()>(Err(error))), (ErrorKind::KeyGone, "KMS.0207"));
}

#[test]
fn a_wrong_root_key_is_an_integrity_error() {
    let world = World::new();
    world.create("finance", Origin::Kms);
    let root = world.scratch.path().join("root.key");
    std::fs::write(&root, [9; 32]).unwrap();
    assert_eq!(world.try_open().err().expect("refused").kind(), ErrorKind::Integrity);
    // Also when the module holds no material that could show it.
    for entry in std::fs::read_dir(world.scratch.path().join("hsm")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert_eq!(world.try_open().err().expect("refused").kind(), ErrorKind::Integrity);
}

// ---------------------------------------------------------------------------------------------
// The clock.

/// RULES K10, and D6 with the data key made before.
#[test]
fn a_clock_set_forward_destroys_nothing_for_24_hours_and_the_key_is_unusable_meanwhile() {
    let mut world = World::new();
    let (key, disk) = (world.create("finance", Origin::Kms), DiskId::random());
    let wrapped = world.kms.generate_dk(key.id, disk, SECTOR).unwrap();
    world.kms.schedule_deletion(&key.alias, 7).unwrap();
    world.step_wall(30 * DAY);
    assert!(world.kms.destroy_due().unwrap().is_empty());
    assert_eq!(code(world.kms.open_dk(&wrapped, disk, SECTOR)), "KMS.0210");
    assert_eq!(world.kms.next_deadline(), Some(DAY));
    // A restart does not shorten the wait.
    world.clock.advance(23 * HOUR);
    world.kms.destroy_due().unwrap();
    world.reopen();
    assert_eq!(world.kms.list().len(), 1);
    assert_eq!(world.kms.next_deadline(), Some(HOUR));
    world.clock.advance(HOUR);
    assert_eq!(code(world.kms.open_dk(&wrapped, disk, SECTOR)), "KMS.0207");
    assert_eq!(world.kms.destroy_due().unwrap().len(), 1);
}

/// RULES K10: during the wait the administrator may decide either way.
#[test]
fn a_doubted_deadline_can_be_confirmed_or_cancelled() {
    let world = World::new();
    for name in ["goes", "stays", "later"] {
        world.create(name, Origin::Kms);
    }
    world.kms.schedule_deletion(&alias("goes"), 7).unwrap();
    world.kms.schedule_deletion(&alias("stays"), 7).unwrap();
    world.kms.schedule_deletion(&alias("later"), 300).unwrap();
    world.step_wall(30 * DAY);
    assert_eq!(world.kms.confirm_deletion(&alias("goes")).unwrap().alias, alias("goes"));
    assert_eq!(code(world.kms.show(&alias("goes"))), "KMS.0207");
    assert_eq!(world.kms.cancel_deletion(&alias("stays")).unwrap().state, KeyState::Disabled);
    let error = world.kms.confirm_deletion(&alias("later")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongStatus);
}

/// RULES K10: a backward step never revives a key, not over a restart either.
#[test]
fn a_key_past_its_deadline_stays_unusable_when_the_clock_is_set_back() {
    let mut world = World::new();
    let (key, disk) = (world.create("finance", Origin::Kms), DiskId::random());
    let wrapped = world.kms.generate_dk(key.id, disk, SECTOR).unwrap();
    world.kms.schedule_deletion(&key.alias, 7).unwrap();
    world.clock.advance(7 * DAY);
    // Seen, but not swept.
    assert_eq!(code(world.kms.open_dk(&wrapped, disk, SECTOR)), "KMS.0207");
    world.clock.set_wall("2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(code(world.kms.cancel_deletion(&key.alias)), "KMS.0207");
    world.reopen();
    assert!(world.kms.list().is_empty(), "opening swept it away");
}

#[test]
fn a_deadline_that_passed_while_the_service_was_closed_is_kept_at_opening() {
    let mut world = World::new();
    world.create("finance", Origin::Kms);
    world.kms.schedule_deletion(&alias("finance"), 7).unwrap();
    assert_eq!(world.kms.next_deadline(), Some(7 * DAY));
    world.clock.advance(8 * DAY);
    world.reopen();
    assert!(world.kms.list().is_empty());
    assert_eq!(world.kms.next_deadline(), None);
    let hsm = world.scratch.path().join("hsm");
    assert_eq!(std::fs::read_dir(hsm).unwrap().count(), 0, "no material is left");
}
