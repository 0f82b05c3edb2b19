//! The life of a master key.

use crate::error::Code;
use crate::error::ErrorKind;
use serde::Deserialize;
use serde::Serialize;

/// Where a master key is in its life (RULES K1).
///
/// ```text
///   create external            create
///         |                       |
///         v        import         v     disable
///  +----------------+ -----> +---------+ -----> +----------+
///  | pending-import |        | enabled |        | disabled | <---+
///  +----------------+ <-.    +---------+ <----- +----------+     |
///      |    ^            `----'   |     enable     |   |         |
///      |    |     delete material |                |   |         |
///      |    |     <---------------+----------------+   |         |
///      |    | cancel,             | schedule deletion  |         | cancel,
///      |    | no material         v                    |         | material
///      |    |          +------------------+ <----------'         | there
///      `----+--------> | pending-deletion | ---------------------'
///           `--------- +------------------+
///                                 | deadline passes
///                                 v
///                                gone
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// An external key waits for its material.
    PendingImport,
    /// Data keys can be made and opened.
    Enabled,
    /// Nothing can be made or opened until it is enabled.
    Disabled,
    /// As disabled, and destroyed when the deadline passes unless the deletion is cancelled.
    PendingDeletion,
}

/// Whether the HSM holds material for the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Material {
    /// It does.
    Present,
    /// It may still: the key has given it up, and it is being destroyed.
    Leaving,
    /// It does not, or not any more.
    Absent,
}

/// What can be asked of a key, or happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Make it usable again.
    Enable,
    /// Make it unusable.
    Disable,
    /// Destroy it on a date.
    ScheduleDeletion,
    /// Keep it after all; where it goes depends on what the HSM holds.
    CancelDeletion(Material),
    /// Its date has come.
    Destroy,
    /// Make or open a data key.
    UseForDataKey,
    /// Take material from outside.
    Import,
    /// Give up material that came from outside.
    DeleteMaterial,
    /// The date has come on which such material is given up.
    Expire,
    /// Add a version by hand.
    Rotate,
    /// Add a version because the interval is over, or change the interval.
    ScheduleRotation,
    /// Give it another alias or another description.
    Rename,
    /// See [`Operation::Rename`]; the default key allows this one.
    Describe,
}

/// Where an operation leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, in the same state.
    Stay,
    /// Done, in this state from now on.
    Become(KeyState),
    /// The key exists no more.
    Gone,
    /// Not done.
    Refuse(ErrorKind, Code),
}

impl KeyState {
    /// Every state.
    pub const ALL: [KeyState; 4] =
        [KeyState::PendingImport, KeyState::Enabled, KeyState::Disabled, KeyState::PendingDeletion];

    /// The transition table: the only place where a state follows from another.
    pub const fn after(self, operation: Operation) -> Outcome {
        use ErrorKind::WrongStatus;
        use KeyState::{Disabled, Enabled, PendingDeletion, PendingImport};
        use Operation as Op;
        use Outcome::{Become, Gone, Refuse, Stay};
        match (operation, self) {
            (Op::Enable, Disabled) => Become(Enabled),
            (Op::Enable, PendingImport | Enabled | PendingDeletion) => {
                Refuse(WrongStatus, Code::KMS_1201)
            }

            (Op::Disable, Enabled) => Become(Disabled),
            (Op::Disable, PendingImport | Disabled | PendingDeletion) => {
                Refuse(WrongStatus, Code::KMS_1301)
            }

            (Op::ScheduleDeletion, PendingImport | Enabled | Disabled) => Become(PendingDeletion),
            (Op::ScheduleDeletion, PendingDeletion) => Refuse(WrongStatus, Code::KMS_1402),

            (Op::CancelDeletion(Material::Present), PendingDeletion) => Become(Disabled),
            (Op::CancelDeletion(Material::Leaving | Material::Absent), PendingDeletion) => {
                Become(PendingImport)
            }
            (Op::CancelDeletion(_) | Op::Destroy, PendingImport | Enabled | Disabled) => {
                Refuse(WrongStatus, Code::KMS_1501)
            }
            (Op::Destroy, PendingDeletion) => Gone,

            (Op::Import, PendingImport) => Become(Enabled),
            (Op::Import, Enabled | Disabled | PendingDeletion) => {
                Refuse(WrongStatus, Code::KMS_0310)
            }

            (Op::DeleteMaterial | Op::Expire, Enabled | Disabled) => Become(PendingImport),
            // A date that was set is kept, whatever else is planned for the key.
            (Op::Expire, PendingDeletion) => Stay,
            (Op::DeleteMaterial, PendingImport | PendingDeletion) | (Op::Expire, PendingImport) => {
                Refuse(WrongStatus, Code::KMS_2701)
            }

            (Op::UseForDataKey | Op::Rotate | Op::ScheduleRotation, Enabled)
            | (Op::Rename | Op::Describe, PendingImport | Enabled | Disabled) => Stay,
            (Op::UseForDataKey | Op::Rotate | Op::ScheduleRotation, Disabled) => {
                Refuse(ErrorKind::KeyDisabled, Code::KMS_0209)
            }
            (Op::UseForDataKey | Op::Rotate | Op::ScheduleRotation, PendingImport) => {
                Refuse(ErrorKind::KeyPendingImport, Code::KMS_1301)
            }
            (
                Op::UseForDataKey | Op::Rotate | Op::ScheduleRotation | Op::Rename | Op::Describe,
                PendingDeletion,
            ) => Refuse(ErrorKind::KeyPendingDeletion, Code::KMS_0210),
        }
    }

    /// The state's public name.
    pub const fn name(self) -> &'static str {
        match self {
            KeyState::PendingImport => "pending-import",
            KeyState::Enabled => "enabled",
            KeyState::Disabled => "disabled",
            KeyState::PendingDeletion => "pending-deletion",
        }
    }
}

impl std::fmt::Display for KeyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Operation {
    /// Whether the default key protects itself against it (RULES K2).
    pub const fn is_forbidden_on_the_default_key(self) -> bool {
        match self {
            Operation::Disable
            | Operation::ScheduleDeletion
            | Operation::Destroy
            | Operation::Import
            | Operation::DeleteMaterial
            | Operation::Expire
            | Operation::Rotate
            | Operation::Rename => true,
            Operation::Enable
            | Operation::ScheduleRotation
            | Operation::CancelDeletion(_)
            | Operation::UseForDataKey
            | Operation::Describe => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, KeyState, Material, Operation, Outcome};

    /// RULES K1, row by row: operation, what it gives in each state of [`KeyState::ALL`].
    /// `=` stays, `!` is gone, a state's name is entered, a code refuses.
    const RULES: &[(Operation, [&str; 4])] = &[
        (Operation::Enable, ["KMS.1201", "KMS.1201", "enabled", "KMS.1201"]),
        (Operation::Disable, ["KMS.1301", "disabled", "KMS.1301", "KMS.1301"]),
        (
            Operation::ScheduleDeletion,
            ["pending-deletion", "pending-deletion", "pending-deletion", "KMS.1402"],
        ),
        (
            Operation::CancelDeletion(Material::Present),
            ["KMS.1501", "KMS.1501", "KMS.1501", "disabled"],
        ),
        (
            Operation::CancelDeletion(Material::Absent),
            ["KMS.1501", "KMS.1501", "KMS.1501", "pending-import"],
        ),
        (Operation::Destroy, ["KMS.1501", "KMS.1501", "KMS.1501", "!"]),
        (Operation::UseForDataKey, ["KMS.1301", "=", "KMS.0209", "KMS.0210"]),
        (Operation::Import, ["enabled", "KMS.0310", "KMS.0310", "KMS.0310"]),
        (Operation::DeleteMaterial, ["KMS.2701", "pending-import", "pending-import", "KMS.2701"]),
        (Operation::Expire, ["KMS.2701", "pending-import", "pending-import", "="]),
        (Operation::Rotate, ["KMS.1301", "=", "KMS.0209", "KMS.0210"]),
        (Operation::ScheduleRotation, ["KMS.1301", "=", "KMS.0209", "KMS.0210"]),
        (Operation::Rename, ["=", "=", "=", "KMS.0210"]),
        (Operation::Describe, ["=", "=", "=", "KMS.0210"]),
    ];

    #[test]
    fn every_pair_of_state_and_operation_is_as_rules_k1_says() {
        for (operation, row) in RULES {
            for (state, expected) in KeyState::ALL.into_iter().zip(row) {
                let shown = match state.after(*operation) {
                    Outcome::Stay => "=",
                    Outcome::Gone => "!",
                    Outcome::Become(next) => next.name(),
                    Outcome::Refuse(_, code) => Code::as_str(code),
                };
                assert_eq!(shown, *expected, "{operation:?} in {state}");
            }
        }
    }

    #[test]
    fn a_refused_use_of_a_key_says_in_its_kind_why() {
        for state in KeyState::ALL {
            if let Outcome::Refuse(kind, _) = state.after(Operation::UseForDataKey) {
                assert_eq!(kind.name(), "key-unusable", "{state}");
            }
        }
    }

    #[test]
    fn the_name_of_a_state_is_what_its_record_says() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Holder {
            state: KeyState,
        }
        for state in KeyState::ALL {
            let text = serde_json::to_string(&Holder { state }).unwrap();
            assert_eq!(text, format!("{{\"state\":\"{state}\"}}"));
        }
    }
}
