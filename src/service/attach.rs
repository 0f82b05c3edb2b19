//! Attaching a disk (RULES D5).

use super::attachment::Attachment;
use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::record::DiskRecord;
use super::status::DiskEvent;
use crate::auth::Permit;
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use std::sync::Arc;

impl Service {
    /// Opens the data key, the payload and the disk; publishes the disk's file.
    pub(super) fn attach(&self, permit: Permit, entry: &DiskEntry, access: Access) -> Result<()> {
        let work = entry.begin(DiskEvent::Attach)?;
        self.check_record(entry)?;
        let mut record = entry.state().record.clone();
        let disk = self.open_disk(&permit, &record, access)?;
        // What was kept is right for one attachment only, and nobody can write yet.
        let kept = self.take_changes(&record)?;
        let since = kept.as_ref().map(|kept| kept.since);
        let disk = match &kept {
            Some(kept) => disk.resume_tracking(&kept.regions),
            None => disk,
        };
        record.set_attached(Some(access));
        record.error = None;
        // Saved before anybody can use the disk, so that a restart finds it attached (D9).
        self.save(&record)?;
        let attachment = Arc::new(Attachment::new(
            self.attached.new_id(),
            entry.id(),
            entry.name().clone(),
            entry.owner(),
            access,
            disk,
            since,
        ));
        let mut state = entry.state();
        state.record = record;
        state.attachment = Some(attachment.clone());
        drop(state);
        self.attached.add(attachment);
        work.done();
        self.tell_of_disk("disk.attached", entry);
        log::info!(
            "event=disk-attached disk={} name={} access={access:?}",
            entry.id(),
            entry.name()
        );
        Ok(())
    }

    pub(super) fn open_disk(
        &self,
        permit: &Permit,
        record: &DiskRecord,
        access: Access,
    ) -> Result<Disk> {
        let cipher =
            self.open_cipher(permit.caller(), record.bound_dk(), record.sector_size(), &|| {
                format!("disk {:?} cannot be attached", record.name.as_str())
            })?;
        let payload = self.payloads.open(record, access)?;
        Disk::open(payload, cipher, record.size(), access).map_err(|cause| {
            let path = self.payloads.path_of(record);
            Error::new(cause.kind(), format!("payload {} cannot be served", path.display()))
                .remedy("put the payload back from a copy, then: evsfs check")
                .caused_by(cause)
        })
    }
}
