//! Reading `.evs/events`.

use super::handle::{Handle, HandleId};
use super::namespace::Namespace;
use crate::service::Events;

impl Namespace {
    /// The events that waiting reads wait for.
    pub fn events(&self) -> &Events {
        self.service().events()
    }

    /// At most `len` bytes for a read that waits: `None` when it has to wait on, empty when the file
    /// was closed meanwhile or no event will come any more.
    pub fn read_events(&self, handle: HandleId, len: usize) -> Option<Vec<u8>> {
        match self.handles().get(handle).as_deref() {
            Ok(Handle::Events { caller, reader }) => {
                self.service().read_events(*caller, &mut reader.lock(), len)
            }
            _ => Some(Vec::new()),
        }
    }

    /// Whether a read of this file would have to wait. All other files are always ready.
    pub fn would_wait(&self, handle: HandleId) -> bool {
        match self.handles().get(handle).as_deref() {
            Ok(Handle::Events { caller, reader }) => {
                !self.service().has_events(*caller, &reader.lock())
            }
            _ => false,
        }
    }
}
