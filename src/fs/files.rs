//! The names of the files in control directories, and how they are used.

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

/// Lists the files of a control directory, in the order of a listing.
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
            pub const fn usage(self) -> $crate::fs::files::Use {
                match self { $($name::$variant => $crate::fs::files::Use::$kind,)* }
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

pub(super) use control_files;

control_files! {
    /// The files of `.evs`.
    ControlFile {
        Help = "help" Value,
        Version = "version" Value,
        Request = "control" Both,
        Error = "error" Value,
        Agency = "agency" Both,
        Audit = "audit" Value,
        Events = "events" Value,
        Metrics = "metrics" Value,
        DefaultEncryption = "default-encryption" Both,
    }
}
