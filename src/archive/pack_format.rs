//! The form of an export: archives as one stream of bytes.
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | 8 | `EVSFSPAK` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | number of members, 1 to 64 |
//! | 16 | 16 | id of this export, random |
//! | 32 | 16 | mark of the root key: 16 bytes of its tag of nothing |
//! | 48 | | the members, the full archive first, each child behind its parent; then the end |
//!
//! and a member:
//!
//! | bytes | meaning |
//! |---|---|
//! | 4 | length of the record, at most 65536 |
//! | that many | the record: a sealed document of [`PackedRecord`] |
//! | as the record says | the manifest, in the form a file of its own has |
//! | as the manifest says | the sealed bytes of every chunk of kind 1, in its order |
//!
//! Numbers are little-endian and unsigned; the last chunk of a disk is as short as it is. The order
//! is that of trust, so that a reader that keeps nothing it has not checked needs no second look:
//! the record is sealed under the root key, bound to this export, to its place in it and to the
//! number of members; the manifest's digest stands in the record, the chunks' digests in the
//! manifest. Members of two exports cannot be mixed, and none can be left out, at the end neither.
//! The header is only believed as far as the seals of the records confirm it; the mark of the root
//! key is there to say in plain words why a foreign export does not open. A stream that ends early
//! is refused wherever it ends.

use super::chain::Chain;
use super::record::ArchiveRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::records::{RecordPath, Records};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"EVSFSPAK";
const VERSION: u32 = 1;
/// Bytes of the export's id, and of the mark of the root key.
const ID_BYTES: usize = 16;

const VERSION_AT: usize = MAGIC.len();
const MEMBERS_AT: usize = VERSION_AT + size_of::<u32>();
const EXPORT_AT: usize = MEMBERS_AT + size_of::<u32>();
const ROOT_AT: usize = EXPORT_AT + ID_BYTES;
/// Bytes before the first member.
pub(super) const HEADER_BYTES: usize = ROOT_AT + ID_BYTES;

/// A move erases the old root key; what has its backups still is a copy of the state directory.
const REMEDY_OF_ROOT: &str = "export it again, from a project that shares this one's root key; after a \
    move, of the backup that is here (evsfs backup list), else import it in a copy of the state directory \
    from before the move";
const REMEDY: &str = "export it again, from a project that shares this one's root key";

/// The record of a member.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackedRecord<T> {
    /// What the engines live by.
    pub archive: ArchiveRecord,
    /// What the exporter has to say of the member, such as a name.
    pub about: T,
}

/// What the header of an export says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Export {
    id: [u8; ID_BYTES],
    pub members: u32,
}

impl Export {
    /// A new export of so many members.
    ///
    /// # Errors
    /// `io` when the kernel has no randomness.
    pub(super) fn new(members: u32) -> Result<Self> {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id)
            .map_err(|cause| Error::io("drawing the id of an export", cause.into()))?;
        Ok(Export { id, members })
    }

    pub(super) fn header(self, records: &Records) -> Result<[u8; HEADER_BYTES]> {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..VERSION_AT].copy_from_slice(MAGIC);
        bytes[VERSION_AT..MEMBERS_AT].copy_from_slice(&VERSION.to_le_bytes());
        bytes[MEMBERS_AT..EXPORT_AT].copy_from_slice(&self.members.to_le_bytes());
        bytes[EXPORT_AT..ROOT_AT].copy_from_slice(&self.id);
        bytes[ROOT_AT..].copy_from_slice(&mark_of_root(records)?);
        Ok(bytes)
    }

    /// # Errors
    /// `integrity`, saying why; `unsupported` for a newer version.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES], records: &Records) -> Result<Self> {
        let number = |at: usize| {
            let mut number = [0; size_of::<u32>()];
            number.copy_from_slice(&bytes[at..at + size_of::<u32>()]);
            u32::from_le_bytes(number)
        };
        if !bytes.starts_with(MAGIC) {
            return Err(not_genuine("it does not begin as one"));
        }
        let version = number(VERSION_AT);
        if version > VERSION {
            let text = format!("the export has version {version}, this program knows {VERSION}");
            return Err(Error::new(ErrorKind::Unsupported, text)
                .remedy("use the newer evsfs that wrote it"));
        }
        let members = number(MEMBERS_AT);
        if version != VERSION || members == 0 || members as usize > Chain::MAX_LEN {
            return Err(not_genuine("its header is damaged"));
        }
        if bytes[ROOT_AT..] != mark_of_root(records)? {
            return Err(not_genuine(
                "it was made under another root key: in another project, or in this one before its keys \
                 were moved to another HSM",
            )
            .remedy(REMEDY_OF_ROOT));
        }
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&bytes[EXPORT_AT..ROOT_AT]);
        Ok(Export { id, members })
    }

    /// What the record of a member is bound to; members count from 0.
    pub(super) fn path_of(&self, member: u32) -> Result<RecordPath> {
        let (id, number, all) = (crate::crypto::to_hex(&self.id), member + 1, self.members);
        RecordPath::parse(&format!("exports/{id}/{number}-of-{all}.toml"))
    }

    /// The member as a message should show it.
    pub(super) fn name_of(&self, member: u32) -> String {
        format!("member {} of {} of the export", member + 1, self.members)
    }
}

/// `integrity`: the export is not what was once made here.
pub(super) fn not_genuine(why: &str) -> Error {
    Error::new(ErrorKind::Integrity, format!("the export is refused: {why}")).remedy(REMEDY)
}

fn mark_of_root(records: &Records) -> Result<[u8; ID_BYTES]> {
    let tag = records.tag(&RecordPath::parse("exports/root-key")?, b"");
    let mut mark = [0; ID_BYTES];
    mark.copy_from_slice(&tag[..ID_BYTES]);
    Ok(mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{RecordKey, Secret};
    use crate::records::MemoryStore;
    use std::sync::Arc;

    fn records(root: u8) -> Records {
        let root = Secret::fill(|bytes| {
            bytes.fill(root);
            Ok(())
        });
        Records::open(Arc::new(MemoryStore::new()), RecordKey::derive(&root.unwrap()).unwrap())
            .unwrap()
    }

    /// Golden bytes; the mark was computed by another implementation of RFC 2104 and RFC 5869.
    #[test]
    fn a_header_has_these_bytes_for_ever() {
        let export = Export { id: *b"0123456789abcdef", members: 3 };
        let golden = [
            &b"EVSFSPAK\x01\0\0\0\x03\0\0\x000123456789abcdef"[..],
            &crate::crypto::from_hex(GOLDEN_MARK).unwrap(),
        ]
        .concat();
        assert_eq!(export.header(&records(0x11)).unwrap()[..], golden);
        let parsed = Export::parse(golden.first_chunk().unwrap(), &records(0x11)).unwrap();
        assert_eq!((parsed.id, parsed.members), (export.id, export.members));
        assert_eq!(
            parsed.path_of(1).unwrap().as_str(),
            "exports/30313233343536373839616263646566/2-of-3.toml"
        );
    }

    #[test]
    fn an_export_of_another_root_key_is_called_so() {
        let header = Export::new(1).unwrap().header(&records(1)).unwrap();
        let error = Export::parse(&header, &records(2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(error.message().contains("another root key"), "{error}");
        assert!(error.suggested_remedy().unwrap().contains("export it again"));
    }

    #[test]
    fn headers_that_no_exporter_writes_are_refused() {
        let records = records(1);
        for (at, byte, kind) in [
            (0, b'e', ErrorKind::Integrity),
            (8, 0, ErrorKind::Integrity),
            (8, 2, ErrorKind::Unsupported),
            (12, 0, ErrorKind::Integrity),
            (14, 1, ErrorKind::Integrity),
        ] {
            let mut header = Export::new(1).unwrap().header(&records).unwrap();
            header[at] = byte;
            assert_eq!(Export::parse(&header, &records).unwrap_err().kind(), kind, "{at}");
        }
    }

    const GOLDEN_MARK: &str = "99994556f46ee18a4ca32c96bde6185f";
}
