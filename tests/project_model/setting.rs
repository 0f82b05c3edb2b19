//! Where a cell of a table begins: a key in a state, a disk under it, and who is there.

use crate::callers::Who;
use crate::command::{Detach, Line, MIB, Mode, NewDisk, Origin, Restart, Verb};
use crate::key_rules::DEFAULT;
use crate::model::Project;
use crate::refusal::Outcome;
use crate::shown::DiskRow;
use crate::stand::Stand;

/// What a key can be, or was. Keys of origin external have `x-` before their state; `x-new` never had
/// material, `x-again` had it and gave it up, `x-empty` is that one scheduled for deletion. The
/// material of the others expires in 20 days; keys to be deleted go in 30. Without a key, the disk
/// is not encrypted.
pub const STATES: [&str; 12] = [
    "enabled",
    "disabled",
    "deletion",
    "gone",
    "default",
    "x-new",
    "x-again",
    "x-enabled",
    "x-disabled",
    "x-deletion",
    "x-empty",
    "no-key",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agency {
    Never,
    Present,
    Removed,
}

/// A project with one key and one disk, `db`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// One of [`STATES`].
    pub state: &'static str,
    pub attached: Option<Mode>,
    pub agency: Agency,
    /// Whose disk it is.
    pub owner: Who,
    /// Who takes the steps of the cell.
    pub who: Who,
}

impl Setting {
    pub const USUAL: Setting = Setting {
        state: "enabled",
        attached: None,
        agency: Agency::Present,
        owner: Who::Root,
        who: Who::Root,
    };

    /// The alias of the key.
    pub fn key(self) -> &'static str {
        if self.state == "default" { DEFAULT } else { "a" }
    }

    /// Whether there can be such a disk: under a key that never had material, or in a project that
    /// never had an agency, there is none.
    pub fn has_disk(self) -> bool {
        self.state != "x-new" && (self.agency != Agency::Never || self.state == "no-key")
    }

    /// Whether the key was enabled once, and could be made the one of the default encryption.
    fn has_material(self) -> bool {
        !matches!(self.state, "x-new" | "no-key" | "default")
    }

    /// Brings a new project there, step by step, beside the model.
    pub fn bring_about(self) -> Stand {
        let mut stand = Stand::new();
        let (root, owner, key) = (Who::Root, self.owner, self.key());
        if self.agency != Agency::Never {
            stand.allowed(root, Verb::AgencyCreate);
        }
        stand.allowed(root, Verb::KeyCreate("other", Origin::Kms));
        match self.state {
            "no-key" | "default" => {}
            "enabled" | "disabled" | "deletion" | "gone" => {
                stand.allowed(root, Verb::KeyCreate(key, Origin::Kms));
            }
            _ => stand.allowed(root, Verb::KeyCreate(key, Origin::External)),
        }
        if self.has_material() && self.state.starts_with("x-") {
            stand.allowed(root, Verb::KeyImport(key, 0, Some(20)));
        }
        if self.has_disk() {
            let encrypted = self.state != "no-key";
            let new = NewDisk {
                name: "db",
                size: MIB,
                encrypted: Some(encrypted),
                key: encrypted.then_some(key),
                sector: 4096,
            };
            stand.allowed(owner, Verb::DiskCreate(new));
            stand.allowed(owner, Verb::DiskAttach("db", Mode::ReadWrite));
            stand.allowed(owner, Verb::Write("db", 1, 0xA1));
            if self.attached != Some(Mode::ReadWrite) {
                stand.allowed(owner, Verb::DiskDetach("db", Detach::Idle));
            }
            if self.attached == Some(Mode::ReadOnly) {
                stand.allowed(owner, Verb::DiskAttach("db", Mode::ReadOnly));
            }
        }
        if self.has_material() {
            stand.allowed(root, Verb::DefaultEncryption(Some(key)));
        }
        for verb in match self.state {
            "disabled" | "x-disabled" => vec![Verb::KeyDisable(key)],
            "deletion" | "x-deletion" => vec![Verb::KeySchedule(key, 30)],
            "gone" => vec![Verb::KeySchedule(key, 7), Verb::Pass(7)],
            "x-again" => vec![Verb::KeyDeleteMaterial(key)],
            "x-empty" => vec![Verb::KeyDeleteMaterial(key), Verb::KeySchedule(key, 30)],
            _ => Vec::new(),
        } {
            stand.allowed(root, verb);
        }
        if self.agency == Agency::Removed {
            stand.allowed(root, Verb::AgencyDelete);
        }
        stand
    }

    /// Takes steps from here; what came of the last one, in the words of a table. Model and service
    /// agree after every step, and again after a restart.
    pub fn outcome_of(self, steps: &[Verb]) -> String {
        let mut stand = self.bring_about();
        let before = stand.model.clone();
        let mut outcome: Outcome = Ok(());
        for verb in steps {
            let line = Line { who: self.who, verb: verb.clone() };
            outcome = stand.step(&line).unwrap_or_else(|gap| panic!("{self:?}\n{gap}"));
        }
        let text = match outcome {
            Err(refusal) => refusal.to_string(),
            Ok(()) => self.difference(&before, &stand.model),
        };
        let again = Restart { killed: false, days: 0, reattach: true };
        stand.allowed(Who::Root, Verb::Restart(again));
        stand.compare_everything().unwrap_or_else(|gap| panic!("{self:?} {steps:?}\n{gap}"));
        text
    }

    fn difference(self, before: &Project, after: &Project) -> String {
        let mut changes = Vec::new();
        let key = before.keys.keys.get(self.key());
        if key.is_none() && after.keys.keys.contains_key(self.key()) {
            changes.push("created");
        }
        if let Some(key) = key {
            match after.keys.by_serial(key.serial) {
                None => changes.push("gone"),
                Some((_, now)) if now.state == key.state => {}
                Some((_, now)) => changes.push(match now.state {
                    "pending-import" => "import",
                    "pending-deletion" => "deletion",
                    other => other,
                }),
            }
        }
        let (old, new) = (before.shown_to(Who::Root).disks, after.shown_to(Who::Root).disks);
        match (old.first(), new.first()) {
            (Some(old), Some(new)) if new.name == old.name => {
                match (old.status.as_str(), new.status.as_str(), &new.error) {
                    ("available", "in-use", _) => changes.push("attached"),
                    ("in-use", "available", None) => changes.push("detached"),
                    ("in-use", "available", Some(_)) => changes.push("not-again"),
                    _ => {}
                }
                if new.size > old.size {
                    changes.push("larger");
                }
                let version = |disk: &DiskRow| disk.key.as_ref().map(|(.., version)| *version);
                if version(new) > version(old) {
                    changes.push("rewrapped");
                }
            }
            (Some(_), _) => changes.push("deleted"),
            (None, _) => {}
        }
        if after.backups.len() > before.backups.len() {
            changes.push("backed-up");
        }
        if new.iter().any(|disk| disk.name == "log") {
            changes.push("created");
        }
        if changes.is_empty() { "=".to_owned() } else { changes.join("+") }
    }
}
