//! The decision.

use super::Caller;
use super::permit::{Action, Permit};
use crate::config::{Role, User};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Uid;
use std::collections::HashMap;

/// Knows the users of the project and decides what each may do.
#[derive(Debug)]
pub struct Authority {
    mount_owner: Uid,
    roles: HashMap<Uid, Vec<Role>>,
}

impl Authority {
    /// An authority in which `mount_owner` and root have every role (RULES A1) and `users` those
    /// that the configuration gives them.
    pub fn new(mount_owner: Uid, users: &[User]) -> Self {
        let roles = users.iter().map(|user| (user.uid, user.roles.clone())).collect();
        Authority { mount_owner, roles }
    }

    /// The uid that owns the mount: the account administrator.
    pub fn mount_owner(&self) -> Uid {
        self.mount_owner
    }

    /// Whether the caller has a role.
    pub fn has_role(&self, caller: Caller, role: Role) -> bool {
        self.is_administrator(caller)
            || self.roles.get(&caller.uid()).is_some_and(|roles| roles.contains(&role))
    }

    /// Decides.
    ///
    /// # Errors
    /// `not-found` for an object of another owner, which the caller may not even know of
    /// (RULES A7); `denied` for everything else.
    pub fn authorize(&self, caller: Caller, action: Action) -> Result<Permit> {
        if self.allows(caller, action) {
            return Ok(Permit::grant(caller, action));
        }
        Err(match action {
            Action::UseObject { .. } if self.is_known(caller) => {
                Error::new(ErrorKind::NotFound, "there is no such object")
            }
            _ => self.denial(caller, action),
        })
    }

    /// Whether [`authorize`](Self::authorize) would grant the action.
    pub fn allows(&self, caller: Caller, action: Action) -> bool {
        let has = |role| self.has_role(caller, role);
        match action {
            Action::EnterControl | Action::SeeKeys => self.is_known(caller),
            Action::ManageKeys
            | Action::MoveDataKeys
            | Action::ManageAgency
            | Action::ChooseDefaultEncryption
            | Action::ReadAudit => has(Role::KmsAdministrator),
            Action::CreateObject => has(Role::EvsUser) || has(Role::EvsAdministrator),
            Action::UseObject { owner } => {
                has(Role::EvsAdministrator) || (has(Role::EvsUser) && caller.uid() == owner)
            }
            Action::ChooseBacking => has(Role::EvsAdministrator),
            Action::StopMount => self.is_administrator(caller),
        }
    }

    fn is_administrator(&self, caller: Caller) -> bool {
        caller.uid() == Uid::ROOT || caller.uid() == self.mount_owner
    }

    fn is_known(&self, caller: Caller) -> bool {
        self.is_administrator(caller)
            || self.roles.get(&caller.uid()).is_some_and(|roles| !roles.is_empty())
    }

    fn denial(&self, caller: Caller, action: Action) -> Error {
        let uid = caller.uid();
        if !self.is_known(caller) {
            return Error::new(ErrorKind::Denied, format!("uid {uid} has no role in this project"))
                .remedy("ask the account administrator for a [[user]] entry in the configuration");
        }
        let (what, role) = match action {
            Action::EnterControl | Action::SeeKeys => ("look at this project", "any"),
            Action::ManageKeys => ("change keys", "kms-administrator"),
            Action::MoveDataKeys => ("take data keys out or in", "kms-administrator"),
            Action::ManageAgency => ("change the agency", "kms-administrator"),
            Action::ReadAudit => ("read the audit log", "kms-administrator"),
            Action::ChooseDefaultEncryption => {
                ("change the default encryption", "kms-administrator")
            }
            Action::CreateObject => ("create disks", "evs-user"),
            Action::UseObject { .. } => ("use this object", "evs-administrator"),
            Action::ChooseBacking => ("choose where a payload lies", "evs-administrator"),
            Action::StopMount => ("stop the mount", "account administrator"),
        };
        Error::new(ErrorKind::Denied, format!("uid {uid} may not {what}"))
            .remedy(format!("ask the account administrator for the {role} role"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Caller = Caller::new(Uid::new(1000));
    const BOB: Caller = Caller::new(Uid::new(1001));
    const KEEPER: Caller = Caller::new(Uid::new(1002));
    const OPERATOR: Caller = Caller::new(Uid::new(1003));
    const STRANGER: Caller = Caller::new(Uid::new(65534));
    const OWNER: Caller = Caller::new(Uid::new(500));
    const ROOT: Caller = Caller::new(Uid::ROOT);

    fn authority() -> Authority {
        let user = |name: &str, caller: Caller, role| User {
            name: name.to_owned(),
            uid: caller.uid(),
            roles: vec![role],
        };
        Authority::new(
            OWNER.uid(),
            &[
                user("alice", ALICE, Role::EvsUser),
                user("bob", BOB, Role::EvsUser),
                user("keeper", KEEPER, Role::KmsAdministrator),
                user("operator", OPERATOR, Role::EvsAdministrator),
            ],
        )
    }

    #[test]
    fn every_role_allows_what_rules_a1_and_a5_give_it_and_nothing_else() {
        let of_alice = Action::UseObject { owner: ALICE.uid() };
        // Columns: alice, bob, keeper, operator, stranger, mount owner, root.
        let table: [(Action, [bool; 7]); 11] = [
            (Action::EnterControl, [true, true, true, true, false, true, true]),
            (Action::SeeKeys, [true, true, true, true, false, true, true]),
            (Action::ManageKeys, [false, false, true, false, false, true, true]),
            (Action::MoveDataKeys, [false, false, true, false, false, true, true]),
            (Action::ManageAgency, [false, false, true, false, false, true, true]),
            (Action::ReadAudit, [false, false, true, false, false, true, true]),
            (Action::ChooseDefaultEncryption, [false, false, true, false, false, true, true]),
            (Action::CreateObject, [true, true, false, true, false, true, true]),
            (of_alice, [true, false, false, true, false, true, true]),
            (Action::ChooseBacking, [false, false, false, true, false, true, true]),
            (Action::StopMount, [false, false, false, false, false, true, true]),
        ];
        let authority = authority();
        for (action, expected) in table {
            let callers = [ALICE, BOB, KEEPER, OPERATOR, STRANGER, OWNER, ROOT];
            for (caller, expected) in callers.into_iter().zip(expected) {
                let granted = authority.authorize(caller, action).is_ok();
                assert_eq!(granted, expected, "{caller:?} {action:?}");
            }
        }
    }

    #[test]
    fn a_foreign_object_does_not_exist_and_a_stranger_is_denied() {
        let of_alice = Action::UseObject { owner: ALICE.uid() };
        let refusal = authority().authorize(BOB, of_alice).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::NotFound);
        let refusal = authority().authorize(STRANGER, of_alice).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Denied);
    }
}
