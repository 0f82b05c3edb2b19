//! A set of regions of a disk: sparse, and marked by many threads without a lock.
//!
//! A tree of fixed shape, whose parts are made when first needed:
//!
//! ```text
//! root      256 branches of 256 GiB     64 TiB, the largest disk (RULES D11)
//! branch   1024 leaves of 256 MiB
//! leaf     4096 bits, one a region
//! ```
//!
//! A small disk has one branch and few leaves, 20 KiB. The worst case, something marked in every
//! 256 MiB of 64 TiB, is 132 MiB, so whoever keeps a map for long gives it a limit.

use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::units::ByteLen;
use std::sync::OnceLock;

/// Bytes of a region: a multiple of every sector size. Small, so that a writer keeps few readers
/// waiting and a copy of a point in time saves little that nobody touched; the guards of a long
/// request still cost a hundredth of its cipher.
pub(super) const REGION: u64 = 64 * 1024;

const WORDS: usize = 64;
const LEAVES: usize = 1024;
const BRANCHES: usize = 256;

/// Regions of a leaf.
const LEAF_REGIONS: u64 = WORDS as u64 * 64;

/// Leaves of a whole map.
pub(super) const MOST_LEAVES: usize = BRANCHES * LEAVES;

/// The longest disk whose regions a map can hold.
pub(super) const MOST_BYTES: ByteLen = ByteLen::new(MOST_LEAVES as u64 * LEAF_REGIONS * REGION);

/// The bits of one leaf as plain numbers, the first region in the lowest bit of the first word.
pub(super) type LeafBits = [u64; WORDS];

/// A set of region numbers.
pub(super) struct RegionMap {
    branches: Box<[OnceLock<Branch>]>,
    // Relaxed: a number to stop at, it orders nothing.
    leaves: AtomicUsize,
    most_leaves: usize,
}

type Branch = Box<[OnceLock<Leaf>]>;

/// Words are set with Release and looked at with Acquire: who sees a mark sees what was done
/// before it was made.
type Leaf = Box<[AtomicU64; WORDS]>;

impl RegionMap {
    /// An empty set that takes no more memory than `most_leaves` leaves need.
    pub(super) fn new(most_leaves: usize) -> Self {
        let branches = std::iter::repeat_with(OnceLock::new).take(BRANCHES).collect();
        RegionMap { branches, leaves: AtomicUsize::new(0), most_leaves }
    }

    /// Puts a region into the set. `false` when it has no room for it.
    #[must_use]
    pub(super) fn mark(&self, region: u64) -> bool {
        let Some(leaf) = self.leaf_to_mark(region / LEAF_REGIONS) else {
            return false;
        };
        let (word, bit) = place(region);
        // A look first, because most regions are marked already and a look does not take the line
        // away from other cores.
        if leaf[word].load(Ordering::Relaxed) & bit == 0 {
            leaf[word].fetch_or(bit, Ordering::Release);
        }
        true
    }

    /// Puts all regions of a leaf's bits into the set. `false` when it has no room.
    #[must_use]
    pub(super) fn mark_leaf(&self, index: usize, bits: &LeafBits) -> bool {
        let Some(leaf) = self.leaf_to_mark(index as u64) else {
            return false;
        };
        for (word, bits) in leaf.iter().zip(bits) {
            word.fetch_or(*bits, Ordering::Release);
        }
        true
    }

    /// Whether a region is in the set.
    pub(super) fn is_marked(&self, region: u64) -> bool {
        let (word, bit) = place(region);
        self.leaf(region / LEAF_REGIONS)
            .is_some_and(|leaf| leaf[word].load(Ordering::Acquire) & bit != 0)
    }

    /// The first region of the set from `from` on.
    pub(super) fn next_marked(&self, from: u64) -> Option<u64> {
        let mut at = from;
        while at < MOST_LEAVES as u64 * LEAF_REGIONS {
            let index = at / LEAF_REGIONS;
            let Some(leaf) = self.leaf(index) else {
                let has_branch = self.branch(index).is_some();
                let step = if has_branch { LEAF_REGIONS } else { LEAF_REGIONS * LEAVES as u64 };
                at = (at / step + 1) * step;
                continue;
            };
            let (word, _) = place(at);
            let rest = leaf[word].load(Ordering::Acquire) >> (at % 64);
            match rest {
                0 => at = (at / 64 + 1) * 64,
                _ => return Some(at + u64::from(rest.trailing_zeros())),
            }
        }
        None
    }

    /// The first region that is not in the set from `from` on.
    pub(super) fn next_unmarked(&self, from: u64) -> u64 {
        let mut at = from;
        while let Some(leaf) = self.leaf(at / LEAF_REGIONS) {
            let (word, _) = place(at);
            let rest = !leaf[word].load(Ordering::Acquire) >> (at % 64);
            match rest {
                0 => at = (at / 64 + 1) * 64,
                _ => return at + u64::from(rest.trailing_zeros()),
            }
        }
        at
    }

    /// The leaves that have a mark, upwards.
    pub(super) fn marked_leaves(&self) -> impl Iterator<Item = (usize, LeafBits)> {
        let branches = self.branches.iter().enumerate();
        let branches = branches.filter_map(|(number, branch)| Some((number, branch.get()?)));
        branches
            .flat_map(|(number, branch)| {
                let leaves = branch.iter().enumerate();
                leaves.filter_map(move |(at, leaf)| Some((number * LEAVES + at, leaf.get()?)))
            })
            .map(|(index, leaf)| (index, bits_of(leaf)))
            .filter(|(_, bits)| bits.iter().any(|word| *word != 0))
    }

    /// Empties the set and keeps its memory. Marks made meanwhile may go or stay.
    pub(super) fn clear(&self) {
        let branches = self.branches.iter().filter_map(OnceLock::get);
        let leaves = branches.flat_map(|branch| branch.iter().filter_map(OnceLock::get));
        leaves.for_each(|leaf| leaf.iter().for_each(|word| word.store(0, Ordering::Release)));
    }

    fn branch(&self, leaf: u64) -> Option<&Branch> {
        self.branches.get(usize::try_from(leaf).ok()? / LEAVES)?.get()
    }

    fn leaf(&self, leaf: u64) -> Option<&Leaf> {
        // Less than LEAVES.
        self.branch(leaf)?[(leaf % LEAVES as u64) as usize].get()
    }

    fn leaf_to_mark(&self, index: u64) -> Option<&Leaf> {
        if let Some(leaf) = self.leaf(index) {
            return Some(leaf);
        }
        let branch = self.branches.get(usize::try_from(index).ok()? / LEAVES)?;
        // Threads that count at the same time may stop a few leaves early, and never late.
        if self.leaves.fetch_add(1, Ordering::Relaxed) >= self.most_leaves {
            self.leaves.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let empty_branch = || std::iter::repeat_with(OnceLock::new).take(LEAVES).collect();
        let place = &branch.get_or_init(empty_branch)[(index % LEAVES as u64) as usize];
        let mut is_new = false;
        let leaf = place.get_or_init(|| {
            is_new = true;
            Box::new([const { AtomicU64::new(0) }; WORDS])
        });
        if !is_new {
            self.leaves.fetch_sub(1, Ordering::Relaxed);
        }
        Some(leaf)
    }
}

/// Word and bit of a region in its leaf.
fn place(region: u64) -> (usize, u64) {
    // Less than WORDS.
    ((region % LEAF_REGIONS / 64) as usize, 1 << (region % 64))
}

fn bits_of(leaf: &Leaf) -> LeafBits {
    std::array::from_fn(|word| leaf[word].load(Ordering::Acquire))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const REGIONS: u64 = MOST_LEAVES as u64 * LEAF_REGIONS;

    #[test]
    fn a_map_reaches_to_the_largest_disk_and_no_further() {
        assert_eq!(MOST_BYTES, ByteLen::new(64 << 40));
        let map = RegionMap::new(MOST_LEAVES);
        assert!(map.mark(REGIONS - 1) && map.is_marked(REGIONS - 1));
        assert!(!map.mark(REGIONS) && !map.is_marked(REGIONS) && !map.is_marked(u64::MAX));
        assert_eq!(map.next_marked(0), Some(REGIONS - 1));
        assert_eq!(map.next_marked(REGIONS), None);
        assert_eq!(map.next_marked(u64::MAX), None);
        assert_eq!(map.next_unmarked(REGIONS - 1), REGIONS);
        assert_eq!(map.marked_leaves().count(), 1);
    }

    #[test]
    fn a_map_with_a_limit_takes_no_more_leaves_and_keeps_those_it_has() {
        let map = RegionMap::new(2);
        assert!(map.mark(0) && map.mark(LEAF_REGIONS * 5_000));
        assert!(!map.mark(LEAF_REGIONS) && !map.mark(LEAF_REGIONS * 9_000));
        assert!(map.mark(1) && map.is_marked(0));
        let mut clear = map.marked_leaves();
        assert_eq!(clear.next().unwrap().0, 0);
        assert_eq!(clear.next().unwrap().0, 5_000);
        assert!(clear.next().is_none());
    }

    #[test]
    fn threads_that_mark_at_the_same_time_lose_no_mark() {
        let map = RegionMap::new(MOST_LEAVES);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let map = &map;
                scope.spawn(move || (0..50_000).for_each(|n| assert!(map.mark(n * 4 + thread))));
            }
        });
        assert_eq!(map.next_unmarked(0), 200_000);
        assert_eq!(map.leaves.load(Ordering::Relaxed), 200_000_usize.div_ceil(4096));
    }

    fn region() -> impl Strategy<Value = u64> {
        prop_oneof![0..300_u64, 4000..4200_u64, 0..REGIONS, REGIONS - 70..REGIONS]
    }

    proptest! {
        #[test]
        fn a_map_behaves_as_a_set_of_numbers(
            regions in proptest::collection::vec((region(), 1..140_u64), 1..30),
            asked in proptest::collection::vec(region(), 1..20),
        ) {
            let map = RegionMap::new(MOST_LEAVES);
            let mut model = BTreeSet::new();
            for (first, count) in regions {
                for region in first..(first + count).min(REGIONS) {
                    prop_assert!(map.mark(region));
                    model.insert(region);
                }
            }
            let copy = RegionMap::new(MOST_LEAVES);
            for (index, bits) in map.marked_leaves() {
                prop_assert!(copy.mark_leaf(index, &bits));
            }
            map.clear();
            prop_assert_eq!(map.next_marked(0), None);
            for from in asked.into_iter().chain(model.iter().copied()) {
                prop_assert_eq!(copy.is_marked(from), model.contains(&from));
                prop_assert_eq!(copy.next_marked(from), model.range(from..).next().copied());
                let hole = (from..).find(|region| !model.contains(region));
                prop_assert_eq!(Some(copy.next_unmarked(from)), hole);
            }
        }
    }
}
