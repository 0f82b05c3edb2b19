//! An image made of another (RULES P5).

use super::entry::{ImageEntry, ImageStatus, Reserved};
use super::record::Shape;
use super::to_disk::OpenImage;
use crate::archive::{ChainSource, SealingSource};
use crate::auth::{Caller, Permit};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::Alias;
use crate::service::{ImageCopy, JobContext, JobKind, NewJob, Reply, Service, StartedJob};
use std::sync::Arc;

impl Service {
    /// Begins a job that copies an image, under a data key of its own if the copy is encrypted.
    pub(in crate::service) fn copy_image(
        &self,
        permit: Permit,
        source: &Arc<ImageEntry>,
        request: ImageCopy,
    ) -> Result<Reply> {
        let caller = permit.caller();
        let opened = self.open_image(caller, source)?;
        let was_encrypted = opened.record.is_encrypted();
        let encrypted = request.encrypted.unwrap_or(was_encrypted || request.key.is_some());
        if was_encrypted && !encrypted {
            let message = format!("image {:?} is encrypted, for life", source.name().as_str());
            return Err(Error::new(ErrorKind::Protected, message)
                .code(Code::EVS_2041)
                .remedy("a copy of an encrypted image is encrypted: leave out --unencrypted"));
        }
        if !encrypted && let Some(key) = &request.key {
            let message =
                format!("key {:?} was named for an image that is not encrypted", key.as_str());
            return Err(Error::new(ErrorKind::Invalid, message)
                .remedy("say --encrypted, or leave out --key"));
        }
        let record = &opened.record;
        let shape = Shape { size: record.size(), sector_size: record.sector_size(), encrypted };
        let subject = request.name.to_string();
        let from = format!("image:{}", source.name());
        let reserved =
            self.reserve_image(caller, request.name, &shape, from, ImageStatus::Creating)?;
        let total = Some(opened.chain.content().get());
        let new = NewJob { kind: JobKind::ImageCopy, subject, total, limit: request.limit };
        let key = request.key;
        let job = self.start_job(caller, new, move |service, context| {
            service.copy_open_image(caller, reserved, opened, key.as_ref(), context)
        })?;
        Ok(Reply::Started(StartedJob { job: job.id }))
    }

    fn copy_open_image(
        &self,
        caller: Caller,
        reserved: Reserved,
        opened: OpenImage,
        key: Option<&Alias>,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let OpenImage { chain, opener, hold, .. } = opened;
        let source = ChainSource::new(chain)?;
        let record = reserved.entry().state().record.clone();
        if record.is_encrypted() {
            let (sealing, cipher) = self.key_for_image(caller, key, &record)?;
            let source = SealingSource::opened_by(source, opener, cipher)?;
            self.make_image(reserved, &source, Some(sealing), context)?;
        } else {
            self.make_image(reserved, &source, None, context)?;
        }
        drop(hold);
        Ok(())
    }
}
