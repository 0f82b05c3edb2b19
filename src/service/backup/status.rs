//! The life of a backup.
//!
//! ```text
//! importing ──▶ creating ──▶ available ──▶ deleting ──▶ (gone)
//!     │                       │   ▲          │ damaged
//!     ▼                       ▼   │          ▼
//!  deleting ──▶ (gone)    merging, or   error-deleting ──▶ deleting
//!                         rewrapping
//! ```
//! A failed creation or import leaves nothing; a deletion that failed before it took anything away
//! goes back to `available`.

use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Name;

/// A backup's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackupStatus {
    /// Its content is being written to `data`.
    Importing,
    /// Being copied.
    Creating,
    /// Whole.
    Available,
    /// Taking over what its deleted parent holds.
    Merging,
    /// Its data key is being wrapped by the newest version of its master key.
    Rewrapping,
    /// Being removed.
    Deleting,
    /// Removal failed half-way.
    ErrorDeleting,
}

/// What happens to a backup: a verb begins, or its work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackupEvent {
    /// All of its content was written to `data`.
    Received,
    /// Its import is given up.
    GiveUp,
    /// It is whole and durable.
    Created,
    /// Its parent is being deleted.
    Merge,
    /// `delete` begins.
    Delete,
    /// The merge has ended, well or not: it is whole in both cases.
    Merged,
    /// `rewrap` begins.
    Rewrap,
    /// The rewrap has ended, well or not.
    Rewrapped,
    /// The deletion failed and nothing is gone.
    Failed,
    /// The deletion failed when files may have gone already.
    Damaged,
}

impl BackupStatus {
    /// Every status.
    pub const ALL: [BackupStatus; 7] = [
        BackupStatus::Importing,
        BackupStatus::Creating,
        BackupStatus::Available,
        BackupStatus::Merging,
        BackupStatus::Rewrapping,
        BackupStatus::Deleting,
        BackupStatus::ErrorDeleting,
    ];

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            BackupStatus::Importing => "importing",
            BackupStatus::Creating => "creating",
            BackupStatus::Available => "available",
            BackupStatus::Merging => "merging",
            BackupStatus::Rewrapping => "rewrapping",
            BackupStatus::Deleting => "deleting",
            BackupStatus::ErrorDeleting => "error-deleting",
        }
    }

    /// The transition table: the status after `event`, or `None` where it is refused.
    pub const fn after(self, event: BackupEvent) -> Option<BackupStatus> {
        use BackupEvent as E;
        use BackupStatus as S;
        match (self, event) {
            (S::Importing, E::Received) => Some(S::Creating),
            (S::Importing, E::GiveUp) => Some(S::Deleting),
            (S::Creating, E::Created) => Some(S::Available),
            (S::Available, E::Merge) => Some(S::Merging),
            (S::Merging, E::Merged) => Some(S::Available),
            (S::Available, E::Rewrap) => Some(S::Rewrapping),
            (S::Rewrapping, E::Rewrapped) => Some(S::Available),
            (S::Available | S::ErrorDeleting, E::Delete) => Some(S::Deleting),
            (S::Deleting, E::Failed) => Some(S::Available),
            (S::Deleting, E::Damaged) => Some(S::ErrorDeleting),
            _ => None,
        }
    }

    /// The status once a verb has begun with `event`.
    ///
    /// # Errors
    /// `wrong-status` with EVS.1046, naming the status and the verb.
    pub(super) fn moved_by(
        self,
        event: BackupEvent,
        backup: &Name,
        verb: &str,
    ) -> Result<BackupStatus> {
        self.after(event).ok_or_else(|| refused(self, backup, verb))
    }

    /// Refuses a verb that needs a whole backup at rest.
    ///
    /// # Errors
    /// `wrong-status` with EVS.1046, naming the status and the verb.
    pub fn must_be_available(self, backup: &Name, verb: &str) -> Result<()> {
        if self == BackupStatus::Available {
            return Ok(());
        }
        Err(refused(self, backup, verb))
    }
}

/// The refusal of a verb in the wrong status.
fn refused(status: BackupStatus, backup: &Name, verb: &str) -> Error {
    let (status, name) = (status.name(), backup.as_str());
    let message = format!("backup {name:?} is {status}, which does not allow {verb}");
    Error::new(ErrorKind::WrongStatus, message)
        .code(Code::EVS_1046)
        .remedy(format!("evsfs backup show {name}, and try again when it is done"))
}

impl BackupEvent {
    /// Every event.
    pub const ALL: [BackupEvent; 10] = [
        BackupEvent::Received,
        BackupEvent::GiveUp,
        BackupEvent::Created,
        BackupEvent::Merge,
        BackupEvent::Delete,
        BackupEvent::Merged,
        BackupEvent::Rewrap,
        BackupEvent::Rewrapped,
        BackupEvent::Failed,
        BackupEvent::Damaged,
    ];
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// All pairs: what is not in this list is refused.
    #[test]
    fn every_pair_of_status_and_event_is_as_the_table_says() {
        use BackupEvent as E;
        use BackupStatus as S;
        let allowed = [
            (S::Importing, E::Received, S::Creating),
            (S::Importing, E::GiveUp, S::Deleting),
            (S::Creating, E::Created, S::Available),
            (S::Available, E::Merge, S::Merging),
            (S::Available, E::Delete, S::Deleting),
            (S::Merging, E::Merged, S::Available),
            (S::Available, E::Rewrap, S::Rewrapping),
            (S::Rewrapping, E::Rewrapped, S::Available),
            (S::Deleting, E::Failed, S::Available),
            (S::Deleting, E::Damaged, S::ErrorDeleting),
            (S::ErrorDeleting, E::Delete, S::Deleting),
        ];
        for status in S::ALL {
            for event in E::ALL {
                let expected = allowed.iter().find(|row| (row.0, row.1) == (status, event));
                assert_eq!(status.after(event), expected.map(|row| row.2), "{status:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_refusal_names_the_status_and_the_verb() {
        let name = Name::parse("nightly").unwrap();
        let error = S::Creating.must_be_available(&name, "verify").unwrap_err();
        assert_eq!(error.documented_code(), Some(Code::EVS_1046));
        assert!(error.to_string().contains("creating") && error.to_string().contains("verify"));
        S::Available.must_be_available(&name, "verify").unwrap();
    }

    use BackupStatus as S;
}
