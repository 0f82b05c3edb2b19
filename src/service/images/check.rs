//! Images of a state directory that no daemon works on.

use super::make::home_of;
use super::record::ImageRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ImageId;
use crate::records::Records;
use crate::service::Stage;
use crate::service::archive_check::{ArchiveFinding, Upkeep, read_archive};
use std::path::Path;

/// Reads an image: record, manifest and data. `directory` is the name of its directory in `images`.
///
/// # Errors
/// `integrity`, naming the damaged file; `io`.
pub fn check_image(
    records: &Records,
    state_dir: &Path,
    directory: &str,
    upkeep: Upkeep,
) -> Result<ArchiveFinding> {
    let id = ImageId::parse(directory)?;
    let home = home_of(state_dir, id)?;
    if let Some(bare) = ArchiveFinding::of_bare(&home, records, upkeep)? {
        return Ok(bare);
    }
    let record = load(records, id)?.ok_or_else(|| {
        let text = format!("{} is missing", records.place(&home.record));
        Error::new(ErrorKind::Integrity, text)
            .remedy("put the record back from a copy of the state directory")
    })?;
    let name = record.name.clone();
    match (record.stage, record.archive) {
        (Stage::Ready, Some(archive)) => {
            let archive = read_archive(&home, archive)?;
            let key = archive.record().sealing().map(|sealing| sealing.dk.key);
            Ok(ArchiveFinding::Whole { name, key })
        }
        _ => {
            let text = format!("image {:?} was left half-made or half-deleted", name.as_str());
            ArchiveFinding::removed(&home, records, upkeep, text)
        }
    }
}

/// The record of an image, if there is one.
pub(super) fn load(records: &Records, id: ImageId) -> Result<Option<ImageRecord>> {
    let path = ImageRecord::path_of(id)?;
    let Some(record) = records.load::<ImageRecord>(&path)? else { return Ok(None) };
    let record = record.check()?;
    match record.id == id {
        true => Ok(Some(record)),
        false => {
            let text = format!("{} is the record of another image", records.place(&path));
            Err(Error::new(ErrorKind::Integrity, text))
        }
    }
}
