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
const MAGIC: u32 = u32::from_le_bytes(*b"EVST");

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
    let words = [u64::from(MAGIC) | u64::from(disk) << 32, sector, version];
    for (at, cell) in bytes.chunks_exact_mut(CELL).enumerate() {
        for (part, word) in cell.chunks_exact_mut(8).zip(words) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        cell[24..].copy_from_slice(&check_of(words, at).to_le_bytes());
    }
    bytes
}

/// What a sector is.
pub fn read_stamp(bytes: &[u8]) -> Found {
    let mut cells = bytes.chunks_exact(CELL).enumerate().map(|(at, cell)| read_cell(cell, at));
    let first = cells.next().unwrap_or(Found::Garbage);
    // Most are whole, and cheaper to compare than to read.
    match first {
        Found::Nothing if bytes == [0; SECTOR] => return first,
        Found::Whole { disk, sector, version } if bytes == stamp(disk, sector, version) => {
            return first;
        }
        _ => {}
    }
    cells.fold(first, |so_far, cell| match (so_far, cell) {
        (Found::Garbage, _) | (_, Found::Garbage) => Found::Garbage,
        (so_far, cell) if so_far == cell => so_far,
        _ => Found::Torn,
    })
}

fn read_cell(cell: &[u8], at: usize) -> Found {
    if cell == [0; CELL] {
        return Found::Nothing;
    }
    let word = |from: usize| u64::from_le_bytes(cell[from..from + 8].try_into().unwrap());
    let words = [word(0), word(8), word(16)];
    let [first, sector, version] = words;
    if first as u32 != MAGIC || word(24) != check_of(words, at) {
        return Found::Garbage;
    }
    Found::Whole { disk: (first >> 32) as u32, sector, version }
}

/// Against accidents, not against attackers: each word is multiplied in, and its upper half, which
/// all of its bits reach, folded onto the lower.
fn check_of(words: [u64; 3], at: usize) -> u64 {
    let mut check = at as u64;
    for word in words {
        check = (check ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        check ^= check >> 32;
    }
    check
}
