//! Which parts of a disk have changed, and how that is written down.
//!
//! # Format
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `evschgd\0` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | bytes of a region, 65536 |
//! | 16 | 4 | number of leaves |
//! | 20 | 516 each | leaves |
//! | end - 32 | 32 | SHA-256 of all that comes before |
//!
//! A leaf is its number (4 bytes) and 64 words of 8 bytes: bit `b` of word `w` of leaf `n` stands
//! for region `4096 n + 64 w + b`. Leaves go upwards, each once, none without a bit. Numbers are
//! little-endian. The whole is written at once to a new file, so a torn write is a document that is
//! too short or fails its checksum. The checksum finds accidents only: against an attacker the
//! document is kept where records are authenticated.

use super::region_map::{LeafBits, MOST_LEAVES, REGION, RegionMap};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{ByteLen, ByteOffset};
use sha2::{Digest, Sha256};
use std::ops::Range;

const MAGIC: &[u8; 8] = b"evschgd\0";
const VERSION: u32 = 1;
const HEADER: usize = MAGIC.len() + 4 + 4 + 4;
const LEAF: usize = 4 + size_of::<LeafBits>();
const CHECKSUM: usize = ChangedRegions::CHECKSUM_BYTES;

/// The regions of a disk that may have changed since some moment: whatever is not in the set has
/// certainly not.
pub struct ChangedRegions {
    map: RegionMap,
}

impl ChangedRegions {
    /// The grain: the set is made of regions this long, counted from the start of the disk.
    pub const GRAIN: ByteLen = ByteLen::new(REGION);

    /// A document ends in a SHA-256 of so many bytes of all before it, which is checked when it is
    /// read: whoever knows the end of a document knows the document.
    pub const CHECKSUM_BYTES: usize = 32;

    /// Nothing has changed: where tracking starts.
    pub fn none() -> Self {
        ChangedRegions { map: RegionMap::new(MOST_LEAVES) }
    }

    pub(super) fn copy_of(map: &RegionMap) -> Self {
        let copy = ChangedRegions::none();
        copy.add(map);
        copy
    }

    /// Puts all regions of a map into the set.
    pub(super) fn add(&self, map: &RegionMap) {
        for (index, bits) in map.marked_leaves() {
            self.add_leaf(index, &bits);
        }
    }

    fn add_leaf(&self, index: usize, bits: &LeafBits) {
        assert!(self.map.mark_leaf(index, bits), "a map without a limit has room for every leaf");
    }

    pub(super) fn map(&self) -> &RegionMap {
        &self.map
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.map.next_marked(0).is_none()
    }

    /// Whether the region that holds this byte may have changed.
    pub fn contains(&self, offset: ByteOffset) -> bool {
        self.map.is_marked(offset.get() / REGION)
    }

    /// The first run of changed regions at or after `offset`, which may lie inside it. It consists
    /// of whole regions and may end after the end of the disk.
    pub fn next_range(&self, offset: ByteOffset) -> Option<Range<ByteOffset>> {
        let first = self.map.next_marked(offset.get() / REGION)?;
        let past = self.map.next_unmarked(first);
        // Regions of a map end at 64 TiB.
        let start = offset.max(ByteOffset::new(first * REGION));
        Some(start..ByteOffset::new(past * REGION))
    }

    /// The bytes of all changed regions together.
    pub fn total(&self) -> ByteLen {
        let ones = |bits: LeafBits| bits.iter().map(|word| u64::from(word.count_ones())).sum();
        let regions: u64 = self.map.marked_leaves().map(|(_, bits)| -> u64 { ones(bits) }).sum();
        ByteLen::new(regions * REGION)
    }

    /// The set as a document: 2 MiB for each TiB that has changes everywhere, little for few.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + CHECKSUM + LEAF);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(REGION as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let mut count = 0_u32;
        for (index, bits) in self.map.marked_leaves() {
            // Less than MOST_LEAVES.
            bytes.extend_from_slice(&(index as u32).to_le_bytes());
            bits.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
            count += 1;
        }
        bytes[HEADER - 4..HEADER].copy_from_slice(&count.to_le_bytes());
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads a document that [`to_bytes`](Self::to_bytes) made.
    ///
    /// # Errors
    /// `integrity` for anything else, with what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(damaged("it is too short"));
        };
        let (magic, numbers) = header.split_at(MAGIC.len());
        let number = |at: usize| number_at(numbers, at);
        if magic != MAGIC {
            return Err(damaged("it is something else"));
        }
        if number(0) != VERSION {
            return Err(damaged("this version of it is not known here"));
        }
        let leaves = number(2) as usize;
        if leaves > MOST_LEAVES || bytes.len() != HEADER + leaves * LEAF + CHECKSUM {
            return Err(damaged("it has another length than it says"));
        }
        let (document, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
        if Sha256::digest(document).as_slice() != checksum {
            return Err(damaged("its checksum does not fit"));
        }
        if u64::from(number(1)) != REGION {
            return Err(damaged("its regions have another length"));
        }
        Self::from_leaves(&document[HEADER..])
    }

    fn from_leaves(leaves: &[u8]) -> Result<Self> {
        let changed = ChangedRegions::none();
        let mut least = 0;
        for leaf in leaves.chunks_exact(LEAF) {
            let (index, words) = (number_at(leaf, 0) as usize, &leaf[4..]);
            if index < least || index >= MOST_LEAVES {
                return Err(damaged("its leaves are out of order"));
            }
            least = index + 1;
            let bits: LeafBits = std::array::from_fn(|word| {
                let low = number_at(words, 2 * word);
                let high = number_at(words, 2 * word + 1);
                u64::from(low) | u64::from(high) << 32
            });
            if bits.iter().all(|word| *word == 0) {
                return Err(damaged("it has a leaf without a change"));
            }
            changed.add_leaf(index, &bits);
        }
        Ok(changed)
    }
}

impl std::fmt::Debug for ChangedRegions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChangedRegions({})", self.total())
    }
}

/// The `at`th number of four bytes, which is there.
fn number_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[4 * at..][..4]);
    u32::from_le_bytes(number)
}

fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::Integrity, format!("the list of changed regions cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(version: u32, region: u32, leaves: &[(u32, u64)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [version, region, leaves.len() as u32] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (index, word) in leaves {
            bytes.extend_from_slice(&index.to_le_bytes());
            bytes.extend_from_slice(&word.to_le_bytes());
            bytes.resize(bytes.len() + LEAF - 12, 0);
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// A checksum is no proof of a sound document.
    #[test]
    fn a_document_with_a_right_checksum_and_wrong_content_is_refused() {
        let region = REGION as u32;
        let last = MOST_LEAVES as u32 - 1;
        let sound = [(3, 1), (4, 1 << 63), (last, 7)];
        let read = ChangedRegions::from_bytes(&document(1, region, &sound)).unwrap();
        assert_eq!(read.total(), ByteLen::new(5 * REGION));
        let hostile = [
            document(2, region, &sound),
            document(0, region, &sound),
            document(1, 4096, &sound),
            document(1, region, &[(4, 1), (3, 1)]),
            document(1, region, &[(3, 1), (3, 1)]),
            document(1, region, &[(last + 1, 1)]),
            document(1, region, &[(u32::MAX, 1)]),
            document(1, region, &[(3, 0)]),
        ];
        for (number, bytes) in hostile.iter().enumerate() {
            let error = ChangedRegions::from_bytes(bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity, "{number}");
        }
    }
}
