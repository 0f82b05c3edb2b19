//! Data keys: made and opened under master keys that are enabled.

use super::Kms;
use super::Operation;
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
    /// import; what the module reports.
    pub fn generate_dk(
        &self,
        key: KeyId,
        disk: DiskId,
        sector_size: SectorSize,
    ) -> Result<WrappedDk> {
        self.deadlines.observe();
        let version = self.usable(key)?.version;
        let associated = associated_data(disk, key, version, sector_size);
        let bytes = self.hsm.generate_dk_wrapped(CmkVersion { key, version }, &associated)?;
        // No lock was held meanwhile: what became unusable in that time is not handed out.
        self.usable(key)?;
        log::debug!("event=data-key-made key={key} version={version} disk={disk}");
        Ok(WrappedDk { key, version, bytes })
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
        self.deadlines.observe();
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
        self.usable(key)?;
        log::debug!("event=data-key-opened key={key} version={version} disk={disk}");
        Ok(dk)
    }

    /// The key, if data keys may be made and opened under it at this moment.
    fn usable(&self, id: KeyId) -> Result<Key> {
        let mut key = self.ring.get(id).ok_or_else(|| Key::gone(format!("key {id}")))?;
        self.refuse_past_deadline(&key)?;
        key.apply(Operation::UseForDataKey)?;
        Ok(key)
    }
}

fn associated_data(disk: DiskId, key: KeyId, version: u32, sector_size: SectorSize) -> Vec<u8> {
    EncryptionContext::for_disk(disk, key, version, sector_size).to_associated_data()
}
