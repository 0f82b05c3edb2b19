//! The open disk itself.

use super::buffer::ThreadBuffer;
use super::changes::Changes;
use super::counters::{Counters, DiskActivity, Tally};
use super::flush::Flusher;
use super::payload::Payload;
use super::region::{Exclusive, Regions};
use super::region_map::REGION;
use super::snapshot::Present;
use super::span::Span;
use super::suspension::Suspension;
use crate::backing::{Access, Backing};
use crate::crypto::SectorCipher;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;

/// An open disk. Shared by every handle of its file; all methods take `&self` and block.
pub struct Disk {
    pub(super) regions: Regions<Live>,
    pub(super) flusher: Flusher,
    pub(super) tally: Tally,
    pub(super) changes: Changes,
    pub(super) present: Present,
    pub(super) suspension: Suspension,
    // Only grows. The store in extend (Release), made after the payload has grown, pairs with the
    // load in size (Acquire).
    size: AtomicU64,
    // Held while the disk grows.
    growth: Mutex<()>,
    sector: SectorSize,
    access: Access,
    is_encrypted: bool,
}

/// What a disk needs to be alive, and loses when it is revoked.
pub(super) struct Live {
    pub(super) cipher: SectorCipher,
    pub(super) payload: Payload,
}

impl Disk {
    /// Opens a disk of `size` bytes over its payload. The data key, already inside the cipher, lives
    /// until the disk is dropped or revoked.
    ///
    /// # Errors
    /// `invalid` (EVS.1010) when the size is not a positive multiple of the cipher's sector size;
    /// `integrity` when the payload is shorter than the disk.
    pub fn open(
        backing: Box<dyn Backing>,
        cipher: SectorCipher,
        size: ByteLen,
        access: Access,
    ) -> Result<Disk> {
        let sector = cipher.sector_size();
        must_be_whole_sectors(size, sector)?;
        let payload = Payload::new(backing, sector, size)?;
        Ok(Disk {
            is_encrypted: cipher.is_encrypting(),
            regions: Regions::new(Live { cipher, payload }),
            flusher: Flusher::new(),
            tally: Tally::new(),
            changes: Changes::unknown(),
            present: Present::none(),
            suspension: Suspension::none(),
            size: AtomicU64::new(size.get()),
            growth: Mutex::new(()),
            sector,
            access,
        })
    }

    /// The size of the disk.
    pub fn size(&self) -> ByteLen {
        ByteLen::new(self.size.load(Ordering::Acquire))
    }

    /// The disk's sector size, which is also its cipher's data unit.
    pub fn sector_size(&self) -> SectorSize {
        self.sector
    }

    /// Whether the payload is ciphertext.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// What the opener may do.
    pub fn access(&self) -> Access {
        self.access
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.tally.snapshot()
    }

    /// What happened so far, and how long it took.
    pub fn activity(&self) -> DiskActivity {
        self.tally.activity()
    }

    /// Makes room in the payload for a disk of `new_size`, durably, also while I/O goes on. Nobody
    /// sees the new size until [`publish_size`](Self::publish_size); in between a record can be
    /// saved that names it (RULES D11).
    ///
    /// # Errors
    /// `invalid` with EVS.1015 when the size is not larger, with EVS.1010 when it is no multiple of
    /// the sector size; `protected` when opened read only; `no-space`, `io` of the backing;
    /// `detached`.
    pub fn grow_payload(&self, new_size: ByteLen) -> Result<()> {
        self.must_be_writable()?;
        let _growing = self.growth.lock();
        let old_size = self.size();
        if new_size <= old_size {
            let text = format!("the new size {new_size} is not larger than the disk's {old_size}");
            return Err(Error::new(ErrorKind::Invalid, text).code(Code::EVS_1015));
        }
        must_be_whole_sectors(new_size, self.sector)?;
        let live = self.regions.whole()?;
        live.payload.grow(old_size, new_size)?;
        self.flusher.flush(|| live.payload.flush())
    }

    /// Lets reads and writes reach up to `new_size`, for which
    /// [`grow_payload`](Self::grow_payload) has made room. A size never shrinks.
    pub fn publish_size(&self, new_size: ByteLen) {
        // A snapshot that begins meanwhile has the old size or the new one for all it does.
        let turn = self.changes.turn();
        let old_size = self.size.fetch_max(new_size.get(), Ordering::AcqRel);
        if old_size < new_size.get() && !old_size.is_multiple_of(REGION) {
            // The region with the old end is longer than it was in the backup before.
            turn.mark(old_size / REGION..=old_size / REGION);
        }
    }

    /// Grows the disk at once: [`grow_payload`](Self::grow_payload) and then
    /// [`publish_size`](Self::publish_size).
    ///
    /// # Errors
    /// As [`grow_payload`](Self::grow_payload); the size is then as before.
    pub fn extend(&self, new_size: ByteLen) -> Result<()> {
        self.grow_payload(new_size)?;
        self.publish_size(new_size);
        Ok(())
    }

    /// Ends the disk's life under its open handles (RULES D8): all I/O that comes later fails with
    /// `detached` at once, I/O under way is waited for, then cipher and backing are dropped. When
    /// this returns the data key is wiped and the payload's lock is free.
    ///
    /// What was not flushed is handed to the kernel but may not be durable: flush first to be sure.
    /// A disk that is suspended is flushed already, and loses its payload.
    pub fn revoke(&self) {
        // Before the wait for a suspension under way, which may take a flush.
        self.regions.announce_revocation();
        self.suspension.end(|| self.regions.revoke());
    }

    /// Whether [`revoke`](Self::revoke) was called.
    pub fn is_revoked(&self) -> bool {
        self.regions.is_revoked()
    }

    /// The guard under which sectors of the span may be changed; with
    /// [`begin_discard`](Self::begin_discard) the one way to any change.
    ///
    /// Whoever gets the guard notes the change for the next backup, and saves what a copy of a
    /// point in time has not read yet.
    pub(super) fn begin_overwrite(
        &self,
        span: Span,
        buffer: &mut ThreadBuffer,
    ) -> Result<Exclusive<'_, Live>> {
        let live = self.regions.exclude(span)?;
        self.note_change(&live, span.range(), buffer);
        Ok(live)
    }

    /// [`begin_overwrite`](Self::begin_overwrite) for a change that leaves alone what was never
    /// written, so that trimming an empty disk is no change.
    pub(super) fn begin_discard(
        &self,
        span: Span,
        buffer: &mut ThreadBuffer,
    ) -> Result<Exclusive<'_, Live>> {
        let live = self.regions.exclude(span)?;
        if !self.changes.is_tracking() && !self.present.is_running() {
            return Ok(live);
        }
        // Region by region, and no question where the data ends: the answer may lie far behind the
        // span, and others wait for it.
        let Range { start: mut at, end } = span.range();
        while let Some(data) = live.payload.seek_data(at)?.filter(|data| *data < end) {
            let past = (data.get() / REGION + 1).saturating_mul(REGION);
            at = end.min(ByteOffset::new(past));
            self.note_change(&live, data..at, buffer);
            if at == end {
                break;
            }
        }
        Ok(live)
    }

    /// Notes a change about to be made of sectors whose guard the caller holds alone.
    pub(super) fn note_change(
        &self,
        live: &Live,
        range: Range<ByteOffset>,
        buffer: &mut ThreadBuffer,
    ) {
        self.changes.mark(range.start.get() / REGION..=(range.end.get() - 1) / REGION);
        if self.present.is_running() {
            self.present.save(&live.payload, range, buffer);
        }
    }

    /// # Errors
    /// `protected` when the disk was opened read only.
    pub(super) fn must_be_writable(&self) -> Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => {
                Err(Error::new(ErrorKind::Protected, "the disk is attached read only"))
            }
        }
    }

    /// The part of a range that lies on the disk, if any.
    pub(super) fn span(&self, offset: ByteOffset, len: ByteLen) -> Option<Span> {
        let room = self.size().end().checked_since(offset)?;
        Span::new(self.sector, offset, len.min(room))
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encrypted = if self.is_encrypted { "encrypted" } else { "unencrypted" };
        write!(f, "Disk({}, {encrypted}, {:?}, {:?})", self.size(), self.sector, self.access)
    }
}

/// # Errors
/// `invalid` with EVS.1010 for a size that no disk has.
pub(super) fn must_be_whole_sectors(size: ByteLen, sector: SectorSize) -> Result<()> {
    if size > ByteLen::ZERO && sector.is_aligned(size.get()) {
        return Ok(());
    }
    let (size, sector) = (size.get(), sector.bytes());
    let text = format!("disk size {size} is not a positive multiple of the sector size {sector}");
    Err(Error::new(ErrorKind::Invalid, text).code(Code::EVS_1010))
}
