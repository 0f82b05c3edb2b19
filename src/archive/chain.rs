//! Archives that together hold all of a disk.

use super::chain_cursor::{ChainCursor, Located};
use super::chunk::{CHUNK_BYTES, Cut};
use super::damage::refused;
use super::data_file::DataFile;
use super::folder::Archive;
use crate::error::{Error, ErrorKind, Result};
use crate::id::BackupId;
use crate::units::{ByteLen, SectorSize};

/// One archive and its parents up to the full one. What a chunk is, the newest that has an entry
/// for it says; a chunk that none names was never written.
///
/// Whoever keeps a chain open sees to it that none of its archives is merged or removed meanwhile.
#[derive(Debug)]
pub struct Chain {
    // Never empty; the newest first.
    members: Vec<Archive>,
    // Of the same members.
    data: Vec<DataFile>,
    content: ByteLen,
}

impl Chain {
    /// The longest chain. A copy holds two or three files of each member open.
    pub const MAX_LEN: usize = 64;

    /// Joins archives, the newest first and the full one last, and reads each manifest against its
    /// record.
    ///
    /// # Errors
    /// `integrity` naming the file that is missing, damaged or does not belong in the chain;
    /// `quota` for more than [`MAX_LEN`](Self::MAX_LEN) archives; `io`.
    pub fn open(newest_first: Vec<Archive>) -> Result<Chain> {
        if newest_first.len() > Chain::MAX_LEN {
            let text = format!("a chain has at most {} backups", Chain::MAX_LEN);
            return Err(Error::new(ErrorKind::Quota, text).remedy("make a full backup"));
        }
        check_links(&newest_first)?;
        let mut data = Vec::with_capacity(newest_first.len());
        for archive in &newest_first {
            data.push(archive.data()?);
        }
        let content = content_of(&newest_first)?;
        Ok(Chain { members: newest_first, data, content })
    }

    /// The archive whose content this is.
    pub fn newest(&self) -> &Archive {
        // `open` refuses an empty chain.
        &self.members[0]
    }

    /// The archives, the newest first.
    pub fn members(&self) -> &[Archive] {
        &self.members
    }

    /// The archives, the newest first, to take them apart again.
    pub fn into_members(self) -> Vec<Archive> {
        self.members
    }

    /// The size of the disk.
    pub fn size(&self) -> ByteLen {
        self.newest().record().size()
    }

    /// The disk's sector size.
    pub fn sector_size(&self) -> SectorSize {
        self.newest().record().sector_size()
    }

    /// The bytes of data the disk consists of, in whole chunks: what making a disk of it reads.
    pub fn content(&self) -> ByteLen {
        self.content
    }

    /// The bytes of data all members hold, in whole chunks: what a check of them reads.
    pub fn stored(&self) -> ByteLen {
        let stored = self.members.iter().map(|member| member.record().stored().get());
        ByteLen::new(stored.fold(0, u64::saturating_add))
    }

    /// The id under which a child names the newest as its parent.
    pub(super) fn newest_id(&self) -> Result<BackupId> {
        let newest = self.newest();
        BackupId::parse(newest.id()).map_err(|cause| {
            let place = newest.place().display();
            Error::new(ErrorKind::Internal, format!("{place} is not named after a backup"))
                .caused_by(cause)
        })
    }

    pub(super) fn cut(&self) -> Cut {
        self.newest().cut()
    }

    /// The chunks the disk consists of, in rising order.
    pub(super) fn cursor(&self) -> Result<ChainCursor> {
        ChainCursor::begin(&self.members)
    }

    /// Reads a chunk that the cursor has found, and checks it.
    ///
    /// # Errors
    /// `integrity` naming file and offset; `io`.
    pub(super) fn read_chunk(&self, found: &Located, into: &mut [u8; CHUNK_BYTES]) -> Result<()> {
        self.data[found.member].read_chunk(found.index, found.digest, into)
    }

    pub(super) fn data(&self) -> &[DataFile] {
        &self.data
    }
}

/// Reads all manifests to their ends.
fn content_of(newest_first: &[Archive]) -> Result<ByteLen> {
    let mut cursor = ChainCursor::begin(newest_first)?;
    let mut content = 0;
    while let Some(found) = cursor.next()? {
        content += newest_first[0].cut().len_of(found.index) as u64;
    }
    Ok(ByteLen::new(content))
}

/// Refuses archives that were not made one upon the other.
fn check_links(newest_first: &[Archive]) -> Result<()> {
    let Some(last) = newest_first.last() else {
        return Err(Error::new(ErrorKind::Internal, "a chain without archives"));
    };
    if last.record().parent().is_some() {
        return Err(refused(last.place().display(), "is incremental and its parent is not given"));
    }
    for pair in newest_first.windows(2) {
        let (child, parent) = (&pair[0], &pair[1]);
        check_link(child, parent)?;
    }
    Ok(())
}

/// Refuses a child and a parent that do not belong together.
pub(super) fn check_link(child: &Archive, parent: &Archive) -> Result<()> {
    let (of_child, of_parent) = (child.record(), parent.record());
    let disk_of = |archive: &Archive| archive.record().sealing().map(|sealing| sealing.disk);
    let why = if of_child.parent().map(|id| id.to_string()).as_deref() != Some(parent.id()) {
        "is not the parent of"
    } else if disk_of(child) != disk_of(parent) {
        "is sealed with another data key than"
    } else if of_child.sector_size() != of_parent.sector_size() {
        "has another sector size than"
    } else if of_child.size() < of_parent.size() {
        "is of a larger disk than"
    } else {
        return Ok(());
    };
    let text = format!("{why} {}", child.place().display());
    Err(refused(parent.place().display(), &text))
}
