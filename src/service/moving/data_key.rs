//! A data key on its way out.

use crate::auth::{Action, Caller};
use crate::crypto::Dk;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Name;
use crate::kms::AuditEvent;
use crate::service::{DataKeyInfo, DiskEntry, Service};

impl Service {
    /// Opens a disk's data key for it to leave evsfs. From then on the disk can be read without evsfs,
    /// whatever becomes of its master key.
    ///
    /// # Errors
    /// `not-found`; `denied`; `invalid` for a disk that is not encrypted; `no-agency`; `key-unusable`
    /// with EVS.2040.
    pub(in crate::service) fn export_data_key(
        &self,
        caller: Caller,
        name: &Name,
    ) -> Result<DataKeyInfo> {
        let (entry, _permit) = self.usable(caller, name)?;
        let dk = self.data_key_to_export(caller, &entry)?;
        log::warn!("event=data-key-exported disk={} name={name} uid={}", entry.id(), caller.uid());
        self.tell_of_disk("disk.key-exported", &entry);
        Ok(self.describe_data_key(&entry, dk))
    }

    fn data_key_to_export(&self, caller: Caller, entry: &DiskEntry) -> Result<Dk> {
        let record = entry.state().record.clone();
        let key = record.dk.as_ref().map(|dk| dk.key);
        let _permit = self.permit(caller, Action::MoveDataKeys).inspect_err(|refusal| {
            let event = AuditEvent::ExportDatakey;
            self.kms_for(caller).record_refusal_for(event, key, record.id, refusal);
        })?;
        let Some(wrapped) = &record.dk else {
            let path = self.payloads.path_of(&record);
            let message = format!("disk {:?} is not encrypted", record.name.as_str());
            return Err(Error::new(ErrorKind::Invalid, message)
                .remedy(format!("read its payload as it is: {}", path.display())));
        };
        self.require_agency(caller)?;
        // What is half-made, half-deleted or edited is nothing to build upon elsewhere.
        self.check_record(entry)?;
        self.kms_for(caller).export_dk(wrapped, record.id, record.sector_size()).map_err(|cause| {
            let message = format!("the data key of disk {:?} stays", record.name.as_str());
            Error::new(cause.kind(), message).code(Code::EVS_2040).caused_by(cause)
        })
    }
}
