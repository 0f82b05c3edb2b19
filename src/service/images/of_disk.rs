//! An image made of a disk (RULES P5).

use super::entry::{ImageStatus, Reserved};
use super::make::UPLOAD;
use super::record::Shape;
use crate::archive::Sealing;
use crate::auth::Permit;
use crate::backing::{Backing, FileBacking};
use crate::disk::{Access, DetachedDisk, Disk, SealedSource, Snapshot};
use crate::error::Result;
use crate::id::{ImageId, Name};
use crate::service::{
    Attachment, DiskEntry, DiskEvent, DiskRecord, JobContext, JobKind, NewJob, OpenDisk, Service,
};
use crate::service::{Reply, StartedJob};
use crate::units::ByteLen;
use std::ops::Deref;
use std::sync::Arc;

/// A disk that a snapshot keeps open.
struct HeldDisk(OpenDisk);

impl Deref for HeldDisk {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        self.0.disk()
    }
}

impl Service {
    /// Begins a job that makes an image of a disk, attached or not. The bytes are copied as they lie
    /// at rest, with the wrapped data key, so no key is asked for.
    pub(in crate::service) fn create_image(
        &self,
        permit: Permit,
        name: Name,
        disk: Arc<DiskEntry>,
        limit: Option<u64>,
    ) -> Result<Reply> {
        let caller = permit.caller();
        let state = disk.state();
        // The job asks again; what cannot succeed is refused now.
        state.status.moved_by(DiskEvent::BackUp, disk.name())?;
        let shape = Shape {
            size: state.record.size(),
            sector_size: state.record.sector_size(),
            encrypted: state.record.is_encrypted(),
        };
        drop(state);
        let source = format!("disk:{}", disk.name());
        let subject = name.to_string();
        let reserved = self.reserve_image(caller, name, &shape, source, ImageStatus::Creating)?;
        let new = NewJob { kind: JobKind::ImageCreate, subject, total: None, limit };
        let job = self.start_job(caller, new, move |service, context| {
            service.copy_disk_to_image(reserved, &disk, context)
        })?;
        Ok(Reply::Started(StartedJob { job: job.id }))
    }

    fn copy_disk_to_image(
        &self,
        reserved: Reserved,
        disk: &DiskEntry,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let work = disk.begin(DiskEvent::BackUp)?;
        let state = disk.state();
        let (record, attachment) = (state.record.clone(), state.attachment.clone());
        drop(state);
        let image = reserved.entry().state().record.clone();
        let source = self.source_of_disk(image.id, &record, attachment);
        let source = source.inspect_err(|_| self.unmake_image(&image))?;
        let sealing = record.dk.clone().map(|dk| Sealing { disk: record.id, dk });
        self.make_image(reserved, &*source, sealing, context)?;
        drop(source);
        work.done();
        Ok(())
    }

    /// The disk as it is now, in sealed bytes.
    fn source_of_disk(
        &self,
        image: ImageId,
        record: &DiskRecord,
        attachment: Option<Arc<Attachment>>,
    ) -> Result<Box<dyn SealedSource>> {
        let Some(attachment) = attachment else {
            let payload = self.payloads.open(record, Access::ReadOnly)?;
            let disk = DetachedDisk::open(payload, record.size(), record.sector_size())?;
            return Ok(Box::new(disk));
        };
        let held = HeldDisk(attachment.open()?);
        // Dropped in the end, not concluded: a backup's changes are none of an image's.
        Ok(Box::new(Snapshot::begin(held, self.spill_for(image)?)?))
    }

    /// A scratch file without a name for the old sectors of a busy disk.
    fn spill_for(&self, id: ImageId) -> Result<Box<dyn Backing>> {
        let place = self.image_place(id);
        // Made private, as `make_image` finds it.
        drop(crate::records::PrivateDir::open_or_create(&place)?);
        let path = place.join(UPLOAD);
        let spill = FileBacking::create(&path, ByteLen::ZERO);
        // Whatever came of it, nobody finds the file by this name again.
        let _ = std::fs::remove_file(&path);
        Ok(Box::new(spill?))
    }
}
