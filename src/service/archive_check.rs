//! What the check of a state directory that no daemon works on finds of a backup or an image.

use super::archive_home::ArchiveHome;
use crate::archive::{Archive, ArchiveRecord, Unmetered};
use crate::error::Result;
use crate::id::{KeyId, Name};
use crate::records::Records;

/// Whether a check may change what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// It looks on.
    Look,
    /// It ends what a crash left half-done, where nothing can be lost by it.
    Repair,
}

/// What was found of a backup or an image that is not damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveFinding {
    /// It is whole: every byte is as it was written.
    Whole {
        /// Its name.
        name: Name,
        /// The master key that opens it.
        key: Option<KeyId>,
    },
    /// A crash left something, in these words. It is gone now if that was asked for.
    Left(String),
}

impl ArchiveFinding {
    /// What no record tells of, and of which nothing is left to lose.
    pub(super) fn of_bare(
        home: &ArchiveHome,
        records: &Records,
        upkeep: Upkeep,
    ) -> Result<Option<Self>> {
        if !home.is_bare(records)? {
            return Ok(None);
        }
        let text = "a crash left this directory, which holds nothing".to_owned();
        ArchiveFinding::removed(home, records, upkeep, text).map(Some)
    }

    /// What its record says is not whole.
    pub(super) fn removed(
        home: &ArchiveHome,
        records: &Records,
        upkeep: Upkeep,
        text: String,
    ) -> Result<Self> {
        if upkeep == Upkeep::Repair {
            home.remove(records)?;
        }
        Ok(ArchiveFinding::Left(text))
    }
}

/// Opens an archive and reads all of it against its digests.
pub(super) fn read_archive(home: &ArchiveHome, record: ArchiveRecord) -> Result<Archive> {
    let archive = Archive::open(&home.place, record)?;
    archive.verify(&Unmetered)?;
    Ok(archive)
}
