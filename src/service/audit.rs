//! Who asks the KMS, and what it has recorded of that (RULES K11).

use super::control_plane::Service;
use crate::auth::{Action, Caller};
use crate::error::Result;
use crate::kms::{Actor, Kms, KmsCalls};

impl Service {
    /// The KMS, acting for this caller.
    pub(super) fn kms_for(&self, caller: Caller) -> Kms {
        self.kms.on_behalf_of(Actor::User(caller.uid()))
    }

    /// What the KMS was asked for since the daemon started.
    pub(super) fn kms_calls(&self) -> Vec<KmsCalls> {
        self.kms.calls()
    }

    /// Whether the caller may see the audit log.
    pub fn may_read_audit(&self, caller: Caller) -> bool {
        self.authority.allows(caller, Action::ReadAudit)
    }

    /// At most `len` bytes of the audit log at `offset`: JSON lines.
    ///
    /// # Errors
    /// `denied`; `io`.
    pub fn read_audit(&self, caller: Caller, offset: u64, len: usize) -> Result<Vec<u8>> {
        let _permit = self.permit(caller, Action::ReadAudit)?;
        self.kms.read_audit(offset, len)
    }
}
