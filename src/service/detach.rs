//! Detaching a disk (RULES D7 and D8).

use super::attachment::Attachment;
use super::catalogue::DiskEntry;
use super::commands::DetachMode;
use super::control_plane::Service;
use super::status::DiskEvent;
use crate::auth::Permit;
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

/// How long a detach waits for the kernel to report a close that the user has already made.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

impl Service {
    /// Flushes, drops the kernel's plaintext, wipes the key, takes the file away.
    pub(super) fn detach(
        &self,
        _permit: Permit,
        entry: &DiskEntry,
        mode: DetachMode,
    ) -> Result<()> {
        let work = entry.begin(DiskEvent::Detach)?;
        let attachment = entry.state().attachment.clone().ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("disk {} is in use without a file", entry.id()))
        })?;
        let closing = match mode {
            DetachMode::WhenIdle => {
                let closing = attachment.close_when_idle(CLOSE_PATIENCE)?;
                if !attachment.disk().is_suspended() {
                    self.kernel.drop_pages(attachment.id())?;
                }
                attachment.disk().flush()?;
                self.forget_attached(entry)?;
                closing
            }
            DetachMode::Forced => {
                let closing = attachment.close_now();
                // Best effort: a forced detach must end whatever the backing does.
                self.flush_at_the_end(&attachment);
                if let Err(error) = self.forget_attached(entry) {
                    log::warn!("event=detach-not-saved disk={} error=\"{error}\"", entry.id());
                }
                closing
            }
        };
        self.take_away(entry, &attachment);
        closing.for_good();
        work.done();
        self.tell_of_disk("disk.detached", entry);
        log::info!("event=disk-detached disk={} name={} mode={mode:?}", entry.id(), entry.name());
        Ok(())
    }

    /// Wipes the key and removes the file; cannot fail.
    fn take_away(&self, entry: &DiskEntry, attachment: &Arc<Attachment>) {
        attachment.disk().revoke();
        let record = entry.state().record.clone();
        self.keep_changes(attachment, &record);
        // Pages that were read between the first drop and the revocation.
        if let Err(error) = self.kernel.drop_pages(attachment.id()) {
            log::warn!("event=dirty-pages-lost disk={} error=\"{error}\"", entry.id());
        }
        self.attached.remove(attachment);
        self.kernel.forget(attachment.id(), attachment.name());
        entry.state().attachment = None;
    }

    fn forget_attached(&self, entry: &DiskEntry) -> Result<()> {
        let mut record = entry.state().record.clone();
        record.set_attached(None);
        self.save(&record)?;
        entry.state().record = record;
        Ok(())
    }

    /// Flushes and wipes every attached disk at the end of the daemon's life; they stay marked as
    /// attached, so that the next start attaches them again (RULES D9).
    pub fn close_all(&self) {
        self.uploads.revoke_all();
        for attachment in self.attachments() {
            let closing = attachment.close_now();
            self.flush_at_the_end(&attachment);
            attachment.disk().revoke();
            if let Some(entry) = self.catalogue.by_id(attachment.disk_id()) {
                let record = entry.state().record.clone();
                self.keep_changes(&attachment, &record);
            }
            self.attached.remove(&attachment);
            closing.for_good();
        }
    }

    fn flush_at_the_end(&self, attachment: &Attachment) {
        if attachment.disk().is_suspended() {
            // Flushed already. Dirty pages cannot be written, and the kernel would wait for that.
            return;
        }
        let id = attachment.disk_id();
        if let Err(error) = self.kernel.drop_pages(attachment.id()) {
            log::warn!("event=dirty-pages-lost disk={id} error=\"{error}\"");
        }
        if let Err(error) = attachment.disk().flush() {
            log::error!("event=flush-failed disk={id} error=\"{error}\"");
        }
    }
}
