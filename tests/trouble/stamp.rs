//! Sectors that say where they belong and how new they are.
//!
//! A sector of 512 bytes is 16 cells of 32 bytes, all alike but for their check:
//!
//! | bytes | meaning |
//! |---|---|
//! | 0..4 | `EVST` |
//! | 4..8 | which disk |
//! | 8..16 | sector number on that disk, in units of 512 bytes |
//! | 16..24 | version: each write of a sector has a higher one than the write before |
//! | 24..32 | check over the rest and the cell's place in the sector |
//!
//! So a sector that is torn at any boundary of 32 bytes, that lies at another's place, or that was
//! opened under the wrong key or tweak, is told apart from one that is merely old. Numbers are
//! little-endian.

/// Bytes of the unit that is stamped.
pub const SECTOR: usize = 512;
const CELL: usize = 32;
const MAGIC: &[u8; 4] = b"EVST";

/// What a sector turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Zeros.
    Nothing,
    /// A whole stamp.
    Whole { disk: u32, sector: u64, version: u64 },
    /// Parts of several stamps, or of one and zeros.
    Torn,
    /// No stamp.
    Garbage,
}

/// The content of a sector.
pub fn stamp(disk: u32, sector: u64, version: u64) -> [u8; SECTOR] {
    let mut bytes = [0; SECTOR];
    for (at, cell) in bytes.chunks_exact_mut(CELL).enumerate() {
        cell[..4].copy_from_slice(MAGIC);
        cell[4..8].copy_from_slice(&disk.to_le_bytes());
        cell[8..16].copy_from_slice(&sector.to_le_bytes());
        cell[16..24].copy_from_slice(&version.to_le_bytes());
        let check = check_of(&cell[..24], at);
        cell[24..].copy_from_slice(&check.to_le_bytes());
    }
    bytes
}

/// What a sector is.
pub fn read_stamp(bytes: &[u8]) -> Found {
    let mut cells = bytes.chunks_exact(CELL).enumerate().map(|(at, cell)| read_cell(cell, at));
    let first = cells.next().unwrap_or(Found::Garbage);
    cells.fold(first, |so_far, cell| match (so_far, cell) {
        (Found::Garbage, _) | (_, Found::Garbage) => Found::Garbage,
        (so_far, cell) if so_far == cell => so_far,
        _ => Found::Torn,
    })
}

fn read_cell(cell: &[u8], at: usize) -> Found {
    if cell.iter().all(|byte| *byte == 0) {
        return Found::Nothing;
    }
    let word = |from: usize| u64::from_le_bytes(cell[from..from + 8].try_into().unwrap());
    if &cell[..4] != MAGIC || word(24) != check_of(&cell[..24], at) {
        return Found::Garbage;
    }
    let disk = u32::from_le_bytes(cell[4..8].try_into().unwrap());
    Found::Whole { disk, sector: word(8), version: word(16) }
}

/// FNV-1a; against accidents, not against attackers.
fn check_of(bytes: &[u8], at: usize) -> u64 {
    let with_place = bytes.iter().copied().chain((at as u64).to_le_bytes());
    with_place.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
