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
    use crate::crypto::{Secret, WrappingKey};
    use crate::error::{Code, ErrorKind};

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

    /// RULES K6, and the bytes every wrapped key in a state directory was made with.
    #[test]
    fn the_encoding_names_all_five_and_is_these_bytes_for_ever() {
        let disk = DiskId::parse("00000000-0000-4000-8000-000000000001").unwrap();
        let key = KeyId::parse("00000000-0000-4000-8000-000000000002").unwrap();
        let encoded =
            EncryptionContext::for_disk(disk, key, 3, SectorSize::S512).to_associated_data();
        let golden = [
            "\x06\0\0\0\0\0\0\0cipher",
            "\x0f\0\0\0\0\0\0\0aes-xts-plain64",
            "\x04\0\0\0\0\0\0\0disk",
            "\x24\0\0\0\0\0\0\x0000000000-0000-4000-8000-000000000001",
            "\x03\0\0\0\0\0\0\0key",
            "\x24\0\0\0\0\0\0\x0000000000-0000-4000-8000-000000000002",
            "\x0b\0\0\0\0\0\0\0sector-size",
            "\x03\0\0\0\0\0\0\x00512",
            "\x07\0\0\0\0\0\0\0version",
            "\x01\0\0\0\0\0\0\x003",
        ];
        assert_eq!(encoded, golden.concat().as_bytes());
    }

    /// RULES K6: moved to another disk or edited, a wrapped key fails to open.
    #[test]
    fn a_wrapped_key_opens_in_its_own_context_only() {
        let wrapping = WrappingKey::from_secret(&Secret::random().unwrap()).unwrap();
        let (disk, key) = (DiskId::random(), KeyId::random());
        let of = |disk, key, version, size| {
            EncryptionContext::for_disk(disk, key, version, size).to_associated_data()
        };
        let own = of(disk, key, 1, SectorSize::S4096);
        let wrapped = wrapping.wrap(&own, &[7; 64]).unwrap();
        let mut opened = [0; 64];
        wrapping.unwrap_into(&own, &wrapped, &mut opened).unwrap();
        assert_eq!(opened, [7; 64]);
        for other in [
            of(DiskId::random(), key, 1, SectorSize::S4096),
            of(disk, KeyId::random(), 1, SectorSize::S4096),
            of(disk, key, 2, SectorSize::S4096),
            of(disk, key, 1, SectorSize::S512),
        ] {
            let refusal = wrapping.unwrap_into(&other, &wrapped, &mut opened).unwrap_err();
            assert_eq!(refusal.kind(), ErrorKind::WrongContext);
            assert_eq!(refusal.documented_code(), Some(Code::KMS_0208));
            assert_eq!(opened, [0; 64], "nothing is left behind");
        }
    }
}
