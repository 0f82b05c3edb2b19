//! Backups of a state directory that no daemon works on.

use super::held::home_of;
use super::record::{BackupRecord, BackupStage};
use crate::archive::{Archive, ArchiveRecord};
use crate::error::{Error, ErrorKind, Result};
use crate::id::BackupId;
use crate::records::Records;
use crate::service::archive_check::{ArchiveFinding, Upkeep, read_archive};
use std::path::Path;

/// Reads a backup, record, manifest and data, and looks whether it fits on what it is built upon.
/// `directory` is the name of its directory in `backups`.
///
/// # Errors
/// `integrity`, naming the damaged file; `io`.
pub fn check_backup(
    records: &Records,
    state_dir: &Path,
    directory: &str,
    upkeep: Upkeep,
) -> Result<ArchiveFinding> {
    let id = BackupId::parse(directory)?;
    let home = home_of(state_dir, id)?;
    if let Some(bare) = ArchiveFinding::of_bare(&home, records, upkeep)? {
        return Ok(bare);
    }
    let mut record = load(records, id)?;
    let name = record.name.clone();
    let left = |how: &str| format!("backup {:?} was left {how}", name.as_str());
    match record.stage {
        BackupStage::Creating => {
            return ArchiveFinding::removed(&home, records, upkeep, left("half-made"));
        }
        BackupStage::Deleting => {
            return ArchiveFinding::removed(&home, records, upkeep, left("half-deleted"));
        }
        BackupStage::Merging | BackupStage::Ready => {}
    }
    let archive = read_archive(&home, whole(&record)?)?;
    if let Some(parent) = archive.record().parent() {
        let of_parent = load(records, parent)?;
        let place = home_of(state_dir, parent)?.place;
        archive.check_parent(&Archive::open(&place, whole(&of_parent)?)?)?;
    }
    if record.stage == BackupStage::Merging {
        if upkeep == Upkeep::Repair {
            archive.tidy()?;
            record.stage = BackupStage::Ready;
            records.save(&BackupRecord::path_of(id)?, &record)?;
        }
        return Ok(ArchiveFinding::Left(left("in the middle of a merge, and is whole")));
    }
    let key = archive.record().sealing().map(|sealing| sealing.dk.key);
    Ok(ArchiveFinding::Whole { name, key })
}

/// The record of a backup, which must be there.
pub(super) fn load(records: &Records, id: BackupId) -> Result<BackupRecord> {
    let path = BackupRecord::path_of(id)?;
    let Some(record) = records.load::<BackupRecord>(&path)? else {
        let text = format!("{} is missing", records.place(&path));
        return Err(Error::new(ErrorKind::Integrity, text)
            .remedy("put the record back from a copy of the state directory"));
    };
    let record = record.check()?;
    match record.id == id {
        true => Ok(record),
        false => {
            let text = format!("{} is the record of another backup", records.place(&path));
            Err(Error::new(ErrorKind::Integrity, text))
        }
    }
}

fn whole(record: &BackupRecord) -> Result<ArchiveRecord> {
    record.archive.clone().ok_or_else(|| {
        let text = format!("backup {:?} is not whole", record.name.as_str());
        Error::new(ErrorKind::Integrity, text)
    })
}
