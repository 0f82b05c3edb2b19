//! Wrapping the data keys of disks by the newest version of its master key (RULES K5).

use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::jobs::JobContext;
use super::status::DiskEvent;
use crate::auth::{Action, Caller, Permit};
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

    /// Rewraps all encrypted disks the caller may use, one after the other: the work of a job. A
    /// refused disk does not keep the others from it, and each is under its old version or the
    /// newest whenever this ends, so that it can begin anew.
    pub(super) fn rewrap_all(&self, caller: Caller, context: &JobContext<'_>) -> Result<()> {
        let mut disks = self.visible_disks(caller);
        disks.retain(|entry| entry.state().record.is_encrypted());
        context.set_total(disks.len() as u64);
        let mut refusals = Vec::new();
        for entry in &disks {
            context.check()?;
            let rewrapped = self
                .permit(caller, Action::UseObject { owner: entry.owner() })
                .and_then(|permit| self.rewrap(permit, entry));
            match rewrapped {
                // Deleted meanwhile.
                Err(_) if self.catalogue.by_id(entry.id()).is_none() => {}
                Err(refusal) => refusals.push(refusal),
                Ok(()) => {}
            }
            context.advance(1)?;
        }
        let count = refusals.len();
        match refusals.into_iter().next() {
            None => Ok(()),
            Some(first) => {
                let message =
                    format!("{count} of {} encrypted disks were not rewrapped", disks.len());
                let error = Error::new(first.kind(), message);
                Err(match first.documented_code() {
                    Some(code) => error.code(code),
                    None => error,
                }
                .caused_by(first))
            }
        }
    }
}
