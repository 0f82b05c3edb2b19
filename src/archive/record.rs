//! What is remembered of an archive.

use super::chunk::{CHUNK, Cut, Digest};
use super::manifest::{ENTRY_BYTES, HEADER_BYTES};
use crate::crypto::WrappedDk;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BackupId, DiskId};
use crate::units::{ByteLen, SectorSize};
use serde::{Deserialize, Serialize};

/// The part of a backup's or image's record that the engines live by. Whoever keeps the record
/// authenticates it, as a table of a document of its own (RULES K8); the manifest is authenticated
/// by the digest in it, and the data by the digests in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveRecord {
    /// Size of the disk in bytes.
    size: u64,
    /// Sector size in bytes.
    sector_size: u64,
    /// Bytes of a chunk.
    chunk: u64,
    /// What this archive leaves out lies there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    parent: Option<BackupId>,
    /// The manifest.
    pub(super) manifest: ManifestSeal,
    /// The data key, when the data is ciphertext.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sealing: Option<Sealing>,
}

/// What makes a manifest the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSeal {
    /// The number in the file's name; each replacement has the next.
    pub(super) generation: u32,
    /// Length in bytes.
    pub(super) len: u64,
    /// Digest of the whole file.
    pub(super) sha256: Digest,
    /// Bytes of all chunks the manifest says are data.
    pub(super) stored: u64,
}

/// The key that opens an archive's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealing {
    /// The disk the data key is bound to (RULES K6).
    pub disk: DiskId,
    /// The data key, wrapped.
    pub dk: WrappedDk,
}

impl ArchiveRecord {
    pub(super) fn new(
        size: ByteLen,
        sector_size: SectorSize,
        parent: Option<BackupId>,
        sealing: Option<Sealing>,
        manifest: ManifestSeal,
    ) -> Self {
        ArchiveRecord {
            size: size.get(),
            sector_size: sector_size.len().get(),
            chunk: CHUNK.get(),
            parent,
            manifest,
            sealing,
        }
    }

    /// The size of the disk.
    pub fn size(&self) -> ByteLen {
        ByteLen::new(self.size)
    }

    /// The disk's sector size.
    pub fn sector_size(&self) -> SectorSize {
        // `check` has refused every other value.
        SectorSize::from_bytes(self.sector_size).unwrap_or(SectorSize::S4096)
    }

    /// Where what this archive leaves out lies; `None` when it is a full one.
    pub fn parent(&self) -> Option<BackupId> {
        self.parent
    }

    /// The key that opens the data; `None` when it is not encrypted.
    pub fn sealing(&self) -> Option<&Sealing> {
        self.sealing.as_ref()
    }

    /// The data key and the disk it is bound to (RULES K6); `None` when it is not encrypted.
    pub fn bound_dk(&self) -> Option<(DiskId, &WrappedDk)> {
        self.sealing.as_ref().map(|sealing| (sealing.disk, &sealing.dk))
    }

    /// Wraps the data key anew, as `rewrap` does (RULES K5). Nothing for an unencrypted archive.
    pub fn set_wrapped_dk(&mut self, dk: WrappedDk) {
        if let Some(sealing) = &mut self.sealing {
            sealing.dk = dk;
        }
    }

    /// Whether the data is ciphertext (RULES P3).
    pub fn is_encrypted(&self) -> bool {
        self.sealing.is_some()
    }

    /// The bytes of data this archive holds itself, without its parents', in whole chunks.
    pub fn stored(&self) -> ByteLen {
        ByteLen::new(self.manifest.stored)
    }

    /// This record with another parent and manifest.
    pub(super) fn rebased(&self, parent: Option<BackupId>, manifest: ManifestSeal) -> Self {
        ArchiveRecord { parent, manifest, ..self.clone() }
    }

    /// Checks what the type system cannot: sizes are sizes, and the manifest has whole entries and
    /// no more of them than the disk has chunks.
    ///
    /// # Errors
    /// `integrity`; `unsupported` when the chunks are none that this program reads.
    pub(super) fn check(&self, place: &str) -> Result<Cut> {
        let cut = Cut::of(self.size()).ok().filter(|_| {
            self.size > 0
                && SectorSize::from_bytes(self.sector_size).is_ok_and(|s| s.is_aligned(self.size))
        });
        let Some(cut) = cut else { return Err(contradiction(place, "its size cannot be one")) };
        if self.chunk != CHUNK.get() {
            let chunk = self.chunk;
            let text = format!("{place} has chunks of {chunk} bytes, this program knows {CHUNK}");
            return Err(Error::new(ErrorKind::Unsupported, text)
                .remedy("use the newer evsfs that wrote it"));
        }
        let entries = self.manifest.len.checked_sub(HEADER_BYTES as u64);
        let fits = entries.is_some_and(|bytes| {
            bytes.is_multiple_of(ENTRY_BYTES as u64) && bytes / ENTRY_BYTES as u64 <= cut.count()
        });
        match fits && self.manifest.stored <= self.size {
            true => Ok(cut),
            false => Err(contradiction(place, "its manifest cannot be that long")),
        }
    }
}

fn contradiction(place: &str, why: &str) -> Error {
    Error::new(ErrorKind::Integrity, format!("the record of {place} contradicts itself: {why}"))
        .remedy("evsfs check")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::KeyId;

    fn record() -> ArchiveRecord {
        let manifest = ManifestSeal {
            generation: 0,
            len: 24 + 48,
            sha256: Digest::new([7; 32]),
            stored: 65536,
        };
        let dk = WrappedDk {
            key: KeyId::parse("00000000-0000-4000-8000-000000000001").unwrap(),
            version: 2,
            bytes: vec![0xab],
        };
        let disk = DiskId::parse("00000000-0000-4000-8000-000000000002").unwrap();
        let parent = BackupId::parse("00000000-0000-4000-8000-000000000003").unwrap();
        let sealing = Some(Sealing { disk, dk });
        ArchiveRecord::new(ByteLen::MIB, SectorSize::S4096, Some(parent), sealing, manifest)
    }

    /// Golden text: records written by any released version stay readable.
    #[test]
    fn a_record_has_these_fields_for_ever() {
        let golden = include_str!("golden_record.json");
        assert_eq!(serde_json::to_string_pretty(&record()).unwrap() + "\n", golden);
        assert_eq!(serde_json::from_str::<ArchiveRecord>(golden).unwrap(), record());
        for (part, edited) in [
            ("\"chunk\": 65536,", ""),
            ("\"size\"", "\"sise\""),
            ("\"generation\": 0", "\"generation\": -1"),
            ("\"07", "\""),
        ] {
            assert!(golden.contains(part), "{part}");
            let edited = golden.replacen(part, edited, 1);
            assert!(serde_json::from_str::<ArchiveRecord>(&edited).is_err(), "{edited}");
        }
    }

    #[test]
    fn records_that_contradict_themselves_are_refused() {
        assert!(record().check("a").is_ok());
        let refused = |edit: &dyn Fn(&mut ArchiveRecord)| {
            let mut record = record();
            edit(&mut record);
            record.check("backups/a").unwrap_err()
        };
        let edits: [&dyn Fn(&mut ArchiveRecord); 8] = [
            &|record| record.size = 0,
            &|record| record.size += 512,
            &|record| record.size = u64::MAX - 4095,
            &|record| record.sector_size = 1024,
            &|record| record.manifest.len = 23,
            &|record| record.manifest.len += 1,
            &|record| record.manifest.len = 24 + 17 * 48,
            &|record| record.manifest.stored = record.size + 1,
        ];
        for edit in edits {
            let error = refused(edit);
            assert_eq!(error.kind(), ErrorKind::Integrity);
            assert!(error.message().contains("backups/a"), "{error}");
        }
        let newer = refused(&|record| record.chunk = 131_072);
        assert_eq!(newer.kind(), ErrorKind::Unsupported);
    }
}
