//! Making a disk of a backup or an image (RULES P2, P4).

use super::catalogue::{DiskEntry, Reservation};
use super::control_plane::Service;
use super::payload::Existing;
use super::record::{DiskRecord, Stage};
use crate::archive::{Chain, Meter, reseal};
use crate::auth::Caller;
use crate::crypto::SectorCipher;
use crate::disk::{Access, Disk};
use crate::error::Result;
use std::sync::Arc;

/// A disk that has a name and, if it is an encrypted one, a data key of its own, and waits to be
/// filled. Dropping it gives the name back.
pub(super) struct UnfilledDisk {
    /// The name taken for it.
    pub reservation: Reservation,
    /// Its record, not yet saved.
    pub record: DiskRecord,
    /// Whether data that lies at a chosen backing may be overwritten.
    pub existing: Existing,
}

impl Service {
    /// Fills a new disk with the content of an archive, sealed by the disk's own key; `opener` is
    /// the archive's cipher. A disk that cannot be filled is removed again, also at the next start.
    ///
    /// # Errors
    /// As [`reseal`]; `key-unusable` with EVS.2040 when the new disk's key cannot be opened.
    pub(super) fn fill_disk(
        &self,
        caller: Caller,
        new: UnfilledDisk,
        (archive, opener): (&Chain, &SectorCipher),
        meter: &dyn Meter,
    ) -> Result<Arc<DiskEntry>> {
        let UnfilledDisk { reservation, mut record, existing } = new;
        let filled = (|| {
            // The record comes first: a restart then knows that what it finds was never finished.
            self.save(&record)?;
            self.payloads.create(&record, existing)?;
            let cipher =
                self.open_cipher(caller, record.bound_dk(), record.sector_size(), &|| {
                    format!("disk {:?} cannot be filled", record.name.as_str())
                })?;
            let payload = self.payloads.open(&record, Access::ReadWrite)?;
            let disk = Disk::open(payload, cipher, record.size(), Access::ReadWrite)?;
            let filled = reseal(archive, opener, &disk, meter);
            // The key is wiped whatever came of it.
            disk.revoke();
            filled?;
            record.stage = Stage::Ready;
            self.save(&record)
        })();
        if let Err(error) = filled {
            if !self.unmake(&record) {
                record.error = Some(format!("it could not be filled, nor removed: {error}"));
                reservation.damaged(record);
            }
            return Err(error);
        }
        log::info!("event=disk-created disk={} name={} source=archive", record.id, record.name);
        let entry = reservation.made(record);
        self.tell_of_disk("disk.created", &entry);
        Ok(entry)
    }
}
