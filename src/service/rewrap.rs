//! Wrapping a disk's data key by the newest version of its master key (RULES K5).

use super::catalogue::DiskEntry;
use super::execute::Service;
use super::status::DiskEvent;
use crate::auth::Permit;
use crate::error::{Code, Error, ErrorKind, Result};

impl Service {
    /// Replaces the wrapped data key in the disk's record. The key itself stays the same, so an
    /// attached disk notices nothing, and a crash leaves the old wrapping or the new one, both of
    /// which open. The status keeps other verbs from saving the same record meanwhile.
    pub(super) fn rewrap(&self, permit: Permit, entry: &DiskEntry) -> Result<()> {
        let work = entry.begin(DiskEvent::Rewrap)?;
        self.check_record(entry)?;
        let mut record = entry.state().record.clone();
        let Some(wrapped) = &record.dk else {
            let message = format!("disk {:?} is not encrypted", entry.name().as_str());
            return Err(
                Error::new(ErrorKind::Invalid, message).remedy("nothing to do: it has no data key")
            );
        };
        self.require_agency(permit.caller())?;
        let rewrapped = self
            .kms_for(permit.caller())
            .rewrap_dk(wrapped, record.id, record.sector_size())
            .map_err(|cause| {
                let message = format!("disk {:?} cannot be rewrapped", entry.name().as_str());
                Error::new(cause.kind(), message).code(Code::EVS_2040).caused_by(cause)
            })?;
        if let Some(wrapped) = rewrapped {
            let version = wrapped.version;
            record.seal_with(wrapped);
            self.save(&record)?;
            entry.state().record = record;
            log::info!("disk={} name={} rewrapped version={version}", entry.id(), entry.name());
        }
        work.done();
        Ok(())
    }
}
