//! Who asks the KMS, and what it has recorded of that (RULES K11).

use super::command::Command;
use super::execute::Service;
use crate::auth::{Action, Caller};
use crate::error::{Error, Result};
use crate::id::Alias;
use crate::kms::{Actor, AuditEvent, Kms};

impl Service {
    /// The KMS, acting for this caller.
    pub(super) fn kms_for(&self, caller: Caller) -> Kms {
        self.kms.on_behalf_of(Actor::User(caller.uid()))
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

    /// Records that a caller's roles do not allow a command.
    pub(super) fn record_denial(&self, caller: Caller, command: &Command, refusal: &Error) {
        if let Some((event, alias)) = recorded_as(command) {
            self.kms_for(caller).record_refusal(event, alias, refusal);
        }
    }
}

/// The event of a command that changes keys or the agency, and the key it names.
fn recorded_as(command: &Command) -> Option<(AuditEvent, Option<&Alias>)> {
    let of = |event, alias| Some((event, Some(alias)));
    match command {
        Command::KeyCreate(new) => of(AuditEvent::CreateKey, &new.alias),
        Command::KeyEnable(alias) => of(AuditEvent::EnableKey, alias),
        Command::KeyDisable(alias) => of(AuditEvent::DisableKey, alias),
        Command::KeyScheduleDeletion(alias, _) => of(AuditEvent::ScheduleKeyDeletion, alias),
        Command::KeyCancelDeletion(alias) => of(AuditEvent::CancelKeyDeletion, alias),
        Command::KeySetAlias(alias, _) => of(AuditEvent::UpdateKeyAlias, alias),
        Command::KeyDescribe(alias, _) => of(AuditEvent::UpdateKeyDescription, alias),
        Command::KeyConfirmDeletion(alias) => of(AuditEvent::DeleteKey, alias),
        Command::KeyRotate(alias) => of(AuditEvent::RotateKey, alias),
        Command::KeySetRotation(alias, Some(_)) => of(AuditEvent::EnableKeyRotation, alias),
        Command::KeySetRotation(alias, None) => of(AuditEvent::DisableKeyRotation, alias),
        Command::KeyImportParameters(alias) => of(AuditEvent::GetParametersForImport, alias),
        Command::KeyImport(alias, ..) => of(AuditEvent::ImportKeyMaterial, alias),
        Command::KeyDeleteMaterial(alias) => of(AuditEvent::DeleteImportedKeyMaterial, alias),
        Command::AgencyCreate => Some((AuditEvent::CreateAgency, None)),
        Command::AgencyDelete => Some((AuditEvent::DeleteAgency, None)),
        Command::DiskCreate(_)
        | Command::DiskList
        | Command::DiskShow(_)
        | Command::DiskAttach(..)
        | Command::DiskDetach(..)
        | Command::DiskExtend(..)
        | Command::DiskRewrap(_)
        | Command::DiskDelete(_)
        | Command::KeyList
        | Command::KeyShow(_)
        | Command::AgencyShow
        | Command::AuditShow(_)
        | Command::AuditVerify
        | Command::DefaultEncryptionShow
        | Command::DefaultEncryptionSet(_)
        | Command::MountStatus
        | Command::MountStop(_) => None,
    }
}
