//! What changed on a disk since its last backup, kept while the disk is not attached.
//!
//! An attached disk notes its changes in memory. When it is detached, or the daemon ends, they are
//! written beside the disk's record, and the next attachment, or the backup of the detached disk,
//! goes on with them. So the next backup reads what changed alone:
//!
//! | file | what it is |
//! |---|---|
//! | `disks/<id>/changes` | the document of [`ChangedRegions`] |
//! | `disks/<id>/changes.toml` | a record: since which backup, the document's end, the payload's stamp |
//!
//! They are written when nobody can write to the disk any more, the record last, and the record is
//! removed durably before anybody can again. After a crash there is none, and the next backup
//! compares everything with digests. That is also what becomes of anything doubtful:
//!
//! * a record or a document that was edited, cut or put back from a copy (seal, ledger, checksum);
//! * a payload that somebody else has touched: its stamp is its inode, length and time of change.
//!   A block device has none, so nothing is kept for it;
//! * a flush that failed at any time in the attachment: the backup may hold what the disk has lost;
//! * a backup that is not the one the next is built upon.

use super::attachment::Attachment;
use super::control_plane::Service;
use super::record::DiskRecord;
use crate::crypto::to_hex;
use crate::disk::ChangedRegions;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BackupId, DiskId};
use crate::records::PrivateDir;
use crate::records::RecordPath;
use crate::records::Records;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const DOCUMENT: &str = "changes";
/// More than the largest set takes: 512 bytes for each of the 256 MiB that 64 TiB have.
const LONGEST_DOCUMENT: usize = 160 << 20;

/// Since which backup what has changed.
#[derive(Debug)]
pub(super) struct KeptChanges {
    pub since: BackupId,
    pub regions: ChangedRegions,
}

/// The record; the document's name for it is its place.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangesRecord {
    disk: DiskId,
    /// The backup that holds everything but the changes.
    since: BackupId,
    /// The document's own checksum, so that it is authenticated with this.
    checksum: String,
    /// The payload as it was when this was written.
    payload: String,
}

impl Service {
    /// Keeps what an attachment has noted, if that is worth anything. To be called once it is
    /// revoked; the payload was flushed. A failure costs the next backup time, nothing else.
    pub(super) fn keep_changes(&self, attachment: &Attachment, record: &DiskRecord) {
        // Taken, so that the two that may end the daemon at once do not both write.
        let Some(since) = attachment.take_last_backup() else { return };
        if let Some(regions) = attachment.disk().changed_regions() {
            self.save_changes(record, &KeptChanges { since, regions }, self.stamp_of(record));
        }
    }

    /// Keeps changes of a disk whose payload had this stamp when they were complete.
    pub(super) fn save_changes(
        &self,
        record: &DiskRecord,
        kept: &KeptChanges,
        stamp: Option<String>,
    ) {
        let Some(payload) = stamp else { return };
        let saved = (|| {
            let path = path_of(record.id)?;
            let document = kept.regions.to_bytes();
            // A record must not be left with the document of another.
            self.forget_changes(record.id)?;
            PrivateDir::open(&self.payloads.directory_of(record.id))?
                .replace(DOCUMENT, &document)?;
            let checksum = checksum_of(&document);
            let saved = ChangesRecord { disk: record.id, since: kept.since, checksum, payload };
            self.records.save(&path, &saved)
        })();
        if let Err(error) = saved {
            log::warn!("event=changes-not-kept disk={} error=\"{error}\"", record.id);
        }
    }

    /// What is kept for a detached disk, to be left where it is; `None` when nothing is known.
    pub(super) fn kept_changes(&self, record: &DiskRecord) -> Option<KeptChanges> {
        let place = self.payloads.directory_of(record.id);
        let stamp = self.stamp_of(record)?;
        let read = read_changes(&self.records, record.id, &place, Some(&stamp));
        read.unwrap_or_else(|error| {
            log::warn!("event=changes-not-kept disk={} error=\"{error}\"", record.id);
            None
        })
    }

    /// What is kept for a disk that is about to be attached, and is right until its first write: it
    /// is not there any more, durably, when this returns.
    ///
    /// # Errors
    /// `io`, `no-space` when it cannot be removed.
    pub(super) fn take_changes(&self, record: &DiskRecord) -> Result<Option<KeptChanges>> {
        if !self.records.knows(&path_of(record.id)?) {
            return Ok(None);
        }
        let kept = self.kept_changes(record);
        self.forget_changes(record.id)?;
        Ok(kept)
    }

    /// Removes what is kept for a disk.
    ///
    /// # Errors
    /// `io`.
    pub(super) fn forget_changes(&self, id: DiskId) -> Result<()> {
        remove_changes(&self.records, id, &self.payloads.directory_of(id))
    }

    /// What tells a payload from what somebody else has made of it. Only a file has it: the times of
    /// a device's node say nothing about the device.
    pub(super) fn stamp_of(&self, record: &DiskRecord) -> Option<String> {
        let meta = std::fs::symlink_metadata(self.payloads.path_of(record)).ok()?;
        let (ino, len) = (meta.ino(), meta.len());
        let stamp = format!("{ino} {len} {}.{:09}", meta.ctime(), meta.ctime_nsec());
        meta.is_file().then_some(stamp)
    }
}

/// Looks whether what is kept for a disk, if anything, is as it was written.
///
/// # Errors
/// `integrity`, naming what is damaged; `io`.
pub fn check_kept_changes(records: &Records, id: DiskId, directory: &Path) -> Result<()> {
    read_changes(records, id, directory, None).map(drop)
}

/// Removes what is kept for a disk: the record first, without which the document is nothing.
///
/// # Errors
/// `io`.
pub fn remove_changes(records: &Records, id: DiskId, directory: &Path) -> Result<()> {
    let path = path_of(id)?;
    let directory = match PrivateDir::open(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    // Also one that somebody has put back.
    if records.knows(&path) || directory.place().join(path.name()).exists() {
        records.remove(&path)?;
    }
    directory.remove(DOCUMENT).map(drop)
}

/// # Errors
/// `integrity` when record or document are not as they were written; `io`.
fn read_changes(
    records: &Records,
    id: DiskId,
    directory: &Path,
    stamp: Option<&str>,
) -> Result<Option<KeptChanges>> {
    let path = path_of(id)?;
    if !records.knows(&path) {
        return Ok(None);
    }
    let Some(record) = records.load::<ChangesRecord>(&path)? else { return Ok(None) };
    let place = directory.join(DOCUMENT);
    let refused = |why: &str| {
        Error::new(ErrorKind::Integrity, format!("{} {why}", place.display()))
            .remedy("evsfs check --repair, or nothing: the next backup reads the whole disk")
    };
    let document = PrivateDir::open(directory)?.read(DOCUMENT, LONGEST_DOCUMENT)?;
    let document = document.ok_or_else(|| refused("is missing"))?;
    if record.disk != id || record.checksum != checksum_of(&document) {
        return Err(refused("is not the one its record tells of"));
    }
    if stamp.is_some_and(|stamp| stamp != record.payload) {
        log::info!("event=payload-changed-by-others disk={id} next-backup=reads-all");
        return Ok(None);
    }
    let regions = ChangedRegions::from_bytes(&document)?;
    Ok(Some(KeptChanges { since: record.since, regions }))
}

fn checksum_of(document: &[u8]) -> String {
    to_hex(document.last_chunk::<{ ChangedRegions::CHECKSUM_BYTES }>().map_or(&[], |end| end))
}

fn path_of(id: DiskId) -> Result<RecordPath> {
    RecordPath::parse(&format!("disks/{id}/changes.toml"))
}
