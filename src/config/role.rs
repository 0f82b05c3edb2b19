//! What a user of the project may do.

/// A role of RULES A1. The account administrator (the mount's owner, and root) has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Manages keys and the agency.
    KmsAdministrator,
    /// Manages all disks, images, backups and servers.
    EvsAdministrator,
    /// Creates disks and manages their own.
    EvsUser,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::KmsAdministrator, Role::EvsAdministrator, Role::EvsUser];

    /// The role's name in `mount.toml` and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Role::KmsAdministrator => "kms-administrator",
            Role::EvsAdministrator => "evs-administrator",
            Role::EvsUser => "evs-user",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
