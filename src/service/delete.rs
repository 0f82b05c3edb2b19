//! Deleting a disk (RULES D12).

use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::record::{DiskRecord, Stage};
use super::status::DiskEvent;
use crate::auth::Permit;
use crate::error::Result;

impl Service {
    /// Removes payload and record. The record says `deleting` first, so that a restart ends what a
    /// crash left half-done.
    pub(super) fn delete(&self, _permit: Permit, entry: &DiskEntry) -> Result<()> {
        let work = entry.begin(DiskEvent::Delete)?;
        let mut record = entry.state().record.clone();
        record.stage = Stage::Deleting;
        record.set_attached(None);
        self.save(&record)?;
        self.remove_files(&record)?;
        self.catalogue.remove(entry);
        work.done();
        self.tell_of_disk("disk.deleted", entry);
        log::info!("disk={} name={} deleted", entry.id(), entry.name());
        Ok(())
    }

    pub(super) fn remove_files(&self, record: &DiskRecord) -> Result<()> {
        self.payloads.remove(record)?;
        self.records.remove(&DiskRecord::path_of(record.id)?)?;
        self.payloads.remove_directory(record.id)
    }
}
