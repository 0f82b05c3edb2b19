//! Letting somebody else read a disk.

use super::open::Disk;
use crate::backing::Access;
use crate::backing::ReadableFile;
use crate::error::Result;

impl Disk {
    /// The file that holds exactly this disk's bytes, for somebody who reads it in the disk's place
    /// (FUSE passthrough). Only an unencrypted disk opened read only has one.
    ///
    /// Never a writable one: a write past the end would grow the payload where the disk must answer
    /// ENOSPC, and writes that do not come by here would miss the guards, and copies of a point in
    /// time with them. What reads the file is not counted and outlives [`revoke`](Disk::revoke).
    ///
    /// # Errors
    /// `io` when the file cannot be opened; `detached`.
    pub fn plain_file(&self) -> Result<Option<ReadableFile>> {
        if self.is_encrypted() || self.access() != Access::ReadOnly {
            return Ok(None);
        }
        let live = self.regions.whole()?;
        // A longer one would show what lies behind the disk's end.
        if live.payload.len() != self.size() {
            return Ok(None);
        }
        live.payload.readable_file()
    }
}
