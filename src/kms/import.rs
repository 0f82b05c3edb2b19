//! Material that customers bring: taken in, expiring, given up (RULES K1, origin external).
//!
//! An external key has one version. Once material was imported, only the same material is taken
//! again: a digest of it, keyed under the root key, stays in the record, the material does not.
//!
//! Order of giving material up, by hand or because its date has come, each step durable before the
//! next: the record says that the material is leaving, which makes the key one that waits for
//! material; the module destroys it; the record says that it is gone. What a crash or a module that
//! does not answer left undone is done by the next sweep.
//!
//! Order of an import: what an interrupted one may have left is destroyed, the module takes the
//! material, the record names it.

use super::Kms;
use super::audit_entry::AuditEvent;
use super::clock_watch::Deadline;
use super::hsm::CmkVersion;
use super::key::Key;
use super::key::KeyView;
use super::upload::Upload;
use super::{Material, Operation};
use crate::crypto::ImportKey;
use crate::crypto::Secret;
use crate::crypto::from_hex;
use crate::crypto::to_hex;
use crate::crypto::wrong_material_length;
use crate::error::Code;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::Alias;
use crate::id::KeyId;
use jiff::Timestamp;
use std::sync::Arc;

impl Kms {
    /// Takes the material of a key, for ever or until a date.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `wrong-status` with KMS.0309 when the key is not external, KMS.0310
    /// when it does not wait for material; `invalid` with KMS.2602 for a date that is not in the
    /// future, KMS.2604 for material of another length than 32 bytes, KMS.2606 for other material
    /// than was imported before, or when wrapped material does not open; `in-use` while the
    /// material is being changed; what the module and the store report.
    pub fn import(
        &self,
        alias: &Alias,
        upload: &Upload,
        expires: Option<Timestamp>,
    ) -> Result<KeyView> {
        self.deadlines.observe();
        self.recorded(AuditEvent::ImportKeyMaterial, |recording| {
            recording.of_alias(alias);
            let id = self.ring.find(alias)?.id;
            self.ring.check_record(id)?;
            // Before the claim, so that a key that takes no material says why.
            self.importable(id)?;
            let _claim = self.claims.take(id, alias)?;
            let key = self.importable(id)?;
            if expires.is_some_and(|date| date <= self.deadlines.start_of_new()) {
                return Err(Error::new(ErrorKind::Invalid, "the expiry date is not in the future")
                    .code(Code::KMS_2602)
                    .remedy(
                        "choose a later date, or leave it out for material that does not expire",
                    ));
            }
            let material = self.open_upload(&key, upload)?;
            let digest = self.digest(&key, &material)?;
            let cmk = CmkVersion { key: id, version: 1 };
            recording.allow()?;
            self.hsm.destroy(cmk)?;
            self.hsm.import(cmk, &material)?;
            drop(material);
            // Looked at again: the module may have taken long, and others did not wait for it.
            let change = self.ring.change();
            let mut key = match self.importable(id) {
                Ok(key) => key,
                Err(refusal) => {
                    drop(change);
                    self.discard(cmk);
                    return Err(refusal);
                }
            };
            key.material = Material::Present;
            key.version = cmk.version;
            key.imported.get_or_insert(self.deadlines.now());
            key.expires = expires;
            key.material_digest = Some(digest);
            // When this fails the new record may be there all the same, so the material stays.
            let key = change.put(key)?;
            drop(change);
            self.import_keys.forget(id);
            log::info!("event=key-material-imported key={id}");
            Ok(key.view())
        })
    }

    /// Destroys imported material; the key waits for the same material from then on.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `wrong-status` with KMS.2701 when the key is not external, or
    /// neither enabled nor disabled; what the store reports. When the module does not destroy it,
    /// the key waits for material all the same, and the material goes when the module answers.
    pub fn delete_material(&self, alias: &Alias) -> Result<KeyView> {
        let view = self.alter(
            AuditEvent::DeleteImportedKeyMaterial,
            alias,
            |_| Operation::DeleteMaterial,
            |_, key| {
                key.material = Material::Leaving;
                key.expires = None;
                Ok(())
            },
        )?;
        self.see_material_off(view.id)?;
        self.by_id(view.id)
    }

    /// Destroys imported material whose date has come, and says whose it was. To be called as often
    /// as [`Kms::destroy_due`].
    ///
    /// # Errors
    /// The first failure of the module or the store, after all other keys have been tried. A key
    /// whose material could not be destroyed is unusable all the same.
    pub fn expire_due(&self) -> Result<Vec<KeyView>> {
        self.deadlines.observe();
        let (mut expired, mut failure) = (Vec::new(), None);
        for key in self.ring.all().iter().filter(|key| self.is_to_leave(key)) {
            match self.expire(key) {
                Ok(view) => expired.extend(view),
                // It is being deleted by hand, which ends the same way.
                Err(error) if error.kind() == ErrorKind::InUse => {}
                Err(error) => {
                    log::warn!("event=material-not-destroyed key={} error=\"{error}\"", key.id);
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(expired),
        }
    }

    /// Whether the material's date has passed by a clock that is believed.
    pub(super) fn has_expired(&self, key: &Key) -> bool {
        key.expires.is_some_and(|date| self.deadlines.judge(date) == Deadline::Passed)
    }

    /// Refuses material whose date has passed by a clock that is in doubt (RULES K10).
    pub(super) fn refuse_doubted_material(&self, key: &Key) -> Result<()> {
        if key.expires.is_none_or(|date| self.deadlines.judge(date) != Deadline::Doubted) {
            return Ok(());
        }
        let alias = &key.alias;
        Err(Error::new(
            ErrorKind::KeyPendingImport,
            format!("the material of key \"{alias}\" has expired by a clock that is in doubt"),
        )
        .code(Code::KMS_1301)
        .remedy(format!("set the clock right, or: evsfs key delete-material {alias}")))
    }

    fn is_to_leave(&self, key: &Key) -> bool {
        key.material == Material::Leaving || self.has_expired(key)
    }

    fn expire(&self, key: &Key) -> Result<Option<KeyView>> {
        let id = key.id;
        let change = self.ring.change();
        let Some(mut key) = self.ring.get(id).filter(|key| self.is_to_leave(key)) else {
            return Ok(None);
        };
        if key.material == Material::Present {
            let event = AuditEvent::DeleteImportedKeyMaterial;
            key = self.recorded_until_done(event, &key.clone(), |recording| {
                key.expire()?;
                recording.allow()?;
                change.put(key)
            })?;
            log::info!("event=key-material-expired key={id} state={}", key.state);
        }
        drop(change);
        self.see_material_off(id)?;
        Ok(self.ring.get(id).map(|key| key.view()))
    }

    /// Destroys material that is leaving, and says so in the record.
    fn see_material_off(&self, id: KeyId) -> Result<()> {
        let is_leaving = |key: &Key| key.material == Material::Leaving;
        let Some(key) = self.ring.get(id).filter(is_leaving) else { return Ok(()) };
        let _claim = self.claims.take(id, &key.alias)?;
        // An import may have come between.
        let Some(key) = self.ring.get(id).filter(is_leaving) else { return Ok(()) };
        for cmk in key.versions() {
            self.hsm.destroy(cmk)?;
        }
        let change = self.ring.change();
        if let Some(mut key) = self.ring.get(id).filter(is_leaving) {
            key.material = Material::Absent;
            change.put(key)?;
        }
        Ok(())
    }

    /// The key as it will be when it has its material, if it may take any at this moment.
    pub(super) fn importable(&self, id: KeyId) -> Result<Key> {
        let mut key = self.ring.require(id)?;
        self.refuse_past_deadline(&key)?;
        if self.has_expired(&key) {
            key.expire()?;
        }
        key.apply(Operation::Import)?;
        Ok(key)
    }

    fn open_upload(&self, key: &Key, upload: &Upload) -> Result<Arc<Secret<32>>> {
        match upload {
            Upload::Plain(material) => Ok(Arc::clone(material)),
            Upload::OfLength(bytes) => Err(wrong_material_length(*bytes)),
            Upload::Wrapped { bytes, token } => {
                let import_key: Arc<ImportKey> =
                    self.import_keys.find(key, token.as_deref(), self.deadlines.monotonic())?;
                Ok(Arc::new(import_key.open(bytes)?))
            }
        }
    }

    /// The digest to keep of this material.
    fn digest(&self, key: &Key, material: &Secret<32>) -> Result<String> {
        let record_key = self.hsm.record_key()?;
        let label = digest_label(key.id);
        let is_same = match &key.material_digest {
            Some(known) => record_key.verify(&label, material.expose(), &from_hex(known)?),
            None => true,
        };
        if is_same {
            return Ok(to_hex(&record_key.tag(&label, material.expose())));
        }
        let alias = &key.alias;
        Err(Error::new(
            ErrorKind::Invalid,
            format!("this is not the material that key \"{alias}\" had before"),
        )
        .code(Code::KMS_2606)
        .remedy("import the material its disks were encrypted under, or make another key"))
    }
}

/// The text that a digest of imported material is bound to. No path of a record has a blank, so no
/// record's tag can be taken for one.
pub(super) fn digest_label(key: KeyId) -> String {
    format!("imported material of {key}")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, alias};
    use super::super::hsm::Hsm;
    use super::super::{KeyState, NewKey, Origin};
    use super::*;
    use crate::crypto::WrappedDk;
    use crate::id::Description;
    use crate::id::DiskId;
    use crate::units::SectorSize;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    struct External {
        fixture: Fixture,
        id: KeyId,
        material: Upload,
    }

    impl External {
        fn new() -> External {
            let fixture = Fixture::new();
            let new = NewKey {
                alias: alias("own"),
                origin: Origin::External,
                description: Description::default(),
            };
            let id = fixture.kms.create(new).unwrap().id;
            External { fixture, id, material: random() }
        }

        fn import(&self, expires: Option<Timestamp>) {
            self.fixture.kms.import(&alias("own"), &self.material, expires).unwrap();
        }

        fn disk(&self) -> (WrappedDk, DiskId) {
            let disk = DiskId::random();
            let make = || self.fixture.kms.generate_dk(self.id, disk, SectorSize::S4096);
            // Its audit entry may be the write that fails.
            (make().or_else(|_| make()).unwrap(), disk)
        }

        fn opens(&self, (wrapped, disk): &(WrappedDk, DiskId)) -> Option<Code> {
            let opened = self.fixture.kms.open_dk(wrapped, *disk, SectorSize::S4096);
            opened.err().map(|error| error.documented_code().unwrap())
        }

        fn state(&self) -> KeyState {
            self.fixture.kms.by_id(self.id).unwrap().state
        }
    }

    fn random() -> Upload {
        Upload::Plain(Arc::new(Secret::random().unwrap()))
    }

    /// RULES K1: the same-material rule, also over a restart.
    #[test]
    fn only_the_same_material_comes_back_and_opens_what_it_opened_before() {
        let external = External::new();
        external.import(None);
        let disk = external.disk();
        let kms = &external.fixture.kms;
        assert_eq!(kms.delete_material(&alias("own")).unwrap().state, KeyState::PendingImport);
        assert!(external.fixture.hsm.list().unwrap().is_empty());
        assert_eq!(external.opens(&disk), Some(Code::KMS_1301));
        for kms in [kms, &external.fixture.reopened()] {
            let refused = kms.import(&alias("own"), &random(), None).unwrap_err();
            assert_eq!(refused.documented_code(), Some(Code::KMS_2606));
        }
        external.import(None);
        assert_eq!(external.opens(&disk), None);
        assert_eq!(kms.show(&alias("own")).unwrap().version, 1);
    }

    /// Every write of an import and of giving the material up fails once, and a restart follows:
    /// the next attempt succeeds, and no material is left in the end.
    #[test]
    fn a_failed_write_of_an_import_or_a_deletion_is_made_good_by_the_next_attempt() {
        for writes in 0.. {
            let external = External::new();
            let kms = &external.fixture.kms;
            external.fixture.store.fail_after(Some(writes));
            if kms.import(&alias("own"), &external.material, None).is_err() {
                assert_eq!(external.state(), KeyState::PendingImport);
                external.import(None);
            }
            let disk = external.disk();
            if kms.delete_material(&alias("own")).is_err() {
                let before = external.state();
                let reopened = external.fixture.reopened();
                assert_eq!(reopened.by_id(external.id).unwrap().state, before);
                match before {
                    KeyState::PendingImport => drop(kms.expire_due().unwrap()),
                    _ => drop(kms.delete_material(&alias("own")).unwrap()),
                }
            }
            let is_past_the_last_write = external.fixture.store.is_armed();
            external.fixture.store.fail_after(None);
            assert!(external.fixture.hsm.list().unwrap().is_empty(), "write {writes}");
            assert_eq!(external.state(), KeyState::PendingImport);
            external.import(None);
            assert_eq!(external.opens(&disk), None);
            if is_past_the_last_write {
                assert!(writes >= 3);
                return;
            }
        }
    }

    /// RULES K1: at its date the material goes, whether or not anybody swept.
    #[test]
    fn material_expires_at_its_date_and_a_disabled_key_waits_for_material_too() {
        for disabled in [false, true] {
            let external = External::new();
            let kms = &external.fixture.kms;
            external.import(Some(Timestamp::UNIX_EPOCH + 10 * DAY));
            let disk = external.disk();
            if disabled {
                kms.disable(&alias("own")).unwrap();
            }
            external.fixture.clock.advance(10 * DAY - Duration::from_secs(1));
            assert!(kms.expire_due().unwrap().is_empty());
            assert_eq!(external.opens(&disk), disabled.then_some(Code::KMS_0209));
            external.fixture.clock.advance(Duration::from_secs(1));
            assert_eq!(external.opens(&disk), Some(Code::KMS_1301));
            assert_eq!(
                kms.enable(&alias("own")).unwrap_err().documented_code(),
                Some(Code::KMS_1201)
            );
            assert_eq!(kms.expire_due().unwrap().len(), 1);
            assert_eq!(external.state(), KeyState::PendingImport);
            assert!(external.fixture.hsm.list().unwrap().is_empty());
            external.import(None);
            assert_eq!(external.opens(&disk), None);
        }
    }

    /// RULES K1: a key that is kept after its material expired waits for material.
    #[test]
    fn material_expires_under_a_scheduled_deletion_too() {
        let external = External::new();
        let kms = &external.fixture.kms;
        external.import(Some(Timestamp::UNIX_EPOCH + 10 * DAY));
        kms.schedule_deletion(&alias("own"), 30).unwrap();
        external.fixture.clock.advance(10 * DAY);
        assert_eq!(kms.expire_due().unwrap().len(), 1);
        assert_eq!(external.state(), KeyState::PendingDeletion);
        assert!(external.fixture.hsm.list().unwrap().is_empty());
        let kept = kms.cancel_deletion(&alias("own")).unwrap();
        assert_eq!(kept.state, KeyState::PendingImport);
    }

    /// RULES K10.
    #[test]
    fn a_clock_in_doubt_makes_the_material_unusable_and_destroys_nothing() {
        let external = External::new();
        let kms = &external.fixture.kms;
        external.import(Some(Timestamp::UNIX_EPOCH + 10 * DAY));
        let disk = external.disk();
        external.fixture.clock.set_wall(Timestamp::UNIX_EPOCH + 20 * DAY);
        assert!(kms.expire_due().unwrap().is_empty());
        assert_eq!(external.opens(&disk), Some(Code::KMS_1301));
        external.fixture.clock.set_wall(Timestamp::UNIX_EPOCH);
        assert_eq!(external.opens(&disk), None);
    }

    /// What the module could not destroy at once is unusable meanwhile and destroyed later.
    #[test]
    fn material_the_module_did_not_destroy_is_given_up_all_the_same_and_tried_again() {
        let external = External::new();
        let (kms, hsm) = (&external.fixture.kms, &external.fixture.hsm);
        external.import(None);
        let disk = external.disk();
        hsm.refuses_to_destroy.store(true, Ordering::Relaxed);
        assert!(kms.delete_material(&alias("own")).is_err());
        assert_eq!(external.opens(&disk), Some(Code::KMS_1301));
        assert!(kms.expire_due().is_err());
        hsm.refuses_to_destroy.store(false, Ordering::Relaxed);
        assert_eq!(external.fixture.reopened().list()[0].state, KeyState::PendingImport);
        assert!(hsm.list().unwrap().is_empty());
    }

    #[test]
    fn material_that_is_deleted_by_hand_meanwhile_fails_no_sweep() {
        let external = External::new();
        external.import(None);
        let kms = Arc::clone(&external.fixture.kms);
        external.fixture.hsm.meanwhile(move || assert!(kms.expire_due().unwrap().is_empty()));
        external.fixture.kms.delete_material(&alias("own")).unwrap();
        assert_eq!(external.state(), KeyState::PendingImport);
    }

    #[test]
    fn of_two_who_import_at_once_one_is_refused() {
        let external = External::new();
        let kms = Arc::clone(&external.fixture.kms);
        external.fixture.hsm.meanwhile(move || {
            let refused = kms.import(&alias("own"), &random(), None).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InUse);
        });
        external.import(None);
        assert_eq!(external.state(), KeyState::Enabled);
    }

    #[test]
    fn an_import_key_serves_once_for_24_hours_and_for_its_own_master_key() {
        let external = External::new();
        let kms = &external.fixture.kms;
        let wrapped = |token: Option<&str>| Upload::Wrapped {
            bytes: vec![7; 384],
            token: token.map(str::to_owned),
        };
        let kind = |upload: &Upload| kms.import(&alias("own"), upload, None).unwrap_err().kind();
        assert_eq!(kind(&wrapped(None)), ErrorKind::WrongStatus, "there is no import key");
        let parameters = kms.make_import_parameters(&alias("own")).unwrap();
        assert_eq!(kms.import_parameters(external.id), Some(parameters.clone()));
        assert_eq!(kind(&wrapped(Some("another"))), ErrorKind::WrongStatus);
        // Garbage, but looked at.
        assert_eq!(kind(&wrapped(Some(&parameters.token))), ErrorKind::Invalid);
        external.fixture.clock.advance(DAY);
        assert_eq!(kind(&wrapped(Some(&parameters.token))), ErrorKind::WrongStatus);
        kms.make_import_parameters(&alias("own")).unwrap();
        external.import(None);
        assert_eq!(kms.import_parameters(external.id), None, "used up");
        let refused = kms.make_import_parameters(&alias("own")).unwrap_err();
        assert_eq!(refused.documented_code(), Some(Code::KMS_0310));
    }

    /// Digests in records are bound to it: another text would refuse the material of every key.
    #[test]
    fn the_label_of_a_digest_never_changes() {
        let key = crate::id::KeyId::parse("7f0c1f1e-1c36-4d34-9a53-0b6d3f9a1c22").unwrap();
        let label = "imported material of 7f0c1f1e-1c36-4d34-9a53-0b6d3f9a1c22";
        assert_eq!(digest_label(key), label);
    }
}
