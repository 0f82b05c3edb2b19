//! What the kernel remembers of a mount, seen from the service.

use super::attachment::AttachmentId;
use crate::error::Result;
use crate::id::Name;
use crate::units::ByteLen;

/// Passed in by whoever speaks to the kernel, as a clock is passed in: the service decides when
/// cached plaintext must go, the protocol adapter knows how.
pub trait KernelCache: Send + Sync {
    /// Writes back dirty pages of an attached disk's file, then drops all its pages.
    ///
    /// # Errors
    /// `io` when the kernel could not write them back.
    fn drop_pages(&self, attachment: AttachmentId) -> Result<()>;

    /// Makes the kernel forget a name in the root directory and tell watchers that it is gone.
    fn forget(&self, attachment: AttachmentId, name: &Name);

    /// Tells the kernel that a disk's file has grown.
    fn grew(&self, attachment: AttachmentId, size: ByteLen);
}

/// No kernel: for tests and for programs that use the service as a library.
#[derive(Debug, Clone, Copy)]
pub struct NoKernelCache;

impl KernelCache for NoKernelCache {
    fn drop_pages(&self, _attachment: AttachmentId) -> Result<()> {
        Ok(())
    }

    fn forget(&self, _attachment: AttachmentId, _name: &Name) {}

    fn grew(&self, _attachment: AttachmentId, _size: ByteLen) {}
}
