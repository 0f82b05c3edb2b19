//! What can be asked for, and the proof that it was allowed.

use super::Caller;
use crate::id::Uid;

/// Something a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Find the control directory and read what is public in it.
    EnterControl,
    /// Read which keys there are.
    SeeKeys,
    /// Create keys and change their state.
    ManageKeys,
    /// Take data keys out of evsfs, or into it.
    MoveDataKeys,
    /// Create or delete the agency.
    ManageAgency,
    /// Read what the KMS was asked for.
    ReadAudit,
    /// Choose what becomes of disks whose creator does not say whether to encrypt them.
    ChooseDefaultEncryption,
    /// Create a disk of one's own.
    CreateObject,
    /// See or use a disk that belongs to `owner`.
    UseObject {
        /// Who created the object.
        owner: Uid,
    },
    /// Let a disk's payload lie outside the state directory (RULES A6).
    ChooseBacking,
    /// Stop the daemon.
    StopMount,
}

/// Proof that [`Authority::authorize`](super::Authority::authorize) allowed an action to a caller.
///
/// It can be had nowhere else, is neither copied nor stored, and verbs take it by value, so that
/// no verb can be reached without the question having been asked.
#[derive(Debug)]
#[must_use = "a permit is spent by the verb it was asked for"]
pub struct Permit {
    caller: Caller,
    action: Action,
}

impl Permit {
    pub(super) fn grant(caller: Caller, action: Action) -> Self {
        Permit { caller, action }
    }

    /// Who was allowed.
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// What was allowed.
    pub fn action(&self) -> Action {
        self.action
    }
}
