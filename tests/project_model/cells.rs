//! Every operation in every state of the key, on a disk that is attached or not, and by every caller:
//! each cell is one project that is brought there, the operation, and what everybody sees after it.
//!
//! `tables.txt` has what is expected, to be read beside RULES K1 and table 1 of the seed. Each cell
//! is held against it, against the model and against the service.

use crate::callers::Who;
use crate::command::{Detach, Line, MIB, Mode, NewDisk, Origin, Restart, Restored, Verb};
use crate::key_rules::SHORT;
use crate::refusal::Refusal;
use crate::setting::{Agency, STATES, Setting};
use crate::stand::Stand;
use crate::support::{Needs, trial};
use libtest_mimic::Trial;
use std::fmt::Write;

/// What a row does, given the alias of the key.
type Steps = fn(&'static str) -> Vec<Verb>;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("every_key_state_and_key_operation", Needs::Nothing, || {
            let states = STATES.map(|state| (state, Setting { state, ..Setting::USUAL }));
            let seen = hold("keys", &states[..11], &KEY_ROWS);
            // RULES D6: an attached disk keeps its key from nothing.
            for mode in [Mode::ReadWrite, Mode::ReadOnly] {
                let attached = states
                    .map(|(name, setting)| (name, Setting { attached: Some(mode), ..setting }));
                assert_eq!(cells(&attached[..11], &KEY_ROWS), seen, "{mode:?}");
            }
        }),
        trial("every_key_state_and_operation_on_a_detached_disk", Needs::Nothing, || {
            hold("detached", &with_disk(None), &DISK_ROWS);
        }),
        trial("every_key_state_and_operation_on_an_attached_disk", Needs::Nothing, || {
            hold("attached", &with_disk(Some(Mode::ReadWrite)), &DISK_ROWS);
        }),
        trial("every_key_state_and_operation_on_a_disk_attached_read_only", Needs::Nothing, || {
            hold("read-only", &with_disk(Some(Mode::ReadOnly)), &DISK_ROWS);
        }),
        // RULES P2 to P4: a backup wants no key, a disk made of it wants that of the backup and its own.
        trial("every_key_state_and_operation_on_backups", Needs::Nothing, || {
            hold("backups", &with_disk(None), &BACKUP_ROWS);
            let attached = with_disk(Some(Mode::ReadWrite));
            let seen = hold("backups-of-attached-disks", &attached, &BACKUP_ROWS);
            let read_only = with_disk(Some(Mode::ReadOnly));
            assert_eq!(cells(&read_only, &BACKUP_ROWS), seen, "attached read-only");
            hold("backups-of-deleted-disks", &with_disk(None), &WITHOUT_DISK_ROWS);
        }),
        trial("every_caller_and_operation", Needs::Nothing, || {
            let alices = Setting { owner: Who::Alice, ..Setting::USUAL };
            let commands =
                by_callers(&[&KEY_ROWS[..], &DISK_ROWS, &BACKUP_ROWS, &PROJECT_ROWS].concat());
            hold("callers", &by_everybody(alices), &commands);
            let attached = Setting { attached: Some(Mode::ReadWrite), ..alices };
            hold("callers-attached", &by_everybody(attached), &by_callers(&DISK_ROWS));
        }),
        trial("every_caller_and_encryption_without_an_agency", Needs::Nothing, || {
            let never = Setting { agency: Agency::Never, owner: Who::Alice, ..Setting::USUAL };
            hold("no-agency", &by_everybody(never), &by_callers(&DISK_ROWS[..2]));
            let removed = Setting { agency: Agency::Removed, ..never };
            hold("agency-removed", &by_everybody(removed), &by_callers(&DISK_ROWS));
            hold("agency-removed-backups", &by_everybody(removed), &by_callers(&BACKUP_ROWS));
            let attached = Setting { attached: Some(Mode::ReadWrite), ..removed };
            hold("agency-removed-attached", &by_everybody(attached), &DISK_ROWS);
        }),
        trial("the_quota_of_keys", Needs::Nothing, the_quota_of_keys),
    ]
}

const KEY_ROWS: [(&str, Steps); 33] = [
    ("create-again", |key| vec![Verb::KeyCreate(key, Origin::Kms)]),
    ("enable", |key| vec![Verb::KeyEnable(key)]),
    ("disable", |key| vec![Verb::KeyDisable(key)]),
    ("schedule-7", |key| vec![Verb::KeySchedule(key, 7)]),
    ("schedule-1096", |key| vec![Verb::KeySchedule(key, 1096)]),
    ("schedule-6", |key| vec![Verb::KeySchedule(key, 6)]),
    ("schedule-1097", |key| vec![Verb::KeySchedule(key, 1097)]),
    ("cancel", |key| vec![Verb::KeyCancel(key)]),
    ("cancel,enable", |key| vec![Verb::KeyCancel(key), Verb::KeyEnable(key)]),
    ("29-days", |_| vec![Verb::Pass(29)]),
    ("30-days", |_| vec![Verb::Pass(30)]),
    ("clock-ahead,cancel", |key| vec![Verb::WhileAhead(31, Box::new(Verb::KeyCancel(key)))]),
    ("confirm", |key| vec![Verb::KeyConfirm(key)]),
    ("clock-ahead,confirm", |key| vec![Verb::WhileAhead(31, Box::new(Verb::KeyConfirm(key)))]),
    ("import", |key| vec![Verb::KeyImport(key, 0, None)]),
    ("import-until", |key| vec![Verb::KeyImport(key, 0, Some(1))]),
    ("import-other", |key| vec![Verb::KeyImport(key, 1, None)]),
    ("import-31-bytes", |key| vec![Verb::KeyImport(key, SHORT, None)]),
    ("import-until-now", |key| vec![Verb::KeyImport(key, 0, Some(0))]),
    ("delete-material", |key| vec![Verb::KeyDeleteMaterial(key)]),
    ("20-days", |_| vec![Verb::Pass(20)]),
    ("rotate", |key| vec![Verb::KeyRotate(key)]),
    ("rotation-30", |key| vec![Verb::KeyRotation(key, Some(30))]),
    ("rotation-365", |key| vec![Verb::KeyRotation(key, Some(365))]),
    ("rotation-29", |key| vec![Verb::KeyRotation(key, Some(29))]),
    ("rotation-366", |key| vec![Verb::KeyRotation(key, Some(366))]),
    ("rotation-off", |key| vec![Verb::KeyRotation(key, None)]),
    ("rotation-30,again", |key| {
        vec![Verb::KeyRotation(key, Some(30)), Verb::KeyRotation(key, Some(60))]
    }),
    ("describe", |key| vec![Verb::KeyDescribe(key, "ledgers")]),
    ("set-alias", |key| vec![Verb::KeySetAlias(key, "renamed")]),
    ("set-alias-evs/", |key| vec![Verb::KeySetAlias(key, "evs/mine")]),
    ("set-alias-taken", |key| vec![Verb::KeySetAlias(key, "other")]),
    ("set-alias-own", |key| vec![Verb::KeySetAlias(key, key)]),
];

const DISK_ROWS: [(&str, Steps); 26] = [
    ("create-encrypted", |key| vec![new_disk("log", Some(true), Some(key))]),
    ("create-unencrypted", |_| vec![new_disk("log", Some(false), None)]),
    ("create-by-default", |_| vec![new_disk("log", None, None)]),
    ("create-taken", |key| vec![new_disk("db", Some(true), Some(key))]),
    ("attach", |_| vec![ATTACH]),
    ("attach-read-only", |_| vec![Verb::DiskAttach("db", Mode::ReadOnly)]),
    ("write", |_| vec![Verb::Write("db", 0, 0xB2)]),
    ("write-past-the-end", |_| vec![Verb::Write("db", 3, 0xB2)]),
    ("detach", |_| vec![DETACH]),
    ("detach-while-open", |_| vec![Verb::DiskDetach("db", Detach::Open)]),
    ("detach-force-open", |_| vec![Verb::DiskDetach("db", Detach::Forced)]),
    ("detach,attach", |_| vec![DETACH, ATTACH]),
    ("detach,enable,attach", |key| vec![DETACH, Verb::KeyEnable(key), ATTACH]),
    ("cancel,enable,attach", |key| vec![Verb::KeyCancel(key), Verb::KeyEnable(key), ATTACH]),
    ("clock-ahead,attach", |_| vec![Verb::WhileAhead(31, Box::new(ATTACH))]),
    ("30-days,write", |_| vec![Verb::Pass(30), Verb::Write("db", 0, 0xB2)]),
    ("30-days,detach,attach", |_| vec![Verb::Pass(30), DETACH, ATTACH]),
    ("detach,key-anew,attach", |key| vec![DETACH, Verb::KeyCreate(key, Origin::Kms), ATTACH]),
    ("extend", |_| vec![Verb::DiskExtend("db", 2 * MIB)]),
    ("extend,write", |_| vec![Verb::DiskExtend("db", 2 * MIB), Verb::Write("db", 3, 0xB2)]),
    ("rewrap", |_| vec![Verb::DiskRewrap("db")]),
    ("rotate,rewrap", |key| vec![Verb::KeyRotate(key), Verb::DiskRewrap("db")]),
    ("delete", |_| vec![Verb::DiskDelete("db")]),
    ("restart", |_| vec![restart(false, true)]),
    ("restart-after-kill", |_| vec![restart(true, true)]),
    ("restart-no-reattach", |_| vec![restart(false, false)]),
];

const BACKUP_ROWS: [(&str, Steps); 20] = [
    ("back-up", |_| vec![BACK_UP]),
    ("back-up,again", |_| vec![BACK_UP, BACK_UP]),
    ("back-up,another", |_| vec![BACK_UP, Verb::BackupCreate("db", "tuesday")]),
    ("clock-ahead,back-up", |_| vec![Verb::WhileAhead(31, Box::new(BACK_UP))]),
    ("verify", |_| vec![Verb::BackupVerify("monday")]),
    ("back-up,verify", |_| vec![BACK_UP, Verb::BackupVerify("monday")]),
    ("back-up,delete", |_| vec![BACK_UP, Verb::BackupDelete("monday")]),
    ("back-up,restart", |_| vec![BACK_UP, restart(true, true)]),
    ("restore", |_| vec![restore(None, None)]),
    ("back-up,restore", |_| vec![BACK_UP, restore(None, None)]),
    ("...-encrypted", |_| vec![BACK_UP, restore(Some(true), None)]),
    ("...-under-other", |_| vec![BACK_UP, restore(Some(true), Some("other"))]),
    ("...-unencrypted", |_| vec![BACK_UP, restore(Some(false), None)]),
    ("...-under-the-key", |key| vec![BACK_UP, restore(None, Some(key))]),
    ("...,attach", |_| {
        vec![BACK_UP, restore(None, None), Verb::DiskAttach("log", Mode::ReadWrite)]
    }),
    ("...,restart", |_| vec![BACK_UP, restore(None, None), restart(true, true)]),
    ("...-over-the-disk", |_| {
        vec![BACK_UP, Verb::DiskRestore(Restored { name: "db", ..from_backup() })]
    }),
    ("...-smaller", |_| {
        vec![BACK_UP, Verb::DiskRestore(Restored { size: Some(MIB / 2), ..from_backup() })]
    }),
    ("back-up,30-days,restore", |_| vec![BACK_UP, Verb::Pass(30), restore(None, None)]),
    ("...,enable,restore", |key| vec![BACK_UP, Verb::KeyEnable(key), restore(None, None)]),
];

/// The disk is deleted, or its key made anew: the backup stays what it was (RULES P3, K9).
const WITHOUT_DISK_ROWS: [(&str, Steps); 3] = [
    ("back-up,delete-disk", |_| vec![BACK_UP, Verb::DiskDelete("db")]),
    ("...,restore", |_| vec![BACK_UP, Verb::DiskDelete("db"), restore(None, None)]),
    ("...,key-anew,restore", |key| {
        vec![
            BACK_UP,
            Verb::DiskDelete("db"),
            Verb::KeyCreate(key, Origin::Kms),
            restore(None, None),
        ]
    }),
];

const PROJECT_ROWS: [(&str, Steps); 5] = [
    ("agency-create", |_| vec![Verb::AgencyCreate]),
    ("agency-delete", |_| vec![Verb::AgencyDelete]),
    ("default-encryption-off", |_| vec![Verb::DefaultEncryption(None)]),
    ("default-encryption-on", |key| vec![Verb::DefaultEncryption(Some(key))]),
    ("default-encryption-evs", |_| vec![Verb::DefaultEncryption(Some("evs/default"))]),
];

const ATTACH: Verb = Verb::DiskAttach("db", Mode::ReadWrite);
const DETACH: Verb = Verb::DiskDetach("db", Detach::Idle);

const BACK_UP: Verb = Verb::BackupCreate("db", "monday");

fn from_backup() -> Restored {
    Restored { name: "log", backup: "monday", size: None, encrypted: None, key: None }
}

fn restore(encrypted: Option<bool>, key: Option<&'static str>) -> Verb {
    Verb::DiskRestore(Restored { encrypted, key, ..from_backup() })
}

fn new_disk(name: &'static str, encrypted: Option<bool>, key: Option<&'static str>) -> Verb {
    Verb::DiskCreate(NewDisk { name, size: MIB, encrypted, key, sector: 4096 })
}

fn restart(killed: bool, reattach: bool) -> Verb {
    Verb::Restart(Restart { killed, days: 0, reattach })
}

fn with_disk(attached: Option<Mode>) -> Vec<(&'static str, Setting)> {
    let setting = |state| Setting { state, attached, ..Setting::USUAL };
    STATES.into_iter().map(|state| (state, setting(state))).collect()
}

fn by_everybody(setting: Setting) -> Vec<(&'static str, Setting)> {
    Who::ALL.into_iter().map(|who| (who.name(), Setting { who, ..setting })).collect()
}

/// The rows that are commands from beginning to end: time, restarts and I/O have no caller.
fn by_callers(rows: &[(&'static str, Steps)]) -> Vec<(&'static str, Steps)> {
    let is_command = |verb: Verb| verb.request(|_| String::new()).is_some();
    let all = rows.iter().copied();
    all.filter(|(_, steps)| steps("a").into_iter().all(is_command)).collect()
}

/// RULES K4: every state counts, the default key does not, and a destroyed key makes room.
fn the_quota_of_keys() {
    let mut stand = Stand::new();
    let names: Vec<&'static str> =
        (0..100).map(|number| &*Box::leak(format!("k{number}").into_boxed_str())).collect();
    for name in &names {
        stand.allowed(Who::Keeper, Verb::KeyCreate(name, Origin::External));
    }
    let one_more = Line { who: Who::Keeper, verb: Verb::KeyCreate("more", Origin::Kms) };
    let full = Err(Refusal::coded("quota", "KMS.1105"));
    assert_eq!(stand.step(&one_more), Ok(full));
    stand.allowed(Who::Keeper, Verb::KeySchedule("k7", 7));
    assert_eq!(stand.step(&one_more), Ok(full));
    stand.allowed(Who::Root, Verb::AgencyCreate);
    stand.allowed(Who::Alice, new_disk("db", Some(true), None));
    stand.allowed(Who::Root, Verb::Pass(7));
    assert_eq!(stand.step(&one_more), Ok(Ok(())));
}

/// Brings every cell about and holds the table against the one of this name in `tables.txt`.
#[track_caller]
fn hold(
    name: &str,
    columns: &[(&'static str, Setting)],
    rows: &[(&'static str, Steps)],
) -> Vec<Vec<String>> {
    let cells = cells(columns, rows);
    let mut text = format!("[{name}]\n{:<24}", "");
    let width = |column: usize| {
        let all = cells.iter().map(|row| row[column].len());
        all.chain([columns[column].0.len()]).max().unwrap() + 1
    };
    for (column, (header, _)) in columns.iter().enumerate() {
        write!(text, "{header:<0$}", width(column)).unwrap();
    }
    for ((row, _), cells) in rows.iter().zip(&cells) {
        write!(text, "\n{row:<24}").unwrap();
        for (column, cell) in cells.iter().enumerate() {
            write!(text, "{cell:<0$}", width(column)).unwrap();
        }
    }
    let text: Vec<&str> = text.lines().map(str::trim_end).collect();
    println!("\n{}\n{} cells", text.join("\n"), rows.len() * columns.len());
    let expected = include_str!("tables.txt").split("\n\n");
    let expected = expected.map(|table| table.trim_end().lines().collect::<Vec<_>>());
    let expected = expected.into_iter().find(|table| table[0] == format!("[{name}]"));
    let expected = expected.unwrap_or_else(|| panic!("tables.txt has no [{name}]"));
    for (seen, expected) in text.iter().zip(&expected) {
        assert_eq!(seen, expected, "a row of [{name}]");
    }
    assert_eq!(text.len(), expected.len(), "rows of [{name}]");
    cells
}

/// The columns side by side, since some cells wait.
fn cells(columns: &[(&str, Setting)], rows: &[(&str, Steps)]) -> Vec<Vec<String>> {
    let column = |setting: Setting| -> Vec<String> {
        rows.iter().map(|(_, steps)| setting.outcome_of(&steps(setting.key()))).collect()
    };
    let columns: Vec<Vec<String>> = std::thread::scope(|scope| {
        let started = columns.iter().map(|(_, setting)| scope.spawn(|| column(*setting)));
        let started: Vec<_> = started.collect();
        started.into_iter().map(|cells| cells.join().expect("the cells agree")).collect()
    });
    (0..rows.len()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}
