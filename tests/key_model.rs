//! The key management service against RULES section 2.
//!
//! First every cell of the table of RULES K1, then random walks of the real service beside a model
//! that is only that table and a clock, then what an attacker and a wrong clock try.

#![allow(clippy::unwrap_used)]

#[path = "support/key_model_token.rs"]
mod key_model_token;
#[path = "support/key_rules.rs"]
mod key_rules;

use evsfs::crypto::WrappedDk;
use evsfs::error::{Code, ErrorKind, Result};
use evsfs::id::{Alias, Description, DiskId, KeyId};
use evsfs::kms::{Hsm, KeyState, KeyView, Kms, NewKey, Origin, Pkcs11Hsm, SoftHsm, Upload};
use evsfs::records::{DirStore, MemoryStore, RecordPath, RecordStore, Records};
use evsfs::sys::{Clock, ManualClock};
use evsfs::units::SectorSize;
use key_model_token::token;
use key_rules::{DAY, Keys};
use proptest::prelude::{Strategy, any, prop_oneof};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
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
        match token() {
            Some(token) => token.initialise(),
            None => {
                let (root, hsm) = (scratch.path().join("root.key"), scratch.path().join("hsm"));
                SoftHsm::initialise(&root, &hsm).unwrap();
            }
        }
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
    let hsm: Arc<dyn Hsm> = match token() {
        Some(token) => Arc::new(Pkcs11Hsm::open(token.settings())?),
        None => Arc::new(SoftHsm::open(&scratch.join("root.key"), &scratch.join("hsm"))?),
    };
    let records = Records::open(Arc::clone(store), hsm.record_key()?)?;
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

/// The columns of the table: what a key can be. A key of origin external has `x-` before its state;
/// `x-new` never had material, `x-again` had it and gave it up, `x-empty` is `x-new` scheduled for
/// deletion. The material of the others expires in 20 days; keys to be deleted go in 30.
const STATES: [(&str, &str); 10] = [
    ("enabled", "enabled"),
    ("disabled", "disabled"),
    ("deletion", "pending-deletion"),
    ("default", "enabled, evs/default"),
    ("x-new", "pending-import"),
    ("x-again", "pending-import, had material"),
    ("x-enabled", "enabled, external"),
    ("x-disabled", "disabled, external"),
    ("x-deletion", "pending-deletion, external"),
    ("x-empty", "pending-deletion, no material"),
];

/// RULES K1 and K2, cell by cell: `=` is allowed and stays, a name is the state that is entered
/// (`imp`: pending-import, `del`: pending-deletion), a number is the KMS code of the refusal, `-` a
/// refusal without one.
const TABLE: &str = "
                enabled disabled deletion default x-new x-again x-enabled x-disabled x-deletion x-empty
enable          1201    enabled  1201     1201    1201  1201    1201      enabled    1201       1201
disable         disabled 1301    1301     0211    1301  1301    disabled  1301       1301       1301
schedule-7      del     del      1402     0211    del   del     del       del        1402       1402
schedule-1096   del     del      1402     0211    del   del     del       del        1402       1402
schedule-6      1401    1401     1402     0211    1401  1401    1401      1401       1402       1402
schedule-1097   1401    1401     1402     0211    1401  1401    1401      1401       1402       1402
cancel          1501    1501     disabled 1501    1501  1501    1501      1501       disabled   imp
confirm         1501    1501     -        0211    1501  1501    1501      1501       -          -
deadline        =       =        gone     =       =     =       imp       imp        gone       gone
make-dk         =       0209     0210     =       1301  1301    =         0209       0210       0210
open-dk         =       0209     0210     =       1301  1301    =         0209       0210       0210
rewrap-dk       =       0209     0210     =       1301  1301    =         0209       0210       0210
import          0309    0309     0309     0309    enabled enabled 0310    0310       0310       0310
import-until    0309    0309     0309     0309    enabled enabled 0310    0310       0310       0310
import-wrapped  0309    0309     0309     0309    -     -       0310      0310       0310       0310
import-other    0309    0309     0309     0309    enabled 2606  0310      0310       0310       0310
import-31       0309    0309     0309     0309    2604  2604    0310      0310       0310       0310
import-now      0309    0309     0309     0309    2602  2602    0310      0310       0310       0310
delete-material 2701    2701     2701     2701    2701  2701    imp       imp        2701       2701
expiry          =       =        =        =       =     =       imp       imp        =          =
rotate          =       0209     0210     0211    0312  0312    0312      0312       0312       0312
rotation-30     =       0209     0210     =       0312  0312    0312      0312       0312       0312
rotation-365    =       0209     0210     =       0312  0312    0312      0312       0312       0312
rotation-29     3001    0209     0210     3001    0312  0312    0312      0312       0312       0312
rotation-366    3001    0209     0210     3001    0312  0312    0312      0312       0312       0312
rotation-off    0313    0209     0210     0313    0312  0312    0312      0312       0312       0312
describe        =       =        0210     =       =     =       =         =          0210       0210
rename          =       =        0210     0211    =     =       =         =          0210       0210
rename-evs      1101    1101     0210     0211    1101  1101    1101      1101       0210       0210
rename-taken    1104    1104     0210     0211    1104  1104    1104      1104       0210       0210
";

/// A key in a state, and a data key that was made under it if it ever had material.
struct Subject {
    view: KeyView,
    disk: DiskId,
    wrapped: WrappedDk,
}

fn brought_to(world: &World, state: &str) -> Subject {
    let (kms, subject, disk) = (&world.kms, alias("subject"), DiskId::random());
    let id = match state {
        "default" => kms.ensure_default().unwrap().id,
        "enabled" | "disabled" | "deletion" => world.create("subject", Origin::Kms).id,
        _ => world.create("subject", Origin::External).id,
    };
    if matches!(state, "x-again" | "x-enabled" | "x-disabled" | "x-deletion") {
        kms.import(&subject, &material(0), Some(world.clock.now() + 20 * DAY)).unwrap();
    }
    let wrapped = kms.generate_dk(id, disk, SECTOR).unwrap_or(WrappedDk {
        key: id,
        version: 1,
        bytes: vec![0; 92],
    });
    let view = match state {
        "disabled" | "x-disabled" => kms.disable(&subject).unwrap(),
        "deletion" | "x-deletion" | "x-empty" => kms.schedule_deletion(&subject, 30).unwrap(),
        "x-again" => kms.delete_material(&subject).unwrap(),
        _ => kms.by_id(id).unwrap(),
    };
    Subject { view, disk, wrapped }
}

/// The same material for the same number.
fn material(number: u8) -> Upload {
    Upload::from_hex(&format!("{number:02x}").repeat(32)).unwrap()
}

fn perform(world: &World, operation: &str, on: &Subject) -> Result<()> {
    let (kms, of, id) = (&world.kms, &on.view.alias, on.view.id);
    let now = world.clock.now();
    let done = match operation {
        "enable" => kms.enable(of),
        "disable" => kms.disable(of),
        "cancel" => kms.cancel_deletion(of),
        "confirm" => kms.confirm_deletion(of),
        "deadline" => {
            world.clock.advance(30 * DAY);
            return kms.destroy_due().and_then(|_| kms.expire_due()).map(drop);
        }
        "make-dk" => return kms.generate_dk(id, DiskId::random(), SECTOR).map(drop),
        "open-dk" => return kms.open_dk(&on.wrapped, on.disk, SECTOR).map(drop),
        "rewrap-dk" => return kms.rewrap_dk(&on.wrapped, on.disk, SECTOR).map(drop),
        "import" => kms.import(of, &material(0), None),
        "import-until" => kms.import(of, &material(0), Some(now + DAY)),
        "import-wrapped" => {
            let upload = Upload::Wrapped { bytes: vec![0; 384], token: None };
            kms.import(of, &upload, None)
        }
        "import-other" => kms.import(of, &material(1), None),
        "import-31" => kms.import(of, &Upload::OfLength(31), None),
        "import-now" => kms.import(of, &material(0), Some(now)),
        "delete-material" => kms.delete_material(of),
        "expiry" => {
            world.clock.advance(20 * DAY);
            return kms.expire_due().map(drop);
        }
        "rotate" => kms.rotate(of),
        "rotation-off" => kms.set_rotation(of, None),
        "describe" => kms.describe(of, Description::parse("ledgers").unwrap()),
        "rename" => kms.set_alias(of, alias("renamed")),
        "rename-evs" => kms.set_alias(of, alias("evs/mine")),
        "rename-taken" => kms.set_alias(of, alias("other")),
        numbered => match numbered.rsplit_once('-') {
            Some(("schedule", days)) => kms.schedule_deletion(of, days.parse().unwrap()),
            Some(("rotation", days)) => kms.set_rotation(of, Some(days.parse().unwrap())),
            _ => panic!("{operation}"),
        },
    };
    done.map(drop)
}

/// Performs an operation on a key in a state and says what became of it, in the words of the
/// table. A refusal changes nothing, in memory or at rest.
fn cell(operation: &str, state: &str) -> String {
    let mut world = World::new();
    world.create("other", Origin::Kms);
    let on = brought_to(&world, state);
    let before = on.view.clone();
    let result = perform(&world, operation, &on);
    let after = world.kms.by_id(before.id);
    let shown = match (&result, &after) {
        (Err(error), after) => {
            assert!(error.suggested_remedy().is_some(), "{operation} in {state}: {error}");
            assert_eq!(after.as_ref().unwrap(), &before, "{operation} in {state}");
            let code = error.documented_code().map_or("-", Code::as_str);
            code.trim_start_matches("KMS.").to_owned()
        }
        (Ok(()), Err(_)) => "gone".to_owned(),
        (Ok(()), Ok(after)) if after.state == before.state => "=".to_owned(),
        (Ok(()), Ok(after)) => match after.state.name() {
            "pending-import" => "imp".to_owned(),
            "pending-deletion" => "del".to_owned(),
            other => other.to_owned(),
        },
    };
    if let Ok(after) = &after {
        assert_eq!(after.deletion_date.is_some(), after.state == KeyState::PendingDeletion);
    }
    world.reopen();
    assert_eq!(world.kms.by_id(before.id).ok(), after.ok(), "{operation} in {state}");
    shown
}

/// RULES K1, K2: every operation in every state. Prints what was seen, in the form of RULES K1.
#[test]
#[allow(clippy::print_stdout)]
fn state_table_is_the_one_of_rules_k1() {
    let mut rows = TABLE.lines().filter(|line| !line.is_empty());
    let header: Vec<&str> = rows.next().unwrap().split_whitespace().collect();
    assert_eq!(header, STATES.map(|(column, _)| column));
    for row in rows {
        let (operation, expected) = row.split_once(' ').unwrap();
        let seen = STATES.map(|(column, _)| cell(operation, column));
        let expected: Vec<&str> = expected.split_whitespace().collect();
        assert_eq!(seen.as_slice(), expected, "{operation} in {header:?}");
        println!("{operation}");
        let mut outcomes: Vec<&String> = Vec::new();
        seen.iter().for_each(|outcome| {
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        });
        for outcome in outcomes {
            let states = seen.iter().zip(STATES).filter(|(seen, _)| *seen == outcome);
            let states: Vec<&str> = states.map(|(_, (_, name))| name).collect();
            let meaning = match outcome.as_str() {
                "=" => "allowed".to_owned(),
                "imp" => "-> pending-import".to_owned(),
                "del" => "-> pending-deletion".to_owned(),
                "-" => "refused".to_owned(),
                code if code.starts_with(|first: char| first.is_ascii_digit()) => {
                    format!("KMS.{code}")
                }
                state => format!("-> {state}"),
            };
            println!("    {meaning:<20} {}", states.join("; "));
        }
    }
}

/// RULES K1: rotation is turned on once, and off once.
#[test]
fn rotation_that_is_on_is_not_turned_on_and_what_is_off_not_off() {
    let world = World::new();
    let key = world.create("finance", Origin::Kms).alias;
    let on = world.kms.set_rotation(&key, Some(90)).unwrap();
    assert_eq!(on.rotation_days, Some(90));
    assert_eq!(on.rotation_date, Some(world.clock.now() + 90 * DAY));
    // Also when the interval would be refused: it is not looked at.
    assert_eq!(code(world.kms.set_rotation(&key, Some(90))), "KMS.2901");
    assert_eq!(code(world.kms.set_rotation(&key, Some(1))), "KMS.2901");
    assert_eq!(world.kms.set_rotation(&key, None).unwrap().rotation_date, None);
    assert_eq!(code(world.kms.set_rotation(&key, None)), "KMS.0313");
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
    Rotate(usize),
    Rotation(usize, Option<u32>),
    /// Which material, and in how many days it expires.
    Import(usize, u8, Option<u32>),
    DeleteMaterial(usize),
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
        4 => key.clone().prop_map(Action::Make),
        3 => key.clone().prop_map(Action::Rotate),
        2 => (key.clone(), proptest::option::weighted(0.7, 28_u32..40))
            .prop_map(|(k, days)| Action::Rotation(k, days)),
        4 => (key.clone(), 0_u8..2, proptest::option::of(0_u32..12))
            .prop_map(|(k, material, days)| Action::Import(k, material, days)),
        2 => key.prop_map(Action::DeleteMaterial),
        3 => proptest::strategy::Just(Action::OpenAll),
        2 => proptest::strategy::Just(Action::Sweep),
        2 => proptest::strategy::Just(Action::Reopen),
        3 => (1_u32..12).prop_map(Action::Pass),
        1 => (1_u32..12).prop_map(Action::SetBack),
        1 => (1_u32..40).prop_map(Action::Glitch),
    ];
    proptest::collection::vec(action, 1..16)
}

struct Walk {
    world: World,
    model: Keys,
    /// The ids of the model's keys, by their number.
    ids: BTreeMap<u32, KeyId>,
    /// Every data key made: its master key's number, its disk, and the plaintext it must open to.
    made: Vec<(WrappedDk, u32, DiskId, Option<[u8; 64]>)>,
}

impl Walk {
    fn step(&mut self, action: Action) {
        let now = self.world.clock.now();
        let kms = &self.world.kms;
        let model = &mut self.model;
        let looks = match action {
            Action::Pass(_) | Action::SetBack(_) => false,
            Action::OpenAll => !self.made.is_empty(),
            _ => true,
        };
        if looks {
            model.look(now);
        }
        match action {
            Action::Create(key, external) => {
                let origin = if external { Origin::External } else { Origin::Kms };
                let name = ALIASES[key];
                let new =
                    NewKey { alias: alias(name), origin, description: Description::default() };
                let expected = model.create(name, external);
                let result = kms.create(new);
                if let Ok(view) = &result {
                    self.ids.insert(model.keys[name].serial, view.id);
                }
                assert_eq!(code(result), expected);
            }
            Action::Default => {
                let id = kms.ensure_default().unwrap().id;
                assert_eq!(*self.ids.entry(model.ensure_default()).or_insert(id), id);
            }
            Action::Enable(key) => {
                let expected = model.change(ALIASES[key], "enable");
                assert_eq!(code(kms.enable(&alias(ALIASES[key]))), expected);
            }
            Action::Disable(key) => {
                let expected = model.change(ALIASES[key], "disable");
                assert_eq!(code(kms.disable(&alias(ALIASES[key]))), expected);
            }
            Action::Schedule(key, days) => {
                let expected = model.schedule(ALIASES[key], days, now);
                assert_eq!(code(kms.schedule_deletion(&alias(ALIASES[key]), days)), expected);
            }
            Action::Cancel(key) => {
                let expected = model.change(ALIASES[key], "cancel");
                assert_eq!(code(kms.cancel_deletion(&alias(ALIASES[key]))), expected);
            }
            Action::Rename(key, to) => {
                let (name, new) = (ALIASES[key], ALIASES[to]);
                let expected = model.rename(name, new);
                assert_eq!(code(kms.set_alias(&alias(name), alias(new))), expected);
            }
            Action::Make(key) => {
                let serial = model.keys.get(ALIASES[key]).map(|key| key.serial);
                let id = serial.map_or(KeyId::random(), |serial| self.ids[&serial]);
                let expected = serial.map_or("KMS.0207", |serial| model.usability(serial));
                let disk = DiskId::random();
                let result = kms.generate_dk(id, disk, SECTOR);
                if let (Ok(wrapped), Some(serial)) = (&result, serial) {
                    assert_eq!(wrapped.version, model.keys[ALIASES[key]].version);
                    self.made.push((wrapped.clone(), serial, disk, None));
                }
                assert_eq!(code(result), expected);
            }
            Action::Rotate(key) => {
                let expected = model.rotate(ALIASES[key], now);
                assert_eq!(code(kms.rotate(&alias(ALIASES[key]))), expected);
            }
            Action::Rotation(key, days) => {
                let expected = model.set_rotation(ALIASES[key], days, now);
                assert_eq!(code(kms.set_rotation(&alias(ALIASES[key]), days)), expected);
            }
            Action::Import(key, number, days) => {
                let expires = days.map(|days| now + DAY * days);
                let expected = model.import(ALIASES[key], number, expires, now);
                let result = kms.import(&alias(ALIASES[key]), &material(number), expires);
                assert_eq!(code(result), expected);
            }
            Action::DeleteMaterial(key) => {
                let expected = model.delete_material(ALIASES[key]);
                assert_eq!(code(kms.delete_material(&alias(ALIASES[key]))), expected);
            }
            Action::OpenAll => self.open_all(),
            Action::Sweep => {
                assert_eq!(kms.destroy_due().unwrap().len(), model.sweep());
                kms.expire_due().unwrap();
                assert_eq!(kms.rotate_due().unwrap().len(), model.rotate_due(now));
            }
            Action::Reopen => {
                model.sweep();
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
        for (wrapped, serial, disk, plaintext) in &mut self.made {
            let expected = self.model.usability(*serial);
            let opened = self.world.kms.open_dk(wrapped, *disk, SECTOR);
            if let Ok(dk) = &opened {
                assert_eq!(plaintext.get_or_insert(*dk.expose()), dk.expose());
            }
            assert_eq!(code(opened), expected);
        }
    }

    /// RULES K10: a clock that runs ahead and is put right has destroyed and changed nothing.
    fn glitch(&mut self, days: u32) {
        let now = self.world.clock.now();
        self.model.sweep();
        self.model.rotate_due(now);
        self.world.kms.destroy_due().unwrap();
        self.world.kms.expire_due().unwrap();
        self.world.kms.rotate_due().unwrap();
        let before = self.world.kms.list();
        self.world.step_wall(DAY * days);
        self.model.doubt(Some(self.world.clock.now()));
        assert!(self.world.kms.destroy_due().unwrap().is_empty());
        assert!(self.world.kms.expire_due().unwrap().is_empty());
        assert!(self.world.kms.rotate_due().unwrap().is_empty());
        self.open_all();
        self.model.doubt(None);
        self.world.clock.set_wall(self.world.clock.now() - DAY * days);
        assert!(self.world.kms.destroy_due().unwrap().is_empty());
        assert_eq!(self.world.kms.list(), before);
    }

    fn compare(&self) {
        let shown: Vec<_> = self
            .world
            .kms
            .list()
            .into_iter()
            .map(|view| {
                let rotation = view.rotation_days.zip(view.rotation_date);
                let external = view.origin == Origin::External;
                let dates = (view.deletion_date, view.expiry_date, rotation);
                let state = (view.state.name(), external, view.version);
                (view.alias.to_string(), view.id, state, dates)
            })
            .collect();
        let mut expected: Vec<_> = self
            .model
            .keys
            .iter()
            .map(|(name, key)| {
                let dates = (key.deadline, key.expires, key.rotation);
                (
                    (*name).to_owned(),
                    self.ids[&key.serial],
                    (key.state, key.external, key.version),
                    dates,
                )
            })
            .collect();
        // The default key comes first.
        expected.sort_by_key(|(name, ..)| (name != "evs/default", name.clone()));
        assert_eq!(shown, expected);
        for view in self.world.kms.list().iter().filter(|view| view.version > 0) {
            assert_eq!(view.versions.len(), view.version as usize);
        }
    }
}

#[test]
fn random_walks_of_the_service_and_of_the_table_stay_together() {
    let config = proptest::test_runner::Config {
        // Fewer where each takes a token's time.
        cases: if token().is_some() { 10 } else { 2_000 },
        failure_persistence: None,
        ..Default::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&actions(), |actions| {
            let (world, model) = (World::new(), Keys::default());
            let (ids, made) = (BTreeMap::new(), Vec::new());
            let mut walk = Walk { world, model, ids, made };
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
        let disk = DiskId::random();
        let (restarted, running) = (world.try_open().unwrap(), &world.kms);
        assert_eq!(restarted.damaged()[0].file, file);
        assert!(restarted.list().is_empty());
        for refused in [
            restarted.by_id(key.id).err(),
            restarted.generate_dk(key.id, disk, SECTOR).err(),
            running.generate_dk(key.id, disk, SECTOR).err(),
            running.enable(&key.alias).err(),
        ] {
            let error = refused.expect("it is refused");
            assert_eq!(error.kind(), ErrorKind::Integrity);
            assert!(error.message().contains(&name), "{error}");
        }
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
    assert_eq!(world.kms.damaged()[0].id, Some(key.id));
    let error = world.kms.open_dk(&wrapped, disk, SECTOR).err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.message().contains(path.as_str()), "{error}");
    world.store.remove(&path).unwrap();
    world.reopen();
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
