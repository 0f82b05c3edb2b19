//! Ids that are numbers: UUIDs of objects, and the uid of a caller.

use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// A fresh random id.
            pub fn random() -> Self {
                $name(uuid::Uuid::new_v4())
            }

            /// Reads the hyphenated form.
            ///
            /// # Errors
            /// `invalid` for anything that is not a UUID.
            pub fn parse(text: &str) -> Result<Self> {
                uuid::Uuid::try_parse(text).map($name).map_err(|cause| {
                    Error::new(ErrorKind::Invalid, format!("{text:?} is not an id")).caused_by(cause)
                })
            }

            /// The id as 16 bytes, for associated data.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    )*};
}

uuid_ids! {
    /// A disk, for its whole life, whatever its name.
    DiskId;
    /// A master key in the KMS.
    KeyId;
    /// A backup.
    BackupId;
    /// An image.
    ImageId;
    /// A server.
    ServerId;
    /// A long-running job.
    JobId;
}

/// The kernel's user id of a caller or an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(u32);

impl Uid {
    /// The superuser.
    pub const ROOT: Uid = Uid(0);

    /// The user with this number.
    pub const fn new(uid: u32) -> Self {
        Uid(uid)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for Uid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
