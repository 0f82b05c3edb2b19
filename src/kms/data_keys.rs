//! Data keys: made and opened under master keys that are enabled.

use super::Kms;
use super::Operation;
use super::audit_entry::AuditEvent;
use super::hsm::CmkVersion;
use super::key::Key;
use crate::crypto::Dk;
use crate::crypto::EncryptionContext;
use crate::crypto::WrappedDk;
use crate::error::Code;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::DiskId;
use crate::id::KeyId;
use crate::units::SectorSize;

impl Kms {
    /// Makes a data key for a disk, wrapped by the newest version of `key`. No plaintext of it
    /// exists outside the module before the disk is first attached (RULES D3).
    ///
    /// # Errors
    /// `key-unusable` with KMS.0209 disabled, 0210 pending deletion, 0207 gone, 1301 pending
    /// import; `integrity` when its record is not as it was written; what the module reports.
    pub fn generate_dk(
        &self,
        key: KeyId,
        disk: DiskId,
        sector_size: SectorSize,
    ) -> Result<WrappedDk> {
        self.deadlines.observe();
        self.recorded(AuditEvent::CreateDatakey, |recording| {
            recording.of_id(key);
            recording.for_disk(disk);
            self.ring.check_record(key)?;
            let version = self.usable(key)?.version;
            let associated = associated_data(disk, key, version, sector_size);
            let bytes = self.hsm.generate_dk_wrapped(CmkVersion { key, version }, &associated)?;
            // A data key takes effect when it is handed out.
            recording.allow()?;
            // No lock was held meanwhile: what became unusable in that time is not handed out.
            self.usable(key)?;
            log::debug!("event=data-key-made key={key} version={version} disk={disk}");
            Ok(WrappedDk { key, version, bytes })
        })
    }

    /// Opens the data key of a disk.
    ///
    /// # Errors
    /// As for [`Kms::generate_dk`]; `wrong-context` with KMS.0208 when it was made for another
    /// disk or sector size, or was edited (RULES K6).
    pub fn open_dk(
        &self,
        wrapped: &WrappedDk,
        disk: DiskId,
        sector_size: SectorSize,
    ) -> Result<Dk> {
        self.hand_out_dk(AuditEvent::DecryptDatakey, wrapped, disk, sector_size)
    }

    /// Opens the data key of a disk for it to leave evsfs, which the audit log tells apart.
    ///
    /// # Errors
    /// As for [`Kms::open_dk`].
    pub fn export_dk(
        &self,
        wrapped: &WrappedDk,
        disk: DiskId,
        sector_size: SectorSize,
    ) -> Result<Dk> {
        self.hand_out_dk(AuditEvent::ExportDatakey, wrapped, disk, sector_size)
    }

    /// Wraps a data key that comes from elsewhere by the newest version of `key`.
    ///
    /// # Errors
    /// As for [`Kms::generate_dk`]; `integrity` when the module does not open what it made.
    pub fn import_dk(
        &self,
        key: KeyId,
        disk: DiskId,
        sector_size: SectorSize,
        dk: &Dk,
    ) -> Result<WrappedDk> {
        self.deadlines.observe();
        self.recorded(AuditEvent::ImportDatakey, |recording| {
            recording.of_id(key);
            recording.for_disk(disk);
            self.ring.check_record(key)?;
            let version = self.usable(key)?.version;
            let wrapped = self.wrap_and_try(key, version, disk, sector_size, dk)?;
            recording.allow()?;
            self.usable(key)?;
            log::debug!("event=data-key-imported key={key} version={version} disk={disk}");
            Ok(wrapped)
        })
    }

    fn hand_out_dk(
        &self,
        event: AuditEvent,
        wrapped: &WrappedDk,
        disk: DiskId,
        sector_size: SectorSize,
    ) -> Result<Dk> {
        self.deadlines.observe();
        self.recorded(event, |recording| {
            recording.of_id(wrapped.key);
            recording.for_disk(disk);
            self.ring.check_record(wrapped.key)?;
            let dk = self.unwrap_dk(wrapped, disk, sector_size)?;
            // It takes effect when it is handed out; until then it is wiped on every way out.
            recording.allow()?;
            // No lock was held meanwhile: what became unusable in that time is not handed out.
            self.usable(wrapped.key)?;
            Ok(dk)
        })
    }

    fn unwrap_dk(&self, wrapped: &WrappedDk, disk: DiskId, sector_size: SectorSize) -> Result<Dk> {
        let WrappedDk { key, version, bytes } = wrapped;
        let (key, version) = (*key, *version);
        let newest = self.usable(key)?.version;
        if !(1..=newest).contains(&version) {
            // Only an edit makes such a number; the module would call it a key that is gone.
            return Err(Error::new(
                ErrorKind::WrongContext,
                format!("the data key of disk {disk} names version {version} of key {key}, which never was"),
            )
            .code(Code::KMS_0208)
            .remedy("restore the disk's record from a backup, then: evsfs check"));
        }
        let associated = associated_data(disk, key, version, sector_size);
        let dk = self.hsm.unwrap_dk(CmkVersion { key, version }, &associated, bytes)?;
        log::debug!("event=data-key-opened key={key} version={version} disk={disk}");
        Ok(dk)
    }

    /// Wraps the data key of a disk again by the newest version of its master key (RULES K5);
    /// `None` when that is the one it is wrapped by. The old wrapping opens as before.
    ///
    /// # Errors
    /// As for [`Kms::open_dk`]; `integrity` when the module does not open what it made.
    pub fn rewrap_dk(
        &self,
        wrapped: &WrappedDk,
        disk: DiskId,
        sector_size: SectorSize,
    ) -> Result<Option<WrappedDk>> {
        self.deadlines.observe();
        self.recorded(AuditEvent::RewrapDatakey, |recording| {
            recording.of_id(wrapped.key);
            recording.for_disk(disk);
            self.ring.check_record(wrapped.key)?;
            let (key, version) = (wrapped.key, self.usable(wrapped.key)?.version);
            if wrapped.version == version {
                return Ok(None);
            }
            let dk = self.unwrap_dk(wrapped, disk, sector_size)?;
            let wrapped = self.wrap_and_try(key, version, disk, sector_size, &dk)?;
            recording.allow()?;
            self.usable(key)?;
            log::debug!("event=data-key-rewrapped key={key} version={version} disk={disk}");
            Ok(Some(wrapped))
        })
    }

    /// Wraps a data key. What comes of it will stand in place of the only other copy, so it is tried.
    fn wrap_and_try(
        &self,
        key: KeyId,
        version: u32,
        disk: DiskId,
        sector_size: SectorSize,
        dk: &Dk,
    ) -> Result<WrappedDk> {
        let associated = associated_data(disk, key, version, sector_size);
        let bytes = self.hsm.wrap_dk(CmkVersion { key, version }, &associated, dk)?;
        let wrapped = WrappedDk { key, version, bytes };
        if !self.unwrap_dk(&wrapped, disk, sector_size)?.ct_eq(dk) {
            return Err(Error::new(
                ErrorKind::Integrity,
                format!("the HSM does not open what it wrapped for disk {disk}"),
            )
            .remedy("the disk is as it was; look after the HSM"));
        }
        Ok(wrapped)
    }

    /// Refuses a key under which no data key could be made or opened at this moment.
    ///
    /// # Errors
    /// `key-unusable` as for [`Kms::generate_dk`].
    pub fn require_usable(&self, key: KeyId) -> Result<()> {
        self.deadlines.observe();
        self.ring.check_record(key)?;
        self.usable(key).map(drop)
    }

    /// The key, if data keys may be made and opened under it at this moment.
    fn usable(&self, id: KeyId) -> Result<Key> {
        let mut key = self.ring.require(id)?;
        self.refuse_past_deadline(&key)?;
        if self.has_expired(&key) {
            key.expire()?;
        }
        key.apply(Operation::UseForDataKey)?;
        self.refuse_doubted_material(&key)?;
        Ok(key)
    }
}

pub(super) fn associated_data(
    disk: DiskId,
    key: KeyId,
    version: u32,
    sector_size: SectorSize,
) -> Vec<u8> {
    EncryptionContext::for_disk(disk, key, version, sector_size).to_associated_data()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, alias};
    use super::*;
    use crate::sync::Mutex;
    use std::sync::Arc;

    /// RULES K1: a key that became unusable while the module worked hands out nothing.
    #[test]
    fn a_key_disabled_while_the_module_works_refuses_the_data_key() {
        let fixture = Fixture::new();
        let (key, disk) = (fixture.create("finance").id, DiskId::random());
        let wrapped = fixture.kms.generate_dk(key, disk, SectorSize::S512).unwrap();
        let disable_meanwhile = || {
            let kms = Arc::clone(&fixture.kms);
            fixture.hsm.meanwhile(move || {
                kms.disable(&alias("finance")).unwrap();
            });
        };
        disable_meanwhile();
        let opened = fixture.kms.open_dk(&wrapped, disk, SectorSize::S512);
        assert_eq!(opened.err().unwrap().documented_code(), Some(Code::KMS_0209));

        fixture.kms.enable(&alias("finance")).unwrap();
        disable_meanwhile();
        let made = fixture.kms.generate_dk(key, disk, SectorSize::S512);
        assert_eq!(made.unwrap_err().documented_code(), Some(Code::KMS_0209));
    }

    /// DESIGN 5: a slow module holds up neither other verbs nor other disks.
    #[test]
    fn no_lock_is_held_while_the_module_works() {
        let fixture = Fixture::new();
        let (key, disk) = (fixture.create("finance").id, DiskId::random());
        let (kms, seen) = (Arc::clone(&fixture.kms), Arc::new(Mutex::new(None)));
        let seen_inside = Arc::clone(&seen);
        fixture.hsm.meanwhile(move || {
            let wrapped = kms.generate_dk(key, disk, SectorSize::S4096).unwrap();
            kms.open_dk(&wrapped, disk, SectorSize::S4096).unwrap();
            *seen_inside.lock() = Some(kms.list().len());
        });
        fixture.kms.generate_dk(key, disk, SectorSize::S4096).unwrap();
        assert_eq!(*seen.lock(), Some(1));
    }
}
