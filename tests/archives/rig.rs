//! Disks in memory, directories of archives, and how both are looked at.
#![allow(dead_code)]

use evsfs::archive::{
    Archive, ArchiveRecord, Chain, Changes, Meter, NewArchive, Sealing, Unmetered, Written, reseal,
    write_full, write_incremental,
};
use evsfs::backing::{Backing, FaultBacking, MemoryBacking};
use evsfs::crypto::{SectorCipher, WrappedDk};
use evsfs::disk::{Access, Disk, SealedSource};
use evsfs::error::{Error, ErrorKind, Result};
use evsfs::id::{BackupId, DiskId, KeyId};
use evsfs::units::{ByteLen, ByteOffset, SectorSize};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub const CHUNK: usize = 64 * 1024;

/// The payload of a disk that nobody writes to meanwhile.
pub struct Payload<B> {
    pub backing: B,
    pub sector: SectorSize,
}

impl<B: Backing> SealedSource for Payload<B> {
    fn size(&self) -> ByteLen {
        self.backing.len()
    }

    fn sector_size(&self) -> SectorSize {
        self.sector
    }

    fn next_data(&self, offset: ByteOffset) -> Result<Option<Range<ByteOffset>>> {
        let Some(start) = self.backing.seek_data(offset)? else { return Ok(None) };
        Ok(self.backing.seek_hole(start)?.map(|end| start..end))
    }

    fn read_sealed(&self, offset: ByteOffset, into: &mut [u8]) -> Result<()> {
        self.backing.read_at(offset, into)
    }
}

/// Memory as a source, 512-byte sectors.
pub fn payload(content: &[u8]) -> Payload<FaultBacking<MemoryBacking>> {
    let backing = MemoryBacking::new(ByteLen::of(content));
    for (at, page) in content.chunks(4096).enumerate() {
        if page.iter().any(|byte| *byte != 0) {
            backing.write_at(ByteOffset::new(at as u64 * 4096), page).unwrap();
        }
    }
    Payload { backing: FaultBacking::new(backing), sector: SectorSize::S512 }
}

/// A directory of archives, as `backups/` of a state directory.
pub struct Shelf {
    pub directory: tempfile::TempDir,
}

impl Shelf {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(directory.path(), private).unwrap();
        Shelf { directory }
    }

    pub fn place(&self, id: BackupId) -> PathBuf {
        self.directory.path().join(id.to_string())
    }

    pub fn full(&self, source: &dyn SealedSource) -> Shelved {
        self.keep(|new| write_full(source, None, new, &Unmetered))
    }

    pub fn incremental(
        &self,
        source: &dyn SealedSource,
        parents: &Chain,
        changes: Changes<'_>,
    ) -> Shelved {
        self.keep(|new| write_incremental(source, parents, changes, None, new, &Unmetered))
    }

    pub fn keep(&self, write: impl FnOnce(NewArchive) -> Result<Written>) -> Shelved {
        let id = BackupId::random();
        let written = write(NewArchive::create(&self.place(id)).unwrap()).unwrap();
        let record = written.record().clone();
        written.keep().unwrap();
        Shelved { id, record }
    }

    pub fn open(&self, backup: &Shelved) -> Archive {
        Archive::open(&self.place(backup.id), backup.record.clone()).unwrap()
    }

    pub fn chain(&self, newest_first: &[&Shelved]) -> Result<Chain> {
        Chain::open(newest_first.iter().map(|backup| self.open(backup)).collect())
    }

    /// Every name below the directory.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.directory.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            for file in std::fs::read_dir(entry.path()).unwrap() {
                names.push(format!("{name}/{}", file.unwrap().file_name().to_str().unwrap()));
            }
            names.push(name);
        }
        names.sort();
        names
    }
}

/// What a service remembers of a backup.
#[derive(Debug, Clone)]
pub struct Shelved {
    pub id: BackupId,
    pub record: ArchiveRecord,
}

/// The content of a chain of unencrypted archives.
pub fn content(chain: &Chain) -> Result<Vec<u8>> {
    let (disk, backing) = disk(SectorCipher::null(chain.sector_size()), chain.size());
    reseal(chain, &SectorCipher::null(chain.sector_size()), &disk, &Unmetered)?;
    Ok(bytes(&backing))
}

/// A disk of memory, and the memory.
pub fn disk(cipher: SectorCipher, size: ByteLen) -> (Disk, Arc<MemoryBacking>) {
    let backing = Arc::new(MemoryBacking::new(size));
    let disk = Disk::open(Box::new(backing.clone()), cipher, size, Access::ReadWrite).unwrap();
    (disk, backing)
}

pub fn bytes(backing: &dyn Backing) -> Vec<u8> {
    let mut bytes = vec![0; backing.len().to_usize().unwrap()];
    backing.read_at(ByteOffset::ZERO, &mut bytes).unwrap();
    bytes
}

pub fn some_sealing() -> Sealing {
    let dk = WrappedDk { key: KeyId::random(), version: 1, bytes: vec![7; 92] };
    Sealing { disk: DiskId::random(), dk }
}

/// Ends a copy when it has advanced a number of times.
pub struct EndsAfter {
    left: AtomicU64,
    kills: bool,
}

impl EndsAfter {
    pub fn new(steps: u64) -> Self {
        EndsAfter { left: AtomicU64::new(steps), kills: false }
    }

    /// Ends it as a kill does: the engine has no chance to clean up but in destructors.
    pub fn killing(steps: u64) -> Self {
        EndsAfter { left: AtomicU64::new(steps), kills: true }
    }
}

impl Meter for EndsAfter {
    fn advance(&self, _bytes: ByteLen) -> Result<()> {
        let taken =
            self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        match taken {
            Ok(_) => Ok(()),
            Err(_) if self.kills => panic!("killed by the test"),
            Err(_) => Err(Error::new(ErrorKind::InUse, "ended by the test")),
        }
    }
}
