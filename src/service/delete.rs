//! Deleting a disk (RULES D12).

use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::record::{DiskRecord, Stage};
use super::status::{DiskEvent, DiskStatus};
use crate::auth::Permit;
use crate::error::Result;

impl Service {
    /// Removes payload and record. The record says `deleting` first, so that a restart ends what a
    /// crash left half-done.
    pub(super) fn delete(&self, _permit: Permit, entry: &DiskEntry) -> Result<()> {
        self.check_record_to_delete(entry)?;
        let work = entry.begin(DiskEvent::Delete)?;
        let mut record = entry.state().record.clone();
        record.stage = Stage::Deleting;
        record.set_attached(None);
        self.save(&record)?;
        self.remove_files(&record)?;
        self.catalogue.remove(entry);
        work.done();
        self.tell_of_disk("disk.deleted", entry);
        log::info!("event=disk-deleted disk={} name={}", entry.id(), entry.name());
        Ok(())
    }

    /// Refuses what [`Service::delete`] would refuse before it removes anything.
    pub(super) fn check_deletion(&self, entry: &DiskEntry) -> Result<()> {
        self.check_record_to_delete(entry)?;
        let status = entry.state().status;
        status.moved_by(DiskEvent::Delete, entry.name())?;
        Ok(())
    }

    /// Before the status moves on, since it would say then that the disk is half-deleted. In every
    /// other status somebody writes the record, or it has gone already.
    fn check_record_to_delete(&self, entry: &DiskEntry) -> Result<()> {
        let is_available = || entry.state().status == DiskStatus::Available;
        match self.check_record(entry) {
            // Looked at again: a verb may have ended between.
            Err(_) if is_available() => self.check_record(entry),
            _ => Ok(()),
        }
    }

    pub(super) fn remove_files(&self, record: &DiskRecord) -> Result<()> {
        self.forget_changes(record.id)?;
        self.payloads.remove(record)?;
        self.records.remove(&DiskRecord::path_of(record.id)?)?;
        self.payloads.remove_directory(record.id)
    }
}
