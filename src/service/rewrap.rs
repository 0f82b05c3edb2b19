//! Wrapping a data key by the newest version of its master key (RULES K5).

use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::status::DiskEvent;
use crate::archive::{ArchiveRecord, Sealing};
use crate::auth::{Caller, Permit};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Name;

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
            log::info!(
                "event=disk-rewrapped disk={} name={} version={version}",
                entry.id(),
                entry.name()
            );
        }
        work.done();
        self.tell_of_disk("disk.rewrapped", entry);
        Ok(())
    }

    /// What comes of the refusal to rewrap an archive that is being read: none, when its data key
    /// needs no other wrapping.
    pub(super) fn busy_rewrap(
        &self,
        archive: Option<&ArchiveRecord>,
        refusal: Error,
    ) -> Result<()> {
        match archive.is_none_or(|archive| self.is_under_newest_version(archive)) {
            true => Ok(()),
            false => Err(refusal),
        }
    }

    fn is_under_newest_version(&self, archive: &ArchiveRecord) -> bool {
        archive.sealing().is_none_or(|Sealing { dk, .. }| {
            let keys = self.kms.list();
            keys.iter().any(|key| key.id == dk.key && key.version == dk.version)
        })
    }

    /// The record of an archive, with its data key wrapped by the newest version; `None` when it is
    /// already, or there is none.
    pub(super) fn rewrap_archive(
        &self,
        caller: Caller,
        name: &Name,
        archive: &ArchiveRecord,
    ) -> Result<Option<ArchiveRecord>> {
        let Some(Sealing { disk, dk }) = archive.sealing() else { return Ok(None) };
        self.require_agency(caller)?;
        let rewrapped = self.kms_for(caller).rewrap_dk(dk, *disk, archive.sector_size());
        let rewrapped = rewrapped.map_err(|cause| {
            let message = format!("{:?} cannot be rewrapped", name.as_str());
            Error::new(cause.kind(), message).code(Code::EVS_2040).caused_by(cause)
        })?;
        Ok(rewrapped.map(|dk| {
            let mut archive = archive.clone();
            archive.set_wrapped_dk(dk);
            archive
        }))
    }
}
