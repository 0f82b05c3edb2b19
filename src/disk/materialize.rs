//! Sealing what was never written.

use super::buffer::ThreadBuffer;
use super::open::Disk;
use super::span::Span;
use crate::error::Result;
use crate::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;

/// Bytes sealed under one hold of the guards.
const HOLD: ByteLen = ByteLen::MIB;

impl Disk {
    /// Seals zeros into those sectors of a range that were never written or are discarded. The disk
    /// reads as before; other programs, which open every sector, read zeros there now instead of
    /// noise. Says how many bytes that were.
    ///
    /// # Errors
    /// `protected` when opened read only; `io`, `no-space` of the backing, and then any part may have
    /// been sealed; `detached`.
    pub fn materialize(&self, offset: ByteOffset, len: ByteLen) -> Result<ByteLen> {
        self.must_be_writable()?;
        let mut sealed = 0;
        let mut rest = self.span(offset, len);
        while let Some(span) = rest {
            let (chunk, after) = span.split_first(HOLD);
            sealed += self.materialize_chunk(chunk)?;
            rest = after;
        }
        Ok(ByteLen::new(sealed))
    }

    fn materialize_chunk(&self, span: Span) -> Result<u64> {
        let (mut buffer, mut scratch) = (ThreadBuffer::take(), ThreadBuffer::take());
        let live = self.regions.exclude(span)?;
        let (first, len) = (span.first_sector(), span.covering_len());
        let sector = self.sector_size();
        let start = sector.offset_of(first).unwrap_or(span.offset());
        let loaded = live.payload.load(first, buffer.bytes(len.to_usize()?))?;
        let mut count = 0;
        for run in never_written(loaded.as_sealed(), sector) {
            let at = ByteOffset::new(start.get() + run.start as u64);
            let end = ByteOffset::new(start.get() + run.end as u64);
            // What is written already is no change, and stays out of the next backup.
            self.note_change(&live, at..end, &mut scratch);
            let (zeros, into) = (&loaded.as_sealed()[run.clone()], scratch.bytes(run.len()));
            let first = sector.sector_at(at);
            live.payload.store(first, &live.cipher.seal_from(first, zeros, into))?;
            count += run.len() as u64;
        }
        Ok(count)
    }
}

/// The runs of sectors that hold nothing but zeros, as positions in `bytes`.
fn never_written(bytes: &[u8], sector: SectorSize) -> impl Iterator<Item = Range<usize>> {
    let size = sector.bytes();
    let is_empty = move |at: usize| bytes[at..at + size].iter().all(|byte| *byte == 0);
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = (at..bytes.len()).step_by(size).find(|at| is_empty(*at))?;
        let end = (start..bytes.len()).step_by(size).find(|at| !is_empty(*at));
        at = end.unwrap_or(bytes.len());
        Some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backing::{Access, Backing, MemoryBacking};
    use crate::crypto::{Dk, Kernel, SectorCipher};
    use std::sync::Arc;

    const SIZE: ByteLen = ByteLen::new(3 << 20);

    fn disk(sector: SectorSize) -> (Arc<MemoryBacking>, Disk) {
        let backing = Arc::new(MemoryBacking::new(SIZE));
        let dk = Dk::generate().unwrap();
        let cipher = SectorCipher::xts_aes_256(dk, sector, Kernel::Portable).unwrap();
        let disk = Disk::open(Box::new(backing.clone()), cipher, SIZE, Access::ReadWrite).unwrap();
        (backing, disk)
    }

    fn content(disk: &Disk) -> Vec<u8> {
        let mut bytes = vec![1; SIZE.to_usize().unwrap()];
        disk.read_at(ByteOffset::ZERO, &mut bytes).unwrap();
        bytes
    }

    fn empty_sectors(backing: &MemoryBacking, sector: SectorSize) -> usize {
        let mut bytes = vec![0; SIZE.to_usize().unwrap()];
        backing.read_at(ByteOffset::ZERO, &mut bytes).unwrap();
        bytes.chunks(sector.bytes()).filter(|one| one.iter().all(|byte| *byte == 0)).count()
    }

    #[test]
    fn no_sector_stays_empty_and_the_disk_reads_as_before() {
        for sector in SectorSize::ALL {
            let (backing, disk) = disk(sector);
            for (at, len) in [(0, 10), (5000, 9000), ((1 << 20) - 3, 7), ((3 << 20) - 1, 1)] {
                disk.write_at(ByteOffset::new(at), &vec![0xa5; len]).unwrap();
            }
            let (before, holes) = (content(&disk), empty_sectors(&backing, sector));
            assert!(holes > 0);
            let sealed = disk.materialize(ByteOffset::ZERO, SIZE).unwrap();
            assert_eq!(sealed.get(), (holes * sector.bytes()) as u64);
            assert_eq!(empty_sectors(&backing, sector), 0);
            assert_eq!(content(&disk), before);
            assert_eq!(disk.materialize(ByteOffset::ZERO, SIZE).unwrap(), ByteLen::ZERO);
            disk.discard(ByteOffset::ZERO, ByteLen::new(8192)).unwrap();
            assert_eq!(empty_sectors(&backing, sector), 8192 / sector.bytes());
        }
    }

    #[test]
    fn runs_of_empty_sectors_are_found_wherever_they_lie() {
        let mut bytes = vec![0; 6 * 512];
        bytes[512] = 1;
        bytes[5 * 512 - 1] = 1;
        let runs: Vec<_> = never_written(&bytes, SectorSize::S512).collect();
        assert_eq!(runs, [0..512, 1024..2048, 2560..3072]);
        assert_eq!(never_written(&[], SectorSize::S512).count(), 0);
    }

    #[test]
    fn a_disk_that_is_only_read_stays_as_it_is() {
        let backing = MemoryBacking::new(SIZE);
        let cipher = SectorCipher::null(SectorSize::S512);
        let disk = Disk::open(Box::new(backing), cipher, SIZE, Access::ReadOnly).unwrap();
        assert!(disk.materialize(ByteOffset::ZERO, SIZE).is_err());
    }
}
