//! Wrapping all data keys by the newest versions of their master keys: the work of a job.

use super::backup::BackupEntry;
use super::catalogue::DiskEntry;
use super::control_plane::Service;
use super::images::ImageEntry;
use super::jobs::JobContext;
use crate::auth::{Action, Caller};
use crate::error::{Error, Result};
use crate::id::Uid;
use std::sync::Arc;

/// Whose data key is wrapped.
enum Holder {
    Disk(Arc<DiskEntry>),
    Backup(Arc<BackupEntry>),
    Image(Arc<ImageEntry>),
}

impl Holder {
    fn owner(&self) -> Uid {
        match self {
            Holder::Disk(entry) => entry.owner(),
            Holder::Backup(entry) => entry.owner(),
            Holder::Image(entry) => entry.owner(),
        }
    }
}

impl Service {
    /// Rewraps the data keys of all disks, backups and images the caller may use, one after the
    /// other, so that no old version of a key is needed any more. One that is refused does not keep
    /// the others from it, and each is under its old version or the newest whenever this ends, so
    /// that it can begin anew.
    pub(super) fn rewrap_all(&self, caller: Caller, context: &JobContext<'_>) -> Result<()> {
        let holders = self.holders_of_data_keys(caller);
        context.set_total(holders.len() as u64);
        let mut refusals = Vec::new();
        for holder in &holders {
            context.check()?;
            match self.rewrap_of(caller, holder) {
                Err(refusal) if self.is_there(holder) => refusals.push(refusal),
                // Done, or deleted meanwhile.
                _ => {}
            }
            context.advance(1)?;
        }
        let count = refusals.len();
        match refusals.into_iter().next() {
            None => Ok(()),
            Some(first) => {
                let message = format!("{count} of {} data keys were not rewrapped", holders.len());
                let error = Error::new(first.kind(), message);
                Err(match first.documented_code() {
                    Some(code) => error.code(code),
                    None => error,
                }
                .caused_by(first))
            }
        }
    }

    fn holders_of_data_keys(&self, caller: Caller) -> Vec<Holder> {
        let mut disks = self.visible_disks(caller);
        disks.retain(|entry| entry.state().record.is_encrypted());
        let mut backups = self.visible_backups(caller);
        backups.retain(|entry| {
            let state = entry.state();
            // One that is being made has the key that its disk had then.
            state.record.archive.as_ref().is_some_and(|archive| archive.is_encrypted())
        });
        let mut images = self.visible_images(caller);
        images.retain(|entry| {
            let state = entry.state();
            state.record.archive.as_ref().is_some_and(|archive| archive.is_encrypted())
        });
        let disks = disks.into_iter().map(Holder::Disk);
        let backups = backups.into_iter().map(Holder::Backup);
        disks.chain(backups).chain(images.into_iter().map(Holder::Image)).collect()
    }

    fn rewrap_of(&self, caller: Caller, holder: &Holder) -> Result<()> {
        let permit = self.permit(caller, Action::UseObject { owner: holder.owner() })?;
        match holder {
            Holder::Disk(entry) => self.rewrap(permit, entry),
            Holder::Backup(entry) => self.rewrap_backup(&permit, entry),
            Holder::Image(entry) => self.rewrap_image(&permit, entry),
        }
    }

    fn is_there(&self, holder: &Holder) -> bool {
        match holder {
            Holder::Disk(entry) => self.catalogue.by_id(entry.id()).is_some(),
            Holder::Backup(entry) => self.backups.by_id(entry.id()).is_some(),
            Holder::Image(entry) => self.images.by_id(entry.id()).is_some(),
        }
    }
}
