//! Who asks, and what RULES A1 and A5 allow them.

/// A caller: the account administrator, users with their roles, and somebody without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    Root,
    Alice,
    Bob,
    Keeper,
    Operator,
    Both,
    Stranger,
}

impl Who {
    pub const ALL: [Who; 7] =
        [Who::Root, Who::Alice, Who::Bob, Who::Keeper, Who::Operator, Who::Both, Who::Stranger];

    /// Name, uid and roles, as `[[user]]` gives them.
    pub const fn entry(self) -> (&'static str, u32, &'static [&'static str]) {
        match self {
            Who::Root => ("root", 0, &["kms-administrator", "evs-administrator", "evs-user"]),
            Who::Alice => ("alice", 1000, &["evs-user"]),
            Who::Bob => ("bob", 1001, &["evs-user"]),
            Who::Keeper => ("keeper", 1002, &["kms-administrator"]),
            Who::Operator => ("operator", 1003, &["evs-administrator"]),
            Who::Both => ("both", 1004, &["kms-administrator", "evs-user"]),
            Who::Stranger => ("stranger", 65534, &[]),
        }
    }

    pub const fn name(self) -> &'static str {
        self.entry().0
    }

    pub const fn uid(self) -> u32 {
        self.entry().1
    }

    pub const fn is_known(self) -> bool {
        !self.entry().2.is_empty()
    }

    /// Keys, the agency, the default encryption.
    pub fn manages_keys(self) -> bool {
        self.has("kms-administrator")
    }

    pub fn creates_disks(self) -> bool {
        self.has("evs-user") || self.has("evs-administrator")
    }

    pub fn uses_disks_of(self, owner: Who) -> bool {
        self.has("evs-administrator") || self.has("evs-user") && self == owner
    }

    fn has(self, role: &str) -> bool {
        self.entry().2.contains(&role)
    }
}

/// The `[[user]]` entries of `mount.toml`.
pub fn users() -> String {
    let entry = |who: Who| {
        let (name, uid, roles) = who.entry();
        format!("[[user]]\nname = \"{name}\"\nuid = {uid}\nroles = {roles:?}\n")
    };
    Who::ALL.into_iter().filter(|who| who.is_known() && *who != Who::Root).map(entry).collect()
}
