//! Disks to test with.

use crate::kernel::kernel_under_test;
use evsfs::backing::{Backing, MemoryBacking};
use evsfs::crypto::{Dk, Secret, SectorCipher};
use evsfs::disk::{Access, Disk, SealedSource};
use evsfs::error::Result;
use evsfs::units::{ByteLen, ByteOffset, SectorSize};
use std::sync::Arc;

/// The data key of every disk here, so that a disk can be opened again.
pub const KEY: [u8; 64] = {
    let mut key = [0; 64];
    let mut at = 0;
    while at < 64 {
        key[at] = at as u8 * 3 + 1;
        at += 1;
    }
    key
};

/// What a disk is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Make {
    pub sector: SectorSize,
    pub encrypted: bool,
}

impl Make {
    pub const ALL: [Make; 4] = [
        Make { sector: SectorSize::S512, encrypted: true },
        Make { sector: SectorSize::S4096, encrypted: true },
        Make { sector: SectorSize::S512, encrypted: false },
        Make { sector: SectorSize::S4096, encrypted: false },
    ];

    pub fn cipher(self) -> SectorCipher {
        if !self.encrypted {
            return SectorCipher::null(self.sector);
        }
        let key = Secret::fill(|bytes| {
            bytes.copy_from_slice(&KEY);
            Ok(())
        });
        let dk = Dk::from_secret(key.unwrap()).unwrap();
        SectorCipher::xts_aes_256(dk, self.sector, kernel_under_test()).unwrap()
    }

    pub fn open(self, backing: impl Backing + 'static, size: u64) -> Disk {
        let size = ByteLen::new(size);
        Disk::open(Box::new(backing), self.cipher(), size, Access::ReadWrite).unwrap()
    }

    /// A new disk in memory, and a second handle of its payload.
    pub fn in_memory(self, size: u64) -> (Disk, Arc<MemoryBacking>) {
        let payload = Arc::new(MemoryBacking::new(ByteLen::new(size)));
        (self.open(Arc::clone(&payload), size), payload)
    }
}

pub fn at(offset: usize) -> ByteOffset {
    ByteOffset::new(offset as u64)
}

pub fn len(bytes: usize) -> ByteLen {
    ByteLen::new(bytes as u64)
}

/// All bytes of a disk.
pub fn content(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0xee; disk.size().to_usize().unwrap()];
    let count = disk.read_at(ByteOffset::ZERO, &mut bytes).unwrap();
    assert_eq!(count, bytes.len());
    bytes
}

/// All bytes at rest.
pub fn at_rest(payload: &dyn Backing) -> Vec<u8> {
    let mut bytes = vec![0; payload.len().to_usize().unwrap()];
    payload.read_at(ByteOffset::ZERO, &mut bytes).unwrap();
    bytes
}

/// Bytes that look like data: never zero, different from place to place and from seed to seed.
pub fn data(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| ((n * 31 + (n >> 8) * 7 + seed * 101) % 255) as u8 + 1).collect()
}

/// The range widened to whole sectors.
pub fn covering(sector: SectorSize, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let size = sector.bytes();
    range.start / size * size..range.end.next_multiple_of(size)
}

/// What a copy engine gets from a source, in pieces of `piece` bytes.
pub fn copy(source: &dyn SealedSource, piece: usize) -> Result<Vec<u8>> {
    let mut copied = Copied::new(source);
    while copied.step(source, piece)? {}
    Ok(copied.bytes)
}

/// A copy under way.
pub struct Copied {
    pub bytes: Vec<u8>,
    at: usize,
}

impl Copied {
    pub fn new(source: &dyn SealedSource) -> Self {
        Copied { bytes: vec![0; source.size().to_usize().unwrap()], at: 0 }
    }

    /// Copies one more piece, unless nothing is left.
    pub fn step(&mut self, source: &dyn SealedSource, piece: usize) -> Result<bool> {
        if self.at == self.bytes.len() {
            return Ok(false);
        }
        let Some(range) = source.next_data(at(self.at))? else {
            self.at = self.bytes.len();
            return Ok(false);
        };
        let range = range.start.get() as usize..range.end.get() as usize;
        assert!(self.at <= range.start && range.start < range.end);
        assert!(range.end <= self.bytes.len());
        assert!(range.start.is_multiple_of(source.sector_size().bytes()));
        let end = range.end.min(range.start + piece.next_multiple_of(4096));
        source.read_sealed(at(range.start), &mut self.bytes[range.start..end])?;
        self.at = end;
        Ok(true)
    }
}

/// A scratch backing for a snapshot, and a second handle of it.
pub fn spill() -> (Box<dyn Backing>, Arc<MemoryBacking>) {
    let spill = Arc::new(MemoryBacking::new(ByteLen::ZERO));
    (Box::new(Arc::clone(&spill)), spill)
}
