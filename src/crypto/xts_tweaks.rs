//! Tweaks: which number a data unit is sealed under, and the row of masks that grows from it.
//!
//! IEEE 1619-2018 section 5.2: the tweak of a data unit, as 16 little-endian bytes, is encrypted
//! under the tweak key; that is the mask of the unit's first block. Each following block's mask is
//! the one before times alpha in GF(2^128) modulo x^128 + x^7 + x^2 + x + 1.

use crate::units::{SectorIndex, SectorSize};

/// A row of data units in one buffer: the tweak of the first, how far apart the tweaks are, and how
/// many bytes each unit has.
#[derive(Clone, Copy)]
pub(super) struct Run {
    first_tweak: u128,
    tweaks_apart: u128,
    unit_bytes: usize,
}

impl Run {
    /// Sectors of a disk, from `first` on.
    pub(super) fn of_sectors(first: SectorIndex, size: SectorSize) -> Self {
        Run {
            first_tweak: size.tweak_of(first),
            tweaks_apart: size.tweak_of(SectorIndex::new(1)),
            unit_bytes: size.bytes(),
        }
    }

    /// One unit of `bytes` under any tweak.
    pub(super) fn of_one_unit(tweak: u128, bytes: usize) -> Self {
        Run { first_tweak: tweak, tweaks_apart: 0, unit_bytes: bytes }
    }

    /// The run without its first `units`.
    pub(super) fn after(self, units: usize) -> Self {
        Run { first_tweak: self.tweak(units), ..self }
    }

    /// The tweak of the unit at `position` in the run.
    pub(super) fn tweak(self, position: usize) -> u128 {
        // 64-bit sectors times at most 8 leave more than 60 bits of room; raw units have one tweak.
        self.first_tweak.wrapping_add(self.tweaks_apart.wrapping_mul(position as u128))
    }

    /// Bytes of each unit.
    pub(super) fn unit_bytes(self) -> usize {
        self.unit_bytes
    }
}

/// The mask of one block: an element of GF(2^128), low half first, bit i the coefficient of x^i.
pub(super) type Mask = [u64; 2];

/// The mask that 16 bytes stand for.
#[inline(always)]
pub(super) fn mask_of(bytes: &[u8; 16]) -> Mask {
    let (halves, _) = bytes.as_chunks::<8>();
    [u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])]
}

/// `mask` times alpha to the power `power`, for 1 to 57.
///
/// The bits shifted out at the top come back times x^7 + x^2 + x + 1; up to 57 of them still fit
/// into the low half after that, so one fold is enough.
#[inline(always)]
fn times_alpha_to(power: u32, [low, high]: Mask) -> Mask {
    let out = high >> (64 - power);
    let folded = out ^ (out << 1) ^ (out << 2) ^ (out << 7);
    [(low << power) ^ folded, (high << power) | (low >> (64 - power))]
}

/// `mask` times alpha to the power 64: the halves change places and the high one is folded.
#[inline(always)]
pub(super) fn times_alpha_to_64([low, high]: Mask) -> Mask {
    [
        high ^ (high << 1) ^ (high << 2) ^ (high << 7),
        low ^ (high >> 63) ^ (high >> 62) ^ (high >> 57),
    ]
}

/// Fills `row` (up to 64 masks) with `first`, `first` times alpha, times alpha squared, and so on.
///
/// By doubling the filled part, six times for 64: within a pass the masks do not depend on each
/// other, so that the compiler can compute several at once, which a chain of doublings forbids.
#[inline(always)]
pub(super) fn fill_row(first: Mask, row: &mut [Mask]) {
    debug_assert!((1..=64).contains(&row.len()));
    row[0] = first;
    let mut filled = 1;
    while filled < row.len() {
        let (done, rest) = row.split_at_mut(filled);
        // At most 32, since a row of 64 is full after that.
        let power = filled as u32;
        for (next, mask) in rest.iter_mut().zip(done.iter()) {
            *next = times_alpha_to(power, *mask);
        }
        filled *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IEEE 1619-2018 section 5.2, bit by bit.
    fn times_alpha(mask: u128) -> u128 {
        let doubled = mask << 1;
        if mask >> 127 == 1 { doubled ^ 0x87 } else { doubled }
    }

    fn joined([low, high]: Mask) -> u128 {
        u128::from(low) | u128::from(high) << 64
    }

    fn halves(mask: u128) -> Mask {
        mask_of(&mask.to_le_bytes())
    }

    /// Every basis vector, and so by linearity every mask.
    #[test]
    fn rows_are_repeated_multiplication_by_alpha() {
        for bit in 0..128 {
            let mut row = [[0; 2]; 64];
            fill_row(halves(1 << bit), &mut row);
            let mut expected = 1_u128 << bit;
            for mask in row {
                assert_eq!(joined(mask), expected, "bit {bit}");
                expected = times_alpha(expected);
            }
            assert_eq!(joined(times_alpha_to_64(halves(1 << bit))), expected, "bit {bit}");
        }
    }

    #[test]
    fn rows_of_any_length_are_the_start_of_the_longest() {
        let first = halves(0xfedc_ba98_7654_3210_0123_4567_89ab_cdef);
        let mut longest = [[0; 2]; 64];
        fill_row(first, &mut longest);
        for len in 1..=64 {
            let mut row = vec![[0; 2]; len];
            fill_row(first, &mut row);
            assert_eq!(row, longest[..len]);
        }
    }

    /// INTERFACE section 6: tweaks count units of 512 bytes.
    #[test]
    fn tweaks_of_a_run_go_up_by_the_sector_size_in_units_of_512() {
        let run = Run::of_sectors(SectorIndex::new(u64::MAX), SectorSize::S4096);
        assert_eq!(run.tweak(0), u128::from(u64::MAX) * 8);
        assert_eq!(run.tweak(3), u128::from(u64::MAX) * 8 + 24);
        assert_eq!(run.after(2).tweak(1), run.tweak(3));
        let run = Run::of_sectors(SectorIndex::new(5), SectorSize::S512);
        assert_eq!(run.tweak(2), 7);
    }
}
