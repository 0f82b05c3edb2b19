//! What can be found in the tree, and the names of the files in control directories.

use crate::id::{DiskId, KeyId};
use crate::service::AttachmentId;

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// The mount itself: the attached disks.
    Root,
    /// The file of an attached disk.
    File(AttachmentId),
    /// `.evs`
    Control,
    /// A file of `.evs`.
    ControlFile(ControlFile),
    /// `.evs/disks`
    Disks,
    /// `.evs/disks/create`
    DiskCreate,
    /// `.evs/disks/NAME`
    Disk(DiskId),
    /// A file of `.evs/disks/NAME`.
    DiskFile(DiskId, DiskFile),
    /// `.evs/keys`
    Keys,
    /// `.evs/keys/create`
    KeyCreate,
    /// `.evs/keys/evs`
    EvsKeys,
    /// `.evs/keys/ALIAS`
    Key(KeyId),
    /// A file of `.evs/keys/ALIAS`.
    KeyFile(KeyId, KeyFile),
}

/// How a control file is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// One value to read.
    Value,
    /// One command to write.
    Verb,
    /// Both.
    Both,
}

impl Use {
    /// The permission bits of such a file, for its user alone.
    pub const fn mode(self) -> u16 {
        match self {
            Use::Value => 0o400,
            Use::Verb => 0o200,
            Use::Both => 0o600,
        }
    }
}

macro_rules! control_files {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal $kind:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl $name {
            /// Every file, in the order of a listing.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The file's name.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// How the file is used.
            pub const fn usage(self) -> Use {
                match self { $($name::$variant => Use::$kind,)* }
            }

            /// The file with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                $name::ALL.iter().copied().find(|file| file.name() == name)
            }

            /// The file's place in [`Self::ALL`].
            pub const fn slot(self) -> u64 {
                self as u64
            }

            /// The file at a place in [`Self::ALL`].
            pub fn from_slot(slot: u64) -> Option<Self> {
                $name::ALL.get(usize::try_from(slot).ok()?).copied()
            }
        }
    };
}

control_files! {
    /// The files of `.evs`.
    ControlFile {
        Help = "help" Value,
        Version = "version" Value,
        Request = "control" Both,
        Error = "error" Value,
        Agency = "agency" Both,
        Audit = "audit" Value,
        DefaultEncryption = "default-encryption" Both,
    }
}

control_files! {
    /// The files of a disk's control directory.
    DiskFile {
        Id = "id" Value,
        Status = "status" Value,
        Size = "size" Value,
        Encrypted = "encrypted" Value,
        Key = "key" Value,
        KeyState = "key-state" Value,
        KeyVersion = "key-version" Value,
        SectorSize = "sector-size" Value,
        Owner = "owner" Value,
        Created = "created" Value,
        Attached = "attached" Value,
        ReadOnly = "read-only" Value,
        Source = "source" Value,
        Server = "server" Value,
        Error = "error" Value,
        Io = "io" Value,
        Attach = "attach" Verb,
        Detach = "detach" Verb,
        Extend = "extend" Verb,
        Rewrap = "rewrap" Verb,
        Delete = "delete" Verb,
    }
}

control_files! {
    /// The files of a key's control directory.
    KeyFile {
        Id = "id" Value,
        State = "state" Value,
        Origin = "origin" Value,
        Created = "created" Value,
        DeletionDate = "deletion-date" Value,
        Version = "version" Value,
        Versions = "versions" Value,
        Rotation = "rotation" Both,
        RotationDate = "rotation-date" Value,
        ExpiryDate = "expiry-date" Value,
        Description = "description" Value,
        DeletionWaitsUntil = "deletion-waits-until" Value,
        Disks = "disks" Value,
        AttachedDisks = "attached-disks" Value,
        ForeignDisks = "foreign-disks" Value,
        Enable = "enable" Verb,
        Disable = "disable" Verb,
        ScheduleDeletion = "schedule-deletion" Verb,
        CancelDeletion = "cancel-deletion" Verb,
        Rotate = "rotate" Verb,
        ImportParameters = "import-parameters" Both,
        Import = "import" Verb,
        DeleteMaterial = "delete-material" Verb,
        ConfirmDeletion = "confirm-deletion" Verb,
    }
}

impl Node {
    /// Whether the node is a directory.
    pub const fn is_directory(self) -> bool {
        matches!(
            self,
            Node::Root
                | Node::Control
                | Node::Disks
                | Node::Disk(_)
                | Node::Keys
                | Node::EvsKeys
                | Node::Key(_)
        )
    }

    /// How a control file is used; `None` for directories and disk files.
    pub const fn usage(self) -> Option<Use> {
        match self {
            Node::ControlFile(file) => Some(file.usage()),
            Node::DiskCreate | Node::KeyCreate => Some(Use::Verb),
            Node::DiskFile(_, file) => Some(file.usage()),
            Node::KeyFile(_, file) => Some(file.usage()),
            _ => None,
        }
    }
}
