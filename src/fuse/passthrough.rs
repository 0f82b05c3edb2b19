//! Files that the kernel reads by itself (FUSE passthrough, Linux 6.9).
//!
//! While one file of an inode is open in this way, all others must be, with the same backing id; so
//! ids are kept by inode. Registering one takes CAP_SYS_ADMIN; where the kernel refuses, files are
//! served through the daemon and nobody sees a difference but in speed.

use super::translate::open_flags;
use crate::fs::{HandleId, Namespace, Opened, Passthrough};
use crate::sync::Mutex;
use fuser::{BackingId, FileHandle, FopenFlags, INodeNo, InitFlags, KernelConfig, ReplyOpen};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

/// How many filesystems may lie on top of each other: this one, on one that is not stacked itself.
const STACK_DEPTH: u32 = 1;

/// Asks the kernel for passthrough when the mount begins.
pub(super) fn ask_for_it(config: &mut KernelConfig) {
    if let Err(missing) = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH) {
        log::info!("event=no-passthrough missing={missing:?}");
    } else if let Err(deepest) = config.set_max_stack_depth(STACK_DEPTH) {
        log::info!("event=no-passthrough deepest-stack={deepest}");
    }
}

/// The files that are open in passthrough.
#[derive(Default)]
pub(super) struct PassthroughFiles {
    // Protects both maps. Held while the kernel is asked for an id, which takes no sleep.
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    // A refusal is remembered, for a cached file that is open forbids passthrough ones; inode
    // numbers of attachments are not used again.
    inodes: HashMap<INodeNo, Registration>,
    // Keeps the id alive until the last file of its inode is closed.
    files: HashMap<HandleId, Arc<BackingId>>,
}

enum Registration {
    Refused,
    Given(Weak<BackingId>),
}

impl PassthroughFiles {
    /// Answers an open, in passthrough if the kernel takes the offer.
    pub(super) fn answer(
        &self,
        namespace: &Namespace,
        inode: INodeNo,
        opened: Opened,
        reply: ReplyOpen,
    ) {
        let (handle, flags) = (opened.handle, open_flags(opened.cache));
        let file = FileHandle(handle.get());
        let Some(Passthrough { file: payload, only_mappings }) = opened.passthrough else {
            return reply.opened(file, flags);
        };
        let Some(id) = self.backing_id(inode, handle, payload, &reply) else {
            return reply.opened(file, flags);
        };
        namespace.count_passthrough(handle);
        let flags = if only_mappings {
            FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES
        } else {
            FopenFlags::empty()
        };
        reply.opened_passthrough(file, flags, &id);
    }

    /// Forgets a file that was closed.
    pub(super) fn closed(&self, handle: HandleId) {
        let mut open = self.open.lock();
        if open.files.remove(&handle).is_some() {
            let in_use = |of: &mut Registration| !matches!(of, Registration::Given(id) if id.strong_count() == 0);
            open.inodes.retain(|_, registration| in_use(registration));
        }
    }

    fn backing_id(
        &self,
        inode: INodeNo,
        handle: HandleId,
        payload: OwnedFd,
        reply: &ReplyOpen,
    ) -> Option<Arc<BackingId>> {
        let mut open = self.open.lock();
        let known = match open.inodes.get(&inode) {
            Some(Registration::Refused) => return None,
            Some(Registration::Given(id)) => id.upgrade(),
            None => None,
        };
        let id = match known {
            Some(id) => id,
            None => match reply.open_backing(payload) {
                Ok(id) => Arc::new(id),
                Err(error) => {
                    log::info!("event=served-without-passthrough inode={inode} error=\"{error}\"");
                    open.inodes.insert(inode, Registration::Refused);
                    return None;
                }
            },
        };
        open.inodes.insert(inode, Registration::Given(Arc::downgrade(&id)));
        open.files.insert(handle, id.clone());
        Some(id)
    }
}
