//! The attached disks: what the root directory of the mount shows.

use super::attachment::{Attachment, AttachmentId};
use crate::id::Name;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// All attachments, by the name of their file and by number.
pub(super) struct Attached {
    // Protects membership only.
    open: RwLock<Open>,
    // Never decreases; uniqueness is all that is asked of it.
    next_id: AtomicU64,
}

#[derive(Default)]
struct Open {
    by_name: BTreeMap<Name, Arc<Attachment>>,
    by_id: HashMap<AttachmentId, Arc<Attachment>>,
}

impl Attached {
    pub(super) fn new() -> Self {
        Attached { open: RwLock::new(Open::default()), next_id: AtomicU64::new(1) }
    }

    pub(super) fn new_id(&self) -> AttachmentId {
        AttachmentId::new(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn add(&self, attachment: Arc<Attachment>) {
        let mut open = self.open.write();
        open.by_id.insert(attachment.id(), attachment.clone());
        open.by_name.insert(attachment.name().clone(), attachment);
    }

    pub(super) fn remove(&self, attachment: &Attachment) {
        let mut open = self.open.write();
        open.by_id.remove(&attachment.id());
        open.by_name.remove(attachment.name());
    }

    pub(super) fn all(&self) -> Vec<Arc<Attachment>> {
        self.open.read().by_name.values().cloned().collect()
    }

    pub(super) fn by_name(&self, name: &Name) -> Option<Arc<Attachment>> {
        self.open.read().by_name.get(name).cloned()
    }

    pub(super) fn by_id(&self, id: AttachmentId) -> Option<Arc<Attachment>> {
        self.open.read().by_id.get(&id).cloned()
    }
}
