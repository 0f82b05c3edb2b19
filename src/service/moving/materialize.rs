//! Never-written sectors, sealed.

use crate::auth::{Action, Caller};
use crate::disk::{Access, Disk};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Name;
use crate::service::status::DiskEvent;
use crate::service::{DiskEntry, DiskRecord, JobContext, JobKind, NewJob, Service, StartedJob};
use crate::units::{ByteLen, ByteOffset};

/// Bytes looked at between two reports.
const STEP: u64 = 4 << 20;

impl Service {
    /// Begins a job that seals zeros into whatever a disk has never been written, attached or not.
    ///
    /// # Errors
    /// `not-found`, `denied`; `invalid` for a disk that is not encrypted; `wrong-status`; `no-space`
    /// when it is sure not to fit.
    pub(in crate::service) fn start_materializing(
        &self,
        caller: Caller,
        name: &Name,
        limit: Option<u64>,
    ) -> Result<StartedJob> {
        let (entry, _permit) = self.usable(caller, name)?;
        let _permit = self.permit(caller, Action::MoveDataKeys)?;
        let record = {
            let state = entry.state();
            state.status.moved_by(DiskEvent::Materialize, name)?;
            state.record.clone()
        };
        if !record.is_encrypted() {
            let message = format!("disk {:?} is not encrypted", name.as_str());
            return Err(Error::new(ErrorKind::Invalid, message)
                .remedy("nothing to do: its zeros are zeros for every program"));
        }
        self.require_agency(caller)?;
        let new = NewJob {
            kind: JobKind::Materialize,
            subject: name.to_string(),
            total: Some(record.size().get()),
            limit,
        };
        let job = self.start_job(caller, new, move |service, context| {
            service.materialize(caller, &entry, context)
        })?;
        Ok(StartedJob { job: job.id })
    }

    /// As [`Service::start_materializing`], in the job that does it, also when it begins anew after the
    /// daemon was ended: what is sealed stays sealed, and is passed over.
    pub(in crate::service) fn materialize(
        &self,
        caller: Caller,
        entry: &DiskEntry,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let permit = self.permit(caller, Action::UseObject { owner: entry.owner() })?;
        // From here on the disk is neither attached, detached nor extended.
        let work = entry.begin(DiskEvent::Materialize)?;
        self.check_record(entry)?;
        let (record, attachment) = {
            let state = entry.state();
            (state.record.clone(), state.attachment.clone())
        };
        self.must_fit(&record)?;
        context.set_total(record.size().get());
        match attachment {
            Some(attachment) => seal_all(attachment.open()?.disk(), context)?,
            None => {
                let disk = self.open_disk(&permit, &record, Access::ReadWrite)?;
                let sealed = seal_all(&disk, context);
                // The key is wiped whatever came of it.
                disk.revoke();
                sealed?;
            }
        }
        work.done();
        log::info!("event=disk-materialized disk={} name={}", entry.id(), entry.name());
        self.tell_of_disk("disk.materialized", entry);
        Ok(())
    }

    /// Refuses to fill the medium up, which others live on too.
    fn must_fit(&self, record: &DiskRecord) -> Result<()> {
        if record.backing.is_some() {
            return Ok(());
        }
        let payload = std::fs::metadata(self.payloads.path_of(record))
            .map_err(|cause| Error::io("looking at the payload", cause))?;
        let used = std::os::unix::fs::MetadataExt::blocks(&payload).saturating_mul(512);
        let needed = ByteLen::new(record.size().get().saturating_sub(used));
        let (_, free) = self.space()?;
        if needed <= free {
            return Ok(());
        }
        let name = record.name.as_str();
        let message =
            format!("disk {name:?} needs {needed} more to be written out, {free} are free");
        Err(Error::new(ErrorKind::NoSpace, message)
            .remedy("make room, or leave out --materialize and ignore what was never written"))
    }
}

fn seal_all(disk: &Disk, context: &JobContext<'_>) -> Result<()> {
    let size = disk.size().get();
    let mut at = 0;
    while at < size {
        let len = STEP.min(size - at);
        disk.materialize(ByteOffset::new(at), ByteLen::new(len))?;
        context.advance(len)?;
        at += len;
    }
    disk.flush()
}
