//! The verbs that change a state directory, as a table. A new verb is a new line.

/// A verb, and what has to be there before it.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// For the name of its trial.
    pub name: &'static str,
    /// Commands that lead from the [world](super::World) as it is built to where the verb begins.
    pub before: &'static [&'static [&'static str]],
    /// The command.
    pub command: &'static [&'static str],
    /// Commands that lead to a state between old and new that is as good as they are, for verbs
    /// that do two things one after the other.
    pub between: &'static [&'static [&'static str]],
    /// Whether it goes on when it cannot be written down, or not be finished: a forced detach lasts
    /// until a restart, and material that was given up is not used again.
    pub ends_whatever_happens: bool,
    /// Whether a kill may leave material in the HSM that no key's record names: it is made first,
    /// since a record without material would be a key that looks usable and is not.
    pub may_leave_material: bool,
    /// What shows that it was done, where the status does not.
    pub proof: Option<Proof>,
}

/// What shows that a verb was done which leaves all objects as they are.
#[derive(Debug, Clone, Copy)]
pub enum Proof {
    /// An event of the audit log.
    Audited(&'static str),
    /// No sector of this disk's payload is all zeros.
    Sealed(&'static str),
}

const fn verb(
    name: &'static str,
    before: &'static [&'static [&'static str]],
    command: &'static [&'static str],
) -> Verb {
    Verb {
        name,
        before,
        command,
        between: &[],
        ends_whatever_happens: false,
        may_leave_material: false,
        proof: None,
    }
}

/// In a command: a file with material for a key.
pub const MATERIAL: &str = "MATERIAL";
/// In a command: a file with the content of a disk.
pub const IMAGE: &str = "IMAGE";
/// In a command: a file to make, which is not there yet.
pub const OUTPUT: &str = "OUTPUT";
/// In a command: a file with a passphrase.
pub const PASSPHRASE: &str = "PASSPHRASE";
/// In a command: a LUKS volume, of the header that the last command before the verb made and of the
/// disk `small`.
pub const VOLUME: &str = "VOLUME";

/// All of them.
pub const VERBS: &[Verb] = &[
    verb("create", &[], &["disk", "create", "new", "--size", "1M", "--key", "finance"]),
    verb("create_unencrypted", &[], &["disk", "create", "new", "--size", "1M", "--unencrypted"]),
    Verb {
        between: &[
            &["disk", "create", "new", "--size", "1M", "--encrypted"],
            &["disk", "delete", "new"],
        ],
        may_leave_material: true,
        ..verb(
            "create_with_the_default_key",
            &[],
            &["disk", "create", "new", "--size", "1M", "--encrypted"],
        )
    },
    verb("import", &[], &["disk", "import", "new", "--raw", IMAGE, "--key", "finance"]),
    verb(
        "import_luks",
        &[&[
            "disk",
            "export-header",
            "small",
            "--format",
            "luks1",
            "--joined",
            "--iter-time",
            "10",
            "--passphrase-file",
            PASSPHRASE,
            "--output",
            OUTPUT,
        ]],
        &[
            "disk",
            "import",
            "taken-over",
            "--luks",
            VOLUME,
            "--passphrase-file",
            PASSPHRASE,
            "--key",
            "finance",
        ],
    ),
    verb("attach", &[], &["disk", "attach", "db"]),
    verb("attach_unencrypted", &[], &["disk", "attach", "plain"]),
    verb("detach", &[&["disk", "attach", "db"]], &["disk", "detach", "db"]),
    Verb {
        ends_whatever_happens: true,
        ..verb(
            "detach_by_force",
            &[&["disk", "attach", "db"]],
            &["disk", "detach", "db", "--force"],
        )
    },
    verb("suspend", &[&["disk", "attach", "db"]], &["disk", "suspend", "db"]),
    verb("extend", &[], &["disk", "extend", "db", "--size", "2M"]),
    verb(
        "extend_attached",
        &[&["disk", "attach", "db"]],
        &["disk", "extend", "db", "--size", "2M"],
    ),
    Verb {
        proof: Some(Proof::Audited("exportDatakey")),
        ..verb(
            "export_header",
            &[],
            &["disk", "export-header", "small", "--format", "dk", "--output", OUTPUT],
        )
    },
    // What was never written is sealed in a job that goes on after a restart.
    Verb {
        proof: Some(Proof::Sealed("db")),
        ..verb(
            "materialize",
            &[&["disk", "extend", "db", "--size", "2M"]],
            &["disk", "export-header", "db", "--format", "dk", "--output", OUTPUT, "--materialize"],
        )
    },
    verb("delete", &[], &["disk", "delete", "db"]),
    verb("delete_unencrypted", &[], &["disk", "delete", "plain"]),
    verb("rewrap", &[&["key", "rotate", "finance"]], &["disk", "rewrap", "db"]),
    verb(
        "rewrap_attached",
        &[&["key", "rotate", "finance"], &["disk", "attach", "db"]],
        &["disk", "rewrap", "db"],
    ),
    Verb { may_leave_material: true, ..verb("key_create", &[], &["key", "create", "new"]) },
    verb("key_create_external", &[], &["key", "create", "new", "--external"]),
    verb("key_disable", &[], &["key", "disable", "finance"]),
    verb("key_enable", &[&["key", "disable", "finance"]], &["key", "enable", "finance"]),
    verb("key_schedule_deletion", &[], &["key", "schedule-deletion", "finance", "--days", "7"]),
    verb(
        "key_cancel_deletion",
        &[&["key", "schedule-deletion", "finance", "--days", "7"]],
        &["key", "cancel-deletion", "finance"],
    ),
    Verb { may_leave_material: true, ..verb("key_rotate", &[], &["key", "rotate", "finance"]) },
    Verb {
        may_leave_material: true,
        ..verb(
            "key_import",
            &[&["key", "create", "own", "--external"]],
            &["key", "import", "own", "--file", MATERIAL],
        )
    },
    Verb {
        ends_whatever_happens: true,
        ..verb(
            "key_delete_material",
            &[
                &["key", "create", "own", "--external"],
                &["key", "import", "own", "--file", MATERIAL],
            ],
            &["key", "delete-material", "own"],
        )
    },
    verb("key_rotation", &[], &["key", "rotation", "finance", "on", "--days", "30"]),
    verb("key_set_alias", &[], &["key", "set-alias", "finance", "money"]),
    verb("key_describe", &[], &["key", "describe", "finance", "ledgers"]),
    verb("backup_create", &[], &["backup", "create", "db", "b"]),
    verb(
        "backup_create_of_an_attached_disk",
        &[&["disk", "attach", "db"]],
        &["backup", "create", "db", "b"],
    ),
    verb("backup_delete", &[&["backup", "create", "db", "b"]], &["backup", "delete", "b"]),
    verb(
        "restore",
        &[&["backup", "create", "db", "b"]],
        &["disk", "create", "copy-of-db", "--from", "backup:b", "--key", "finance"],
    ),
    verb("image_create", &[], &["image", "create", "i", "--disk", "plain"]),
    verb("image_import", &[], &["image", "import", "i", IMAGE]),
    verb(
        "image_copy",
        &[&["image", "create", "i", "--disk", "plain"]],
        &["image", "copy", "i", "sealed", "--encrypted", "--key", "finance"],
    ),
    verb(
        "image_delete",
        &[&["image", "create", "i", "--disk", "plain"]],
        &["image", "delete", "i"],
    ),
    verb(
        "server_create",
        &[&["image", "create", "i", "--disk", "plain"]],
        &["server", "create", "s", "--image", "i"],
    ),
    verb(
        "server_delete",
        &[&["image", "create", "i", "--disk", "plain"], &["server", "create", "s", "--image", "i"]],
        &["server", "delete", "s"],
    ),
    verb("agency_delete", &[], &["agency", "delete"]),
    verb("agency_create", &[&["agency", "delete"]], &["agency", "create"]),
];
