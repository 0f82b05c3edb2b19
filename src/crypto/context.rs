//! What a wrapped data key is bound to.

use crate::id::{DiskId, KeyId};
use crate::units::SectorSize;
use std::collections::BTreeMap;

/// The cipher every disk uses, by its name in dm-crypt.
const CIPHER: &str = "aes-xts-plain64";

/// Sorted pairs that are authenticated with a wrapped data key: it opens for this disk, master key,
/// version, cipher and sector size only (RULES K6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptionContext {
    pairs: BTreeMap<&'static str, String>,
}

impl EncryptionContext {
    /// The context of a disk's data key under one version of a master key.
    pub fn for_disk(disk: DiskId, key: KeyId, version: u32, sector_size: SectorSize) -> Self {
        let pairs = BTreeMap::from([
            ("cipher", CIPHER.to_owned()),
            ("disk", disk.to_string()),
            ("key", key.to_string()),
            ("sector-size", sector_size.bytes().to_string()),
            ("version", version.to_string()),
        ]);
        EncryptionContext { pairs }
    }

    /// The pairs as associated data: for each word and value its length in 8 bytes, little-endian,
    /// and its bytes, so that no two contexts have the same encoding.
    pub fn to_associated_data(&self) -> Vec<u8> {
        let mut encoded = Vec::new();
        for text in self.pairs.iter().flat_map(|(word, value)| [*word, value.as_str()]) {
            encoded.extend_from_slice(&(text.len() as u64).to_le_bytes());
            encoded.extend_from_slice(text.as_bytes());
        }
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_that_differ_in_one_part_have_different_encodings() {
        let (disk, key) = (DiskId::random(), KeyId::random());
        let of = |disk, key, version, size| {
            EncryptionContext::for_disk(disk, key, version, size).to_associated_data()
        };
        let base = of(disk, key, 1, SectorSize::S4096);
        assert_eq!(base, of(disk, key, 1, SectorSize::S4096));
        assert_ne!(base, of(DiskId::random(), key, 1, SectorSize::S4096));
        assert_ne!(base, of(disk, KeyId::random(), 1, SectorSize::S4096));
        assert_ne!(base, of(disk, key, 2, SectorSize::S4096));
        assert_ne!(base, of(disk, key, 1, SectorSize::S512));
    }
}
