//! All keys and data keys from the software module into another one.
//!
//! Material of the KMS does not move: each key gets a fresh version, made in the new module, and its
//! data keys are wrapped again under that. Imported material is its owner's and has no other
//! version: it is taken into the new module as it is.

use super::Origin;
use super::data_keys::associated_data;
use super::hsm::{CmkVersion, Hsm};
use super::import::digest_label;
use super::key::Key;
use super::key_ring::{KeyRing, path_of};
use super::soft_hsm::SoftHsm;
use super::state::Material;
use crate::crypto::{WrappedDk, to_hex};
use crate::error::Result;
use crate::id::{DiskId, KeyId};
use crate::records::Records;
use crate::units::SectorSize;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A move that is under way. It can be begun anew as often as it is interrupted: until its records
/// are put in their place, nothing that the old module holds is touched.
pub struct KeyMove<'a> {
    old: &'a SoftHsm,
    /// Nothing is made when there is none.
    new: Option<&'a dyn Hsm>,
    /// The version of each key that has material in the new module.
    versions: BTreeMap<KeyId, u32>,
}

impl<'a> KeyMove<'a> {
    /// Makes material in the new module for all keys that have some in the old one, and writes all
    /// keys as they will be into `moved`. Without a new module it does what can be done without one:
    /// all that the old one is asked for.
    ///
    /// # Errors
    /// `integrity` naming the record that was edited; what the modules and the stores report.
    pub fn of_keys(
        old: &'a SoftHsm,
        new: Option<&'a dyn Hsm>,
        records: &Records,
        moved: &Records,
        now: Timestamp,
    ) -> Result<Self> {
        let mut moving = KeyMove { old, new, versions: BTreeMap::new() };
        let ring = KeyRing::open(records.clone())?;
        ring.refuse_damage()?;
        for mut key in ring.all() {
            moving.key(&mut key, now)?;
            moved.save(&path_of(key.id)?, &key)?;
        }
        Ok(moving)
    }

    fn key(&mut self, key: &mut Key, now: Timestamp) -> Result<()> {
        match (key.material, key.origin) {
            (Material::Present, Origin::Kms) => {
                key.version += 1;
                key.rotated.push(now);
                key.oldest = key.version;
                let cmk = CmkVersion { key: key.id, version: key.version };
                if let Some(new) = self.new {
                    // Of an earlier try, which nothing depends on.
                    new.destroy(cmk)?;
                    new.generate(cmk)?;
                }
                self.versions.insert(key.id, key.version);
            }
            (Material::Present, Origin::External) => {
                let cmk = CmkVersion { key: key.id, version: key.version };
                let material = self.old.copy_of(cmk)?;
                if let Some(new) = self.new {
                    new.destroy(cmk)?;
                    new.import(cmk, &material)?;
                    let tag = new.record_key()?.tag(&digest_label(key.id), material.expose());
                    key.material_digest = Some(to_hex(&tag));
                }
                self.versions.insert(key.id, key.version);
            }
            // The digest of material that is not here cannot be made under another record key.
            // Other material, imported in its place, opens no data key all the same.
            (Material::Leaving | Material::Absent, _) => key.material_digest = None,
        }
        Ok(())
    }

    /// How many keys have material in the new module.
    pub fn count(&self) -> usize {
        self.versions.len()
    }

    /// The data key of a disk, wrapped by the new module if there is one; `None` for one whose master
    /// key has no material, which stays as it is.
    ///
    /// # Errors
    /// `wrong-context` with KMS.0208 when it was edited; what the modules report.
    pub fn data_key(
        &self,
        wrapped: &WrappedDk,
        disk: DiskId,
        sector_size: SectorSize,
    ) -> Result<Option<WrappedDk>> {
        let key = wrapped.key;
        let Some(&version) = self.versions.get(&key) else { return Ok(None) };
        let context = |version| associated_data(disk, key, version, sector_size);
        let old = CmkVersion { key, version: wrapped.version };
        let dk = self.old.unwrap_dk(old, &context(wrapped.version), &wrapped.bytes)?;
        let Some(new) = self.new else { return Ok(Some(wrapped.clone())) };
        let bytes = new.wrap_dk(CmkVersion { key, version }, &context(version), &dk)?;
        Ok(Some(WrappedDk { key, version, bytes }))
    }
}
