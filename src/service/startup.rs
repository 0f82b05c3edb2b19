//! Reading what the last daemon left (RULES D9, S3).

use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::record::{DiskRecord, Stage};
use super::servers::{DiskRole, Fate, UnfinishedServers};
use super::status::DiskStatus;
use crate::auth::{Action, Caller};
use crate::disk::Access;
use crate::error::{Error, ErrorKind, Result};
use crate::id::DiskId;
use crate::records::RecordPath;
use std::sync::Arc;

impl Service {
    /// Reads all disks, ends what a crash left half-done, and attaches again what was attached. Jobs
    /// come last, by [`Service::load_jobs`], since they start threads.
    /// A disk whose record is damaged is left out and logged; the others are served.
    ///
    /// # Errors
    /// `io` when the state directory cannot be read.
    pub fn load(&self) -> Result<()> {
        let unfinished = self.load_servers()?;
        let mut is_whole = true;
        let mut to_attach = Vec::new();
        for name in self.records.list(&RecordPath::parse("disks")?)? {
            match self.load_disk(&name, &unfinished) {
                Ok(Some(entry)) => to_attach.push(entry),
                Ok(None) => {}
                Err(error) => {
                    self.leave_out("disk", &name, &error);
                    is_whole = false;
                }
            }
        }
        if is_whole {
            self.end_unfinished_servers(unfinished);
        }
        self.load_images()?;
        for entry in to_attach {
            self.reattach(&entry);
        }
        self.load_backups()
    }

    /// Reads one disk; returns it when it was attached before.
    fn load_disk(
        &self,
        directory: &str,
        unfinished: &UnfinishedServers,
    ) -> Result<Option<Arc<DiskEntry>>> {
        let id = DiskId::parse(directory)?;
        let path = DiskRecord::path_of(id)?;
        let Some(record) = self.records.load::<DiskRecord>(&path)? else {
            if self.payloads.has_empty_directory(id) {
                log::info!("event=empty-directory-removed disk={id}");
                self.payloads.remove_directory(id)?;
                return Ok(None);
            }
            let message = format!("{path} is missing beside its payload");
            return Err(Error::new(ErrorKind::Integrity, message)
                .remedy("put the record back from a copy of the state directory"));
        };
        let mut record = record.check()?;
        if record.id != id {
            let message = format!("{path} is the record of another disk");
            return Err(Error::new(ErrorKind::Integrity, message));
        }
        match unfinished.fate_of(record.server) {
            Fate::Goes => {
                log::info!("event=removed-with-server disk={id}");
                self.remove_files(&record)?;
                return Ok(None);
            }
            Fate::IsFreed => {
                record.server = None;
                record.set_attached(None);
                self.save(&record)?;
            }
            Fate::Stays => {}
        }
        match record.stage {
            Stage::Creating => {
                log::info!("event=unfinished-removed disk={id}");
                // What cannot be removed now is no disk at the next start either.
                let _ = self.unmake(&record);
                return Ok(None);
            }
            Stage::Deleting => {
                log::info!("event=deletion-finished disk={id}");
                self.remove_files(&record)?;
                return Ok(None);
            }
            Stage::Ready => {}
        }
        // The deletion of its server detached it and was killed before it was decided upon; nobody
        // could attach it alone (RULES P1).
        let is_system = record.server.is_some_and(|member| member.role == DiskRole::System);
        if is_system && record.attached().is_none() && record.error.is_none() {
            record.set_attached(Some(Access::ReadWrite));
        }
        let was_attached = record.attached().is_some();
        let entry = Arc::new(DiskEntry::new(record, DiskStatus::Available));
        self.catalogue.add(entry.clone())?;
        Ok(was_attached.then_some(entry))
    }

    fn reattach(&self, entry: &DiskEntry) {
        let mut record = entry.state().record.clone();
        let Some(access) = record.attached() else { return };
        let reason = if self.settings.reattach {
            let owner = Caller::new(self.authority.mount_owner());
            let attached = self
                .permit(owner, Action::UseObject { owner: entry.owner() })
                .and_then(|permit| self.attach(permit, entry, access));
            match attached {
                Ok(()) => return,
                Err(error) => {
                    log::warn!("event=not-attached-again disk={} error=\"{error}\"", entry.id());
                    Some(format!("not attached again: {error}"))
                }
            }
        } else {
            None
        };
        record.set_attached(None);
        record.error = reason;
        if let Err(error) = self.save(&record) {
            log::warn!("event=record-not-saved disk={} error=\"{error}\"", entry.id());
        }
        entry.state().record = record;
    }
}
