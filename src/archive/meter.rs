//! How a copy reports its progress and is told to stop.

use crate::error::Result;
use crate::units::ByteLen;

/// Told of every piece of work before it is done.
///
/// An engine calls [`advance`](Meter::advance) from its worker threads, one at a time, and does
/// nothing else meanwhile, so a meter that sleeps slows the whole copy down and one that fails ends
/// it: the engine gives the meter's error back and leaves nothing half-done behind.
///
/// How far the sum will get is known before: [`Chain::stored`](super::Chain::stored) for a check
/// and an export, [`Chain::content`](super::Chain::content) for a restore and a flat export, the
/// parent's [`stored`](super::ArchiveRecord::stored) at most for a merge. A copy of a disk tells it by
/// [`expect`](Meter::expect): what is allocated of the disk, or has changed.
pub trait Meter: Sync {
    /// `bytes` of the source are about to be looked at.
    ///
    /// # Errors
    /// Whatever should end the copy.
    fn advance(&self, bytes: ByteLen) -> Result<()>;

    /// Whether others are at work who should not be held up: an engine then does as little as it can at
    /// once.
    fn gives_way(&self) -> bool {
        false
    }

    /// So many bytes will be looked at. A disk that is written to meanwhile may have a few more.
    fn expect(&self, _bytes: ByteLen) {}
}

/// Counts nothing and never ends a copy.
#[derive(Debug, Clone, Copy)]
pub struct Unmetered;

impl Meter for Unmetered {
    fn advance(&self, _bytes: ByteLen) -> Result<()> {
        Ok(())
    }
}
