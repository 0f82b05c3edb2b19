//! Random walks of the real service beside the model.

use crate::amount::Amount;
use crate::callers::Who;
use crate::command::{Detach, Line, MIB, Mode, NewDisk, Origin, Restart, Restored, SLOTS, Verb};
use crate::key_rules::{DEFAULT, SHORT};
use crate::stand::Stand;
use crate::support::{Needs, trial};
use libtest_mimic::Trial;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub const DISKS: [&str; 2] = ["db", "log"];
pub const KEYS: [&str; 3] = ["a", "b", DEFAULT];
const BACKUPS: [&str; 2] = ["monday", "tuesday"];

/// Walks of a trial, in the short form and in the long one; each trial has its own.
const WALKS: (u32, u32) = (300, 10_000);

pub fn trials() -> Vec<Trial> {
    [
        "random_walks_of_the_project_and_its_model_stay_together::1",
        "random_walks_of_the_project_and_its_model_stay_together::2",
        "random_walks_of_the_project_and_its_model_stay_together::3",
        "random_walks_of_the_project_and_its_model_stay_together::4",
    ]
    .map(|name| trial(name, Needs::Nothing, walk_beside_the_model))
    .into()
}

/// Steps; what a failure prints can be typed.
#[derive(Clone)]
pub struct Walk(pub Vec<Line>);

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

fn walk_beside_the_model() {
    let tally = RefCell::new(BTreeMap::<String, BTreeMap<String, usize>>::new());
    let walks = Amount::of(WALKS.0, WALKS.1);
    hold(walks, any_walk(any_step()), |walk| {
        let mut stand = Stand::new();
        for line in &walk.0 {
            let outcome = stand.step(line)?;
            let outcome = outcome.map_or_else(|refusal| refusal.to_string(), |()| "ok".to_owned());
            let mut tally = tally.borrow_mut();
            *tally.entry(line.verb.label()).or_default().entry(outcome).or_default() += 1;
        }
        stand.compare_everything()
    });
    println!("{walks} walks; what was done, and how often it ended how:");
    for (verb, outcomes) in tally.into_inner() {
        let outcomes: Vec<String> =
            outcomes.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
        println!("  {verb:<48} {}", outcomes.join(", "));
    }
}

/// Takes so many walks. One that fails is shrunk, and then robbed of every step without which it
/// fails too.
pub fn hold(
    walks: u32,
    strategy: impl Strategy<Value = Walk>,
    take: impl Fn(&Walk) -> Result<(), String>,
) {
    let config = Config {
        cases: walks,
        failure_persistence: None,
        max_shrink_iters: walks,
        ..Config::default()
    };
    let taken =
        TestRunner::new(config).run(&strategy, |walk| take(&walk).map_err(TestCaseError::fail));
    let Err(failure) = taken else { return };
    let TestError::Fail(_, mut walk) = failure else { panic!("{failure}") };
    let mut at = 0;
    while at < walk.0.len() {
        let mut shorter = walk.clone();
        shorter.0.remove(at);
        // A panic is a failure too.
        match catch_unwind(AssertUnwindSafe(|| take(&shorter))) {
            Ok(Ok(())) => at += 1,
            Ok(Err(_)) | Err(_) => (walk, at) = (shorter, 0),
        }
    }
    panic!("{}\nthe walk:{walk:?}", take(&walk).expect_err("it failed before"));
}

/// A walk of such steps.
pub fn any_walk(step: impl Strategy<Value = Verb>) -> impl Strategy<Value = Walk> {
    let beginning = prop_oneof![1 => Just(Vec::new()), 4 => prologue()];
    (beginning, proptest::collection::vec(by_anybody(step), 1..28))
        .prop_map(|(first, rest)| Walk([first, rest].concat()))
}

/// Where most walks begin, so that they get further: an agency, a key of either origin, a disk under
/// it, perhaps attached, perhaps a second of each.
fn prologue() -> impl Strategy<Value = Vec<Line>> {
    let root = |verb| Line { who: Who::Root, verb };
    let disk = |who, name, key| {
        let new = NewDisk { name, size: MIB, encrypted: Some(true), key: Some(key), sector: 4096 };
        Line { who, verb: Verb::DiskCreate(new) }
    };
    let owner = prop_oneof![3 => Just(Who::Root), 1 => Just(Who::Alice)];
    (any::<bool>(), any::<bool>(), any::<bool>(), owner).prop_map(
        move |(external, attached, second, who)| {
            let mut lines = vec![root(Verb::AgencyCreate)];
            if external {
                lines.push(root(Verb::KeyCreate("a", Origin::External)));
                lines.push(root(Verb::KeyImport("a", 0, Some(20))));
            } else {
                lines.push(root(Verb::KeyCreate("a", Origin::Kms)));
            }
            lines.push(disk(who, "db", "a"));
            if attached {
                lines.push(Line { who, verb: Verb::DiskAttach("db", Mode::ReadWrite) });
            }
            if second {
                lines.push(root(Verb::KeyCreate("b", Origin::Kms)));
                lines.push(disk(who, "log", "b"));
            }
            lines
        },
    )
}

fn by_anybody(step: impl Strategy<Value = Verb>) -> impl Strategy<Value = Line> {
    (callers(), step).prop_map(|(who, verb)| {
        // Time and restarts are nobody's, and who may open a file is the kernel's to say.
        let who = match verb {
            Verb::Pass(_) | Verb::SetBack(_) | Verb::Restart(_) | Verb::Write(..) => Who::Root,
            _ => who,
        };
        Line { who, verb }
    })
}

/// Most steps are taken by who may.
fn callers() -> impl Strategy<Value = Who> {
    prop_oneof![
        24 => Just(Who::Root),
        4 => Just(Who::Alice),
        1 => Just(Who::Bob),
        1 => Just(Who::Keeper),
        2 => Just(Who::Operator),
        1 => Just(Who::Both),
        1 => Just(Who::Stranger),
    ]
}

fn any_step() -> impl Strategy<Value = Verb> {
    prop_oneof![
        30 => command(),
        2 => (1_u32..12).prop_map(Verb::Pass),
        1 => (1_u32..5).prop_map(Verb::SetBack),
        1 => (1_u32..40, command())
            .prop_map(|(days, verb)| Verb::WhileAhead(days, Box::new(verb))),
        2 => (any::<bool>(), 0_u32..4, proptest::bool::weighted(0.8))
            .prop_map(|(killed, days, reattach)| Verb::Restart(Restart { killed, days, reattach })),
    ]
}

/// A command or a write; no time, no restart.
pub fn command() -> BoxedStrategy<Verb> {
    let disk = || prop_oneof![4 => Just(DISKS[0]), 1 => Just(DISKS[1])];
    let key = || prop_oneof![6 => Just(KEYS[0]), 2 => Just(KEYS[1]), 1 => Just(KEYS[2])];
    prop_oneof![
        4 => new_disk().prop_map(Verb::DiskCreate),
        9 => (disk(), proptest::bool::weighted(0.2)).prop_map(|(disk, read_only)| {
            Verb::DiskAttach(disk, if read_only { Mode::ReadOnly } else { Mode::ReadWrite })
        }),
        6 => (disk(), proptest::bool::weighted(0.3)).prop_map(|(disk, forced)| {
            Verb::DiskDetach(disk, if forced { Detach::Forced } else { Detach::Idle })
        }),
        2 => (disk(), sizes()).prop_map(|(disk, size)| Verb::DiskExtend(disk, size)),
        4 => disk().prop_map(Verb::DiskRewrap),
        2 => disk().prop_map(Verb::DiskDelete),
        4 => (disk(), backup()).prop_map(|(disk, name)| Verb::BackupCreate(disk, name)),
        4 => restored().prop_map(Verb::DiskRestore),
        1 => backup().prop_map(Verb::BackupVerify),
        1 => backup().prop_map(Verb::BackupDelete),
        6 => (disk(), 0..SLOTS.len(), 1_u8..=255)
            .prop_map(|(disk, slot, byte)| Verb::Write(disk, slot, byte)),
        3 => (key(), proptest::bool::weighted(0.4)).prop_map(|(key, external)| {
            Verb::KeyCreate(key, if external { Origin::External } else { Origin::Kms })
        }),
        5 => key().prop_map(Verb::KeyEnable),
        4 => key().prop_map(Verb::KeyDisable),
        4 => (key(), 6_u32..14).prop_map(|(key, days)| Verb::KeySchedule(key, days)),
        4 => key().prop_map(Verb::KeyCancel),
        1 => key().prop_map(Verb::KeyConfirm),
        4 => key().prop_map(Verb::KeyRotate),
        2 => (key(), proptest::option::weighted(0.7, 28_u32..34))
            .prop_map(|(key, days)| Verb::KeyRotation(key, days)),
        4 => (key(), materials(), proptest::option::of(0_u32..12))
            .prop_map(|(key, number, days)| Verb::KeyImport(key, number, days)),
        2 => key().prop_map(Verb::KeyDeleteMaterial),
        2 => (key(), key()).prop_map(|(key, new)| Verb::KeySetAlias(key, new)),
        1 => key().prop_map(|key| Verb::KeyDescribe(key, "ledgers of the year")),
        1 => Just(Verb::AgencyCreate),
        1 => Just(Verb::AgencyDelete),
        1 => proptest::option::weighted(0.7, key()).prop_map(Verb::DefaultEncryption),
    ]
    .boxed()
}

fn backup() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&BACKUPS[..])
}

fn restored() -> impl Strategy<Value = Restored> {
    let name = proptest::sample::select(&DISKS[..]);
    let size = proptest::option::weighted(0.3, sizes());
    (name, backup(), size, encryptions(), keys()).prop_map(
        |(name, backup, size, encrypted, key)| Restored { name, backup, size, encrypted, key },
    )
}

fn encryptions() -> impl Strategy<Value = Option<bool>> {
    prop_oneof![4 => Just(Some(true)), 2 => Just(None), 2 => Just(Some(false))]
}

fn keys() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(proptest::sample::select(&KEYS[..]))
}

fn materials() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(0_u8), 2 => Just(1), 1 => Just(SHORT)]
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => Just(MIB),
        4 => Just(2 * MIB),
        1 => Just(MIB + 512),
        1 => Just(MIB - 4096),
        1 => Just((64 << 40) + 4096),
    ]
}

fn new_disk() -> impl Strategy<Value = NewDisk> {
    let name = proptest::sample::select(&DISKS[..]);
    let sector = prop_oneof![3 => Just(4096_u64), 1 => Just(512)];
    (name, sizes(), encryptions(), keys(), sector).prop_map(
        |(name, size, encrypted, key, sector)| NewDisk { name, size, encrypted, key, sector },
    )
}
