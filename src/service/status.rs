//! The life of a disk (RULES D1).
//!
//! ```text
//!              ┌────────────────────────── error
//!              │ failed                      │ delete
//! creating ────┴─▶ available ──delete──▶ deleting ──▶ (gone)
//!                  │  ▲  ▲  │                │ failed
//!           attach │  │  │  │ extend         ▼
//!                  ▼  │  │  ▼             error-deleting
//!            attaching│  extending
//!                  │  │  ▲  │
//!                  ▼  │  │  ▼
//!                 in-use ──detach──▶ detaching ──▶ available
//!                  │  ▲                  ▲
//!          suspend │  │ resume           │ detach
//!                  ▼  │                  │
//!                 suspended ─────────────┘
//! ```
//! On the two ways between `in-use` and `suspended` a disk is `suspending` and `resuming`. A backup
//! (`backing-up`), a rewrap (`rewrapping`) and the sealing of what was never written
//! (`materializing`) start and end at `available` or `in-use` as `extending` does; a rewrap, which
//! takes nothing but the record, also at `suspended`.

use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Name;

/// Where a disk rests between verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resting {
    /// Not attached.
    Available,
    /// Attached.
    InUse,
    /// Attached, and without its key for a while.
    Suspended,
}

/// A disk's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiskStatus {
    /// Its record and payload are being made.
    Creating,
    /// Ready to be attached.
    Available,
    /// Its key is being opened.
    Attaching,
    /// A file in the mount.
    InUse,
    /// Being flushed and having its key wiped; its file stays.
    Suspending,
    /// A file in the mount, whose data waits for the key.
    Suspended,
    /// Its key is being opened again.
    Resuming,
    /// Being flushed and wiped.
    Detaching(Resting),
    /// Growing.
    Extending(Resting),
    /// Its data key is being wrapped again.
    Rewrapping(Resting),
    /// Being sealed where it was never written.
    Materializing(Resting),
    /// Being copied into a backup.
    BackingUp(Resting),
    /// Being filled from a backup.
    RestoringBackup,
    /// Its payload and record are being removed.
    Deleting,
    /// Unusable, with the reason in `error`.
    Error,
    /// Removal failed half-way.
    ErrorDeleting,
    /// Restoring failed half-way.
    ErrorRestoring,
}

/// What happens to a disk: a verb begins, or its work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiskEvent {
    /// Creation ended well.
    Created,
    /// The disk was found damaged.
    Damaged,
    /// `attach` begins.
    Attach,
    /// `suspend` begins.
    Suspend,
    /// `resume` begins.
    Resume,
    /// `detach` begins.
    Detach,
    /// `extend` begins.
    Extend,
    /// `rewrap` begins.
    Rewrap,
    /// `materialize` begins.
    Materialize,
    /// A backup begins.
    BackUp,
    /// `delete` begins.
    Delete,
    /// The work begun by the last verb ended well.
    Done,
    /// The work begun by the last verb failed and was undone.
    Failed,
}

impl DiskStatus {
    /// Every status.
    pub const ALL: [DiskStatus; 23] = [
        DiskStatus::Creating,
        DiskStatus::Available,
        DiskStatus::Attaching,
        DiskStatus::InUse,
        DiskStatus::Suspending,
        DiskStatus::Suspended,
        DiskStatus::Resuming,
        DiskStatus::Detaching(Resting::InUse),
        DiskStatus::Detaching(Resting::Suspended),
        DiskStatus::Extending(Resting::Available),
        DiskStatus::Extending(Resting::InUse),
        DiskStatus::Rewrapping(Resting::Available),
        DiskStatus::Rewrapping(Resting::InUse),
        DiskStatus::Rewrapping(Resting::Suspended),
        DiskStatus::Materializing(Resting::Available),
        DiskStatus::Materializing(Resting::InUse),
        DiskStatus::BackingUp(Resting::Available),
        DiskStatus::BackingUp(Resting::InUse),
        DiskStatus::RestoringBackup,
        DiskStatus::Deleting,
        DiskStatus::Error,
        DiskStatus::ErrorDeleting,
        DiskStatus::ErrorRestoring,
    ];

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            DiskStatus::Creating => "creating",
            DiskStatus::Available => "available",
            DiskStatus::Attaching => "attaching",
            DiskStatus::InUse => "in-use",
            DiskStatus::Suspending => "suspending",
            DiskStatus::Suspended => "suspended",
            DiskStatus::Resuming => "resuming",
            DiskStatus::Detaching(_) => "detaching",
            DiskStatus::Extending(_) => "extending",
            DiskStatus::Rewrapping(_) => "rewrapping",
            DiskStatus::Materializing(_) => "materializing",
            DiskStatus::BackingUp(_) => "backing-up",
            DiskStatus::RestoringBackup => "restoring-backup",
            DiskStatus::Deleting => "deleting",
            DiskStatus::Error => "error",
            DiskStatus::ErrorDeleting => "error-deleting",
            DiskStatus::ErrorRestoring => "error-restoring",
        }
    }

    /// The transition table: the status after `event`, or `None` where it is refused.
    pub const fn after(self, event: DiskEvent) -> Option<DiskStatus> {
        use DiskEvent as E;
        use DiskStatus as S;
        match (self, event) {
            (S::Creating | S::RestoringBackup, E::Created) => Some(S::Available),
            (S::Creating | S::Available, E::Damaged) => Some(S::Error),
            (S::RestoringBackup, E::Failed) => Some(S::ErrorRestoring),

            (S::Available, E::Attach) => Some(S::Attaching),
            (S::Attaching, E::Done) => Some(S::InUse),
            (S::Attaching, E::Failed) => Some(S::Available),

            (S::InUse, E::Suspend) => Some(S::Suspending),
            (S::Suspending, E::Done) => Some(S::Suspended),
            (S::Suspending, E::Failed) => Some(S::InUse),
            (S::Suspended, E::Resume) => Some(S::Resuming),
            (S::Resuming, E::Done) => Some(S::InUse),
            (S::Resuming, E::Failed) => Some(S::Suspended),

            (S::InUse, E::Detach) => Some(S::Detaching(Resting::InUse)),
            (S::Suspended, E::Detach) => Some(S::Detaching(Resting::Suspended)),
            (S::Detaching(_), E::Done) => Some(S::Available),
            (S::Detaching(rest), E::Failed) => Some(rest.status()),

            (S::Available, E::Extend) => Some(S::Extending(Resting::Available)),
            (S::InUse, E::Extend) => Some(S::Extending(Resting::InUse)),
            (S::Available, E::BackUp) => Some(S::BackingUp(Resting::Available)),
            (S::InUse, E::BackUp) => Some(S::BackingUp(Resting::InUse)),
            (S::Available, E::Rewrap) => Some(S::Rewrapping(Resting::Available)),
            (S::InUse, E::Rewrap) => Some(S::Rewrapping(Resting::InUse)),
            (S::Suspended, E::Rewrap) => Some(S::Rewrapping(Resting::Suspended)),
            (S::Available, E::Materialize) => Some(S::Materializing(Resting::Available)),
            (S::InUse, E::Materialize) => Some(S::Materializing(Resting::InUse)),
            (
                S::Extending(rest)
                | S::Rewrapping(rest)
                | S::Materializing(rest)
                | S::BackingUp(rest),
                E::Done | E::Failed,
            ) => Some(rest.status()),

            (S::Available | S::Error | S::ErrorDeleting | S::ErrorRestoring, E::Delete) => {
                Some(S::Deleting)
            }
            (S::Deleting, E::Failed) => Some(S::ErrorDeleting),
            // Nobody sees a deleted disk any more.
            (S::Deleting, E::Done) => Some(S::Deleting),
            _ => None,
        }
    }

    /// Moves on, or refuses the verb.
    ///
    /// # Errors
    /// `wrong-status` with EVS.1046, naming the status and the verb.
    pub fn moved_by(self, event: DiskEvent, disk: &Name) -> Result<DiskStatus> {
        self.after(event).ok_or_else(|| {
            let status = self.name();
            let verb = event.verb();
            let error = Error::new(
                ErrorKind::WrongStatus,
                format!("disk {:?} is {status}, which does not allow {verb}", disk.as_str()),
            )
            .code(Code::EVS_1046);
            match (self, event) {
                (S::InUse | S::Suspended, DiskEvent::Delete) => {
                    error.remedy(format!("evsfs disk detach {disk}"))
                }
                (S::Available, DiskEvent::Detach) => error.remedy("nothing to do: it is detached"),
                (S::InUse, DiskEvent::Attach) => error.remedy("nothing to do: it is attached"),
                (S::InUse, DiskEvent::Resume) => error.remedy("nothing to do: it has its key"),
                (S::Suspended, DiskEvent::Suspend) => {
                    error.remedy("nothing to do: it is suspended")
                }
                (S::Suspended, _) => error.remedy(format!("evsfs disk resume {disk}")),
                (S::Available, DiskEvent::Suspend | DiskEvent::Resume) => {
                    error.remedy("nothing to do: it is detached, and its key is not in memory")
                }
                (S::Error, _) => {
                    error.remedy(format!("evsfs disk show {disk}   (see the line `error`)"))
                }
                _ => error.remedy(format!("evsfs disk show {disk}, and try again when it is done")),
            }
        })
    }
}

use DiskStatus as S;

impl Resting {
    const fn status(self) -> DiskStatus {
        match self {
            Resting::Available => DiskStatus::Available,
            Resting::InUse => DiskStatus::InUse,
            Resting::Suspended => DiskStatus::Suspended,
        }
    }
}

impl DiskEvent {
    /// Every event.
    pub const ALL: [DiskEvent; 13] = [
        DiskEvent::Created,
        DiskEvent::Damaged,
        DiskEvent::Attach,
        DiskEvent::Suspend,
        DiskEvent::Resume,
        DiskEvent::Detach,
        DiskEvent::Extend,
        DiskEvent::Rewrap,
        DiskEvent::Materialize,
        DiskEvent::BackUp,
        DiskEvent::Delete,
        DiskEvent::Done,
        DiskEvent::Failed,
    ];

    const fn verb(self) -> &'static str {
        match self {
            DiskEvent::Attach => "attach",
            DiskEvent::Suspend => "suspend",
            DiskEvent::Resume => "resume",
            DiskEvent::Detach => "detach",
            DiskEvent::Extend => "extend",
            DiskEvent::Rewrap => "rewrap",
            DiskEvent::Materialize => "materialize",
            DiskEvent::BackUp => "backup",
            DiskEvent::Delete => "delete",
            DiskEvent::Created | DiskEvent::Damaged | DiskEvent::Done | DiskEvent::Failed => {
                "this change"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULES D1 written down a second time, as the list of all that is allowed.
    const ALLOWED: [(&str, DiskEvent, &str); 50] = [
        ("creating", DiskEvent::Created, "available"),
        ("creating", DiskEvent::Damaged, "error"),
        ("available", DiskEvent::Damaged, "error"),
        ("restoring-backup", DiskEvent::Created, "available"),
        ("restoring-backup", DiskEvent::Failed, "error-restoring"),
        ("available", DiskEvent::Attach, "attaching"),
        ("attaching", DiskEvent::Done, "in-use"),
        ("attaching", DiskEvent::Failed, "available"),
        ("in-use", DiskEvent::Detach, "detaching"),
        ("detaching", DiskEvent::Done, "available"),
        ("detaching", DiskEvent::Failed, "in-use"),
        ("in-use", DiskEvent::Suspend, "suspending"),
        ("suspending", DiskEvent::Done, "suspended"),
        ("suspending", DiskEvent::Failed, "in-use"),
        ("suspended", DiskEvent::Resume, "resuming"),
        ("resuming", DiskEvent::Done, "in-use"),
        ("resuming", DiskEvent::Failed, "suspended"),
        ("suspended", DiskEvent::Detach, "detaching"),
        ("detaching", DiskEvent::Failed, "suspended"),
        ("available", DiskEvent::Extend, "extending"),
        ("in-use", DiskEvent::Extend, "extending"),
        ("available", DiskEvent::Rewrap, "rewrapping"),
        ("in-use", DiskEvent::Rewrap, "rewrapping"),
        ("rewrapping", DiskEvent::Done, "available"),
        ("rewrapping", DiskEvent::Done, "in-use"),
        ("rewrapping", DiskEvent::Failed, "available"),
        ("rewrapping", DiskEvent::Failed, "in-use"),
        ("suspended", DiskEvent::Rewrap, "rewrapping"),
        ("rewrapping", DiskEvent::Done, "suspended"),
        ("rewrapping", DiskEvent::Failed, "suspended"),
        ("available", DiskEvent::Materialize, "materializing"),
        ("in-use", DiskEvent::Materialize, "materializing"),
        ("materializing", DiskEvent::Done, "available"),
        ("materializing", DiskEvent::Done, "in-use"),
        ("materializing", DiskEvent::Failed, "available"),
        ("materializing", DiskEvent::Failed, "in-use"),
        ("available", DiskEvent::BackUp, "backing-up"),
        ("in-use", DiskEvent::BackUp, "backing-up"),
        ("extending", DiskEvent::Done, "available"),
        ("extending", DiskEvent::Done, "in-use"),
        ("extending", DiskEvent::Failed, "available"),
        ("extending", DiskEvent::Failed, "in-use"),
        ("backing-up", DiskEvent::Done, "available"),
        ("backing-up", DiskEvent::Failed, "in-use"),
        ("available", DiskEvent::Delete, "deleting"),
        ("error", DiskEvent::Delete, "deleting"),
        ("error-deleting", DiskEvent::Delete, "deleting"),
        ("error-restoring", DiskEvent::Delete, "deleting"),
        ("deleting", DiskEvent::Failed, "error-deleting"),
        ("deleting", DiskEvent::Done, "deleting"),
    ];

    #[test]
    fn every_pair_of_status_and_event_does_what_rule_d1_says() {
        let name = Name::parse("db").unwrap();
        for status in DiskStatus::ALL {
            for event in DiskEvent::ALL {
                let listed: Vec<_> = ALLOWED
                    .iter()
                    .filter(|(from, by, _)| *from == status.name() && *by == event)
                    .collect();
                match status.after(event) {
                    Some(next) if matches!(status, S::BackingUp(_)) => {
                        assert!(matches!(next, S::Available | S::InUse));
                    }
                    Some(next) => assert!(
                        listed.iter().any(|(_, _, to)| *to == next.name()),
                        "{status:?} by {event:?} became {next:?}"
                    ),
                    None => {
                        assert!(listed.is_empty(), "{status:?} refused {event:?}");
                        let refusal = status.moved_by(event, &name).unwrap_err();
                        assert_eq!(refusal.documented_code(), Some(Code::EVS_1046));
                        assert!(refusal.message().contains(status.name()), "{refusal}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_disk_that_is_extended_or_rewrapped_returns_to_where_it_was() {
        for start in [S::Available, S::InUse] {
            for verb in [DiskEvent::Extend, DiskEvent::Rewrap, DiskEvent::Materialize] {
                let at_work = start.after(verb).unwrap();
                assert_eq!(at_work.after(DiskEvent::Done), Some(start));
                assert_eq!(at_work.after(DiskEvent::Failed), Some(start));
            }
        }
    }

    /// A verb that is refused after it began leaves a suspended disk without its key.
    #[test]
    fn no_failure_gives_a_suspended_disk_its_key_back() {
        for verb in [DiskEvent::Resume, DiskEvent::Detach, DiskEvent::Rewrap] {
            let at_work = S::Suspended.after(verb).unwrap();
            assert_eq!(at_work.after(DiskEvent::Failed), Some(S::Suspended), "{verb:?}");
        }
        for verb in [DiskEvent::Attach, DiskEvent::Extend, DiskEvent::BackUp, DiskEvent::Delete] {
            assert_eq!(S::Suspended.after(verb), None, "{verb:?}");
        }
    }
}
