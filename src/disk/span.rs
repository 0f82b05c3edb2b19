//! Which sectors a range of bytes covers: arithmetic only.

use crate::units::{ByteLen, ByteOffset, SectorIndex, SectorSize};
use std::ops::Range;

/// Bytes of the longest request that is served in one piece; longer ones are cut. It is the
/// largest request the kernel sends through FUSE.
///
/// Smaller pieces, which would stay in a core's second cache level, were measured and gain nothing:
/// `benches/disk.rs` with pieces of 64 KiB to 1 MiB, payload in memory and on a tmpfs, read and
/// written, gave the same figures within the noise, 1 MiB the best by a hair.
pub const MAX_REQUEST: usize = 1 << 20;

/// A range of at least one byte, and the sectors that hold it.
///
/// ```text
///            offset                         offset + len
/// |  sector  :  |     sector  |     sector  |  :  sector |
///            <head><---------- body --------><tail>
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    sector: SectorSize,
    offset: u64,
    // offset < end
    end: u64,
}

/// A part of a span that is treated in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Some bytes of one sector.
    Partial {
        /// The sector they lie in.
        sector: SectorIndex,
        /// Where in it.
        within: Range<usize>,
    },
    /// Whole sectors.
    Whole {
        /// The first of them.
        first: SectorIndex,
        /// All their bytes.
        len: ByteLen,
    },
}

impl Span {
    /// The span of `len` bytes at `offset`, or `None` when there is none: no bytes, or past 2^64.
    pub(super) fn new(sector: SectorSize, offset: ByteOffset, len: ByteLen) -> Option<Span> {
        let end = offset.checked_add(len)?.get();
        (len > ByteLen::ZERO).then_some(Span { sector, offset: offset.get(), end })
    }

    /// Where the range starts.
    pub(super) fn offset(&self) -> ByteOffset {
        ByteOffset::new(self.offset)
    }

    /// How long the range is.
    pub(super) fn len(&self) -> ByteLen {
        ByteLen::new(self.end - self.offset)
    }

    /// The last byte of the range.
    pub(super) fn last(&self) -> ByteOffset {
        ByteOffset::new(self.end - 1)
    }

    /// The range itself.
    pub(super) fn range(&self) -> Range<ByteOffset> {
        self.offset()..ByteOffset::new(self.end)
    }

    /// The first covering sector.
    pub(super) fn first_sector(&self) -> SectorIndex {
        self.sector.sector_at(self.offset())
    }

    /// The bytes of all covering sectors.
    pub(super) fn covering_len(&self) -> ByteLen {
        let size = self.size();
        ByteLen::new((self.end - self.start_of_first()).div_ceil(size).saturating_mul(size))
    }

    /// The bytes of the first covering sector that lie before the range.
    pub(super) fn skip(&self) -> usize {
        // Less than a sector.
        (self.offset - self.start_of_first()) as usize
    }

    /// Whether the range is made of whole sectors.
    pub(super) fn is_whole(&self) -> bool {
        self.sector.is_aligned(self.offset) && self.sector.is_aligned(self.end)
    }

    /// Head, body and tail, those that there are, in order. They cover the range exactly.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> + use<> {
        let (size, sector) = (self.size(), self.sector);
        let (offset, end) = (self.offset, self.end);
        let body_start = offset.next_multiple_of(size).min(end);
        let body_end = (end - end % size).max(body_start);
        let partial = move |from: u64, to: u64| {
            let start = from - from % size;
            (from < to).then(|| Piece::Partial {
                sector: sector.sector_at(ByteOffset::new(from)),
                // Both at most a sector.
                within: (from - start) as usize..(to - start) as usize,
            })
        };
        let head = partial(offset, body_start);
        let body = (body_start < body_end).then(|| Piece::Whole {
            first: sector.sector_at(ByteOffset::new(body_start)),
            len: ByteLen::new(body_end - body_start),
        });
        let tail = partial(body_end, end);
        head.into_iter().chain(body).chain(tail)
    }

    /// The span cut into spans of at most `most` bytes, with cuts between sectors only.
    ///
    /// `most` is a multiple of every sector size.
    pub(super) fn chunks(self, most: ByteLen) -> impl Iterator<Item = Span> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let (chunk, after) = rest?.split_first(most);
            rest = after;
            Some(chunk)
        })
    }

    /// The first of the [`chunks`](Self::chunks), and what comes after it.
    pub(super) fn split_first(self, most: ByteLen) -> (Span, Option<Span>) {
        let (size, most) = (self.size(), most.get());
        if self.end - self.offset <= most {
            return (self, None);
        }
        let cut = (self.offset + most) - (self.offset + most) % size;
        (Span { end: cut, ..self }, Some(Span { offset: cut, ..self }))
    }

    fn size(&self) -> u64 {
        self.sector.len().get()
    }

    fn start_of_first(&self) -> u64 {
        self.offset - self.offset % self.size()
    }
}

impl Piece {
    /// The bytes of the piece.
    pub(super) fn len(&self) -> ByteLen {
        match self {
            Piece::Partial { within, .. } => ByteLen::new(within.len() as u64),
            Piece::Whole { len, .. } => *len,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(piece: &Piece, sector: SectorSize) -> Range<u64> {
        let size = sector.len().get();
        match piece {
            Piece::Partial { sector, within } => {
                assert!(within.end as u64 <= size && (within.len() as u64) < size);
                let start = sector.get() * size;
                start + within.start as u64..start + within.end as u64
            }
            Piece::Whole { first, len } => {
                assert!(len.get() % size == 0 && len.get() > 0);
                first.get() * size..first.get() * size + len.get()
            }
        }
    }

    fn sector_size() -> impl Strategy<Value = SectorSize> {
        proptest::sample::select(SectorSize::ALL.as_slice())
    }

    proptest! {
        #[test]
        fn pieces_cover_the_range_without_gap_or_overlap(
            sector in sector_size(), offset in 0..1_u64 << 40, len in 1..100_000_u64,
        ) {
            let span = Span::new(sector, ByteOffset::new(offset), ByteLen::new(len)).unwrap();
            let mut at = offset;
            let mut partial = 0;
            for piece in span.pieces() {
                let bytes = bytes_of(&piece, sector);
                prop_assert_eq!(bytes.start, at);
                prop_assert_eq!(bytes.end - bytes.start, piece.len().get());
                partial += u32::from(matches!(piece, Piece::Partial { .. }));
                at = bytes.end;
            }
            prop_assert_eq!(at, offset + len);
            prop_assert!(partial <= 2);
            prop_assert_eq!(partial == 0, span.is_whole());
        }

        #[test]
        fn covering_sectors_hold_the_range_and_no_more(
            sector in sector_size(), offset in 0..1_u64 << 40, len in 1..100_000_u64,
        ) {
            let span = Span::new(sector, ByteOffset::new(offset), ByteLen::new(len)).unwrap();
            let size = sector.len().get();
            let start = span.first_sector().get() * size;
            let end = start + span.covering_len().get();
            prop_assert_eq!(start + span.skip() as u64, offset);
            prop_assert!(end >= offset + len && end < offset + len + size);
        }

        #[test]
        fn chunks_are_short_and_cut_between_sectors(
            sector in sector_size(), offset in 0..1_u64 << 40, len in 1..100_000_u64,
        ) {
            let span = Span::new(sector, ByteOffset::new(offset), ByteLen::new(len)).unwrap();
            let mut at = offset;
            for chunk in span.chunks(ByteLen::new(16_384)) {
                prop_assert_eq!(chunk.offset().get(), at);
                prop_assert!(chunk.len().get() <= 16_384 && chunk.len() > ByteLen::ZERO);
                prop_assert!(at == offset || sector.is_aligned(at));
                at = chunk.last().get() + 1;
            }
            prop_assert_eq!(at, offset + len);
        }
    }

    #[test]
    fn a_range_of_nothing_or_past_the_end_of_numbers_is_no_span() {
        let sector = SectorSize::S512;
        assert_eq!(Span::new(sector, ByteOffset::new(7), ByteLen::ZERO), None);
        assert_eq!(Span::new(sector, ByteOffset::new(u64::MAX), ByteLen::new(2)), None);
    }
}
