//! Making a server, all or nothing (RULES P1, P2).

use super::entry::{Reserved, ServerStatus};
use super::record::{DiskRole, Membership, ServerRecord};
use crate::auth::{Action, Caller, Permit};
use crate::disk::Access;
use crate::error::Result;
use crate::id::{Name, ServerId};
use crate::service::commands::{DetachMode, NewServer};
use crate::service::describe::shown_time;
use crate::service::fill::UnfilledDisk;
use crate::service::images::{OpenImage, follow_image};
use crate::service::status::DiskStatus;
use crate::service::{
    DiskEntry, DiskSource, JobContext, JobKind, NewDisk, NewJob, Reply, Service, Stage, StartedJob,
};
use std::sync::Arc;

/// What the name of a system disk adds to its server's.
const SYSTEM: &str = "-system";

/// All that a server consists of, before any of it is on the medium.
struct Plan {
    reserved: Reserved,
    image: OpenImage,
    system: UnfilledDisk,
    data: Vec<UnfilledDisk>,
}

impl Service {
    /// Begins a job that makes a server. All that can be refused is refused here: names, sizes, keys,
    /// and an encryption that is not the image's.
    pub(in crate::service) fn create_server(
        &self,
        permit: Permit,
        request: NewServer,
    ) -> Result<Reply> {
        let caller = permit.caller();
        let (image, _permit) = self.usable_image(caller, &request.image)?;
        let image = self.open_image(caller, &image)?;
        let mut system = NewDisk {
            name: Name::parse(&format!("{}{SYSTEM}", request.name))?,
            size: request.size,
            from: Some(DiskSource::Image(request.image.clone())),
            encrypted: request.encrypted,
            key: request.key,
            sector_size: None,
            backing: None,
            overwrite: false,
            limit: None,
        };
        follow_image(&mut system, &image.record)?;
        let record = ServerRecord {
            id: ServerId::random(),
            name: request.name.clone(),
            stage: Stage::Creating,
            with_data_disks: false,
            owner: caller.uid(),
            created: shown_time(self.clock.now()),
            image: request.image,
        };
        let id = record.id;
        let reserved = self.servers.reserve(record)?;
        let member = |new: &NewDisk, role| {
            let mut disk = self.unfilled_disk(caller, new)?;
            disk.record.server = Some(Membership { id, role });
            Ok(disk)
        };
        let system = member(&system, DiskRole::System)?;
        let data: Result<Vec<_>> =
            request.data_disks.iter().map(|new| member(new, DiskRole::Data)).collect();
        let total = Some(image.chain.content().get());
        let subject = request.name.to_string();
        let plan = Plan { reserved, image, system, data: data? };
        let new = NewJob { kind: JobKind::ServerCreate, subject, total, limit: request.limit };
        let job = self.start_job(caller, new, move |service, context| {
            service.make_server(caller, plan, context)
        })?;
        Ok(Reply::Started(StartedJob { job: job.id }))
    }

    fn make_server(&self, caller: Caller, plan: Plan, context: &JobContext<'_>) -> Result<()> {
        let Plan { reserved, image, system, data } = plan;
        let entry = reserved.entry().clone();
        let mut record = entry.record().clone();
        let mut made = Vec::new();
        let result = (|| {
            // The record comes first: a restart then knows that the disks it finds belong to nothing.
            self.save_server(&record)?;
            let source = (&image.chain, &image.opener);
            made.push(self.fill_disk(caller, system, source, context)?);
            for disk in data {
                context.check()?;
                made.push(self.make_empty_disk(disk)?);
            }
            for disk in &made {
                context.check()?;
                let permit = self.permit(caller, Action::UseObject { owner: disk.owner() })?;
                self.attach(permit, disk, Access::ReadWrite)?;
            }
            record.stage = Stage::Ready;
            self.save_server(&record)
        })();
        if let Err(error) = result {
            self.unmake_server(caller, &record, &made);
            return Err(error);
        }
        entry.becomes(ServerStatus::Active);
        reserved.keep();
        log::info!("event=server-created server={} name={}", entry.id(), entry.name());
        self.tell_of_server("server.created", &entry);
        Ok(())
    }

    /// Removes what a server that cannot be made has left; the next start does what fails here.
    fn unmake_server(&self, caller: Caller, record: &ServerRecord, made: &[Arc<DiskEntry>]) {
        let removed = made.iter().try_for_each(|disk| self.unmake_member(caller, disk));
        let removed =
            removed.and_then(|()| self.records.remove(&ServerRecord::path_of(record.id)?));
        if let Err(error) = removed {
            log::warn!("event=server-left-half-made server={} error=\"{error}\"", record.id);
        }
    }

    fn unmake_member(&self, caller: Caller, disk: &DiskEntry) -> Result<()> {
        let permit = || self.permit(caller, Action::UseObject { owner: disk.owner() });
        if matches!(disk.state().status, DiskStatus::InUse | DiskStatus::Suspended) {
            self.detach(permit()?, disk, DetachMode::Forced)?;
        }
        self.delete(permit()?, disk)
    }

    pub(super) fn save_server(&self, record: &ServerRecord) -> Result<()> {
        self.records.save(&ServerRecord::path_of(record.id)?, record)
    }
}
