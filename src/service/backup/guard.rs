//! Backups that a job is about to make.

use super::catalogue::BackupEntry;
use crate::service::Service;
use std::sync::{Arc, Weak};

/// A backup whose name is taken while a job makes it. Dropping this gives the name back, also when
/// the job is cancelled before it has begun.
#[must_use = "dropping the claim gives the name back"]
pub(super) struct Claim {
    service: Weak<Service>,
    entry: Arc<BackupEntry>,
    is_made: bool,
}

impl Claim {
    /// Claims a backup that is in its catalogue.
    pub fn new(service: &Arc<Service>, entry: Arc<BackupEntry>) -> Self {
        Claim { service: Arc::downgrade(service), entry, is_made: false }
    }

    /// The backup.
    pub fn entry(&self) -> &Arc<BackupEntry> {
        &self.entry
    }

    /// The backup keeps its name.
    pub fn keep(mut self) {
        self.is_made = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_made
            && let Some(service) = self.service.upgrade()
        {
            service.backups.remove(&self.entry);
        }
    }
}
