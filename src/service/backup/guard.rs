//! Objects that a job is about to make.

use super::catalogue::BackupEntry;
use crate::service::Service;
use std::sync::{Arc, Weak};

/// An object whose name is taken while a job makes it. Dropping this gives the name back, also when
/// the job is cancelled before it has begun.
#[must_use = "dropping the claim gives the name back"]
pub(super) struct Claim<T: Claimed> {
    service: Weak<Service>,
    entry: Arc<T>,
    is_made: bool,
}

/// What can be claimed.
pub(super) trait Claimed {
    /// Takes the object out of its catalogue.
    fn give_up(&self, service: &Service);
}

impl<T: Claimed> Claim<T> {
    /// Claims an object that is in its catalogue.
    pub fn new(service: &Arc<Service>, entry: Arc<T>) -> Self {
        Claim { service: Arc::downgrade(service), entry, is_made: false }
    }

    /// The object.
    pub fn entry(&self) -> &Arc<T> {
        &self.entry
    }

    /// The object keeps its name.
    pub fn keep(mut self) {
        self.is_made = true;
    }
}

impl<T: Claimed> Drop for Claim<T> {
    fn drop(&mut self) {
        if !self.is_made
            && let Some(service) = self.service.upgrade()
        {
            self.entry.give_up(&service);
        }
    }
}

impl Claimed for BackupEntry {
    fn give_up(&self, service: &Service) {
        service.backups.remove(self);
    }
}
