//! Suspending an attached disk, and resuming it (RULES D1).

use super::attachment::Attachment;
use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::status::{DiskEvent, DiskStatus};
use crate::auth::{Action, Caller, Permit};
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;

impl Service {
    /// Makes what was written durable, drops the kernel's plaintext and wipes the key; the file stays,
    /// and requests of data wait.
    pub(super) fn suspend(&self, _permit: Permit, entry: &DiskEntry) -> Result<()> {
        if !entry.state().record.is_encrypted() {
            let message = format!("disk {:?} is not encrypted", entry.name().as_str());
            return Err(
                Error::new(ErrorKind::Invalid, message).remedy("nothing to do: it has no data key")
            );
        }
        let work = entry.begin(DiskEvent::Suspend)?;
        let attachment = attachment_of(entry)?;
        // While requests are served: dirty pages are written back, and pages that are being read are
        // waited for. The second time is short, and so is the moment that pages can come in after it.
        self.kernel.drop_pages(attachment.id())?;
        self.kernel.drop_pages(attachment.id())?;
        attachment.disk().suspend()?;
        work.done();
        self.tell_of_disk("disk.suspended", entry);
        log::info!("event=suspended disk={} name={}", entry.id(), entry.name());
        Ok(())
    }

    /// Asks the KMS for the key again; requests that wait go on. Refused, the disk stays suspended.
    pub(super) fn resume(&self, permit: Permit, entry: &DiskEntry) -> Result<()> {
        let work = entry.begin(DiskEvent::Resume)?;
        let attachment = attachment_of(entry)?;
        self.check_record(entry)?;
        let record = entry.state().record.clone();
        let (dk, sector) = (record.bound_dk(), record.sector_size());
        let cipher = self.open_cipher(permit.caller(), dk, sector, &|| {
            format!("disk {:?} cannot be resumed", record.name.as_str())
        })?;
        attachment.disk().resume(cipher)?;
        work.done();
        self.tell_of_disk("disk.resumed", entry);
        log::info!("event=resumed disk={} name={}", entry.id(), entry.name());
        Ok(())
    }

    /// Suspends all encrypted disks that are in use and that the caller may use; which they were.
    ///
    /// # Errors
    /// The first refusal, which keeps no other disk from it.
    pub(super) fn suspend_all(&self, caller: Caller) -> Result<Vec<Arc<DiskEntry>>> {
        let suspend = |permit, entry: &_| self.suspend(permit, entry);
        self.all_in(DiskStatus::InUse, caller, "suspended", suspend)
    }

    /// Resumes all suspended disks that the caller may use; which they were.
    ///
    /// # Errors
    /// As [`Service::suspend_all`].
    pub(super) fn resume_all(&self, caller: Caller) -> Result<Vec<Arc<DiskEntry>>> {
        let resume = |permit, entry: &_| self.resume(permit, entry);
        self.all_in(DiskStatus::Suspended, caller, "resumed", resume)
    }

    fn all_in(
        &self,
        status: DiskStatus,
        caller: Caller,
        done: &str,
        work: impl Fn(Permit, &DiskEntry) -> Result<()>,
    ) -> Result<Vec<Arc<DiskEntry>>> {
        let mut disks = self.visible_disks(caller);
        disks.retain(|entry| {
            let state = entry.state();
            state.status == status && state.record.is_encrypted()
        });
        let mut refused = None;
        for entry in &disks {
            let worked = self
                .permit(caller, Action::UseObject { owner: entry.owner() })
                .and_then(|permit| work(permit, entry));
            if let Err(refusal) = worked {
                log::warn!("event=not-{done} disk={} error=\"{refusal}\"", entry.id());
                refused = refused.or(Some(refusal));
            }
        }
        match refused {
            None => Ok(disks),
            Some(first) => Err(first),
        }
    }
}

fn attachment_of(entry: &DiskEntry) -> Result<Arc<Attachment>> {
    entry.state().attachment.clone().ok_or_else(|| {
        Error::new(ErrorKind::Internal, format!("disk {} is attached without a file", entry.id()))
    })
}
