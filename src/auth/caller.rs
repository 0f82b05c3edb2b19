//! Callers.

use crate::id::Uid;

/// Whoever sent a request: a uid as the kernel vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller {
    uid: Uid,
}

impl Caller {
    /// The caller with this uid.
    pub const fn new(uid: Uid) -> Self {
        Caller { uid }
    }

    /// The caller's uid.
    pub const fn uid(self) -> Uid {
        self.uid
    }
}
