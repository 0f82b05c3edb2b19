//! The key management service: one function for each verb.

use super::audit_entry::{Actor, AuditEvent};
use super::audit_log::AuditLog;
use super::calls::Calls;
use super::claims::Claims;
use super::clock_watch::Deadline;
use super::damaged_key::DamagedKey;
use super::deadlines::Deadlines;
use super::hsm::CmkVersion;
use super::hsm::Hsm;
use super::import_keys::ImportKeys;
use super::key::{Key, KeyView, NewKey, Origin};
use super::key_ring::{Change, KeyRing};
use super::recording::{Recording, Retried};
use super::{Material, Operation};
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::Alias;
use crate::id::Description;
use crate::id::KeyId;
use crate::records::Records;
use crate::sync::Mutex;
use crate::sys::Clock;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Master keys and what can be done with them (RULES section 2).
///
/// A change of a key is written before it takes effect; a verb that fails leaves the key as it was.
/// Every verb but those that only show keys reads the clock first.
pub struct Kms {
    // Shared by all handles on the service, see `on_behalf_of`.
    pub(super) ring: Arc<KeyRing>,
    pub(super) hsm: Arc<dyn Hsm>,
    pub(super) deadlines: Arc<Deadlines>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) retried: Arc<Mutex<Retried>>,
    pub(super) calls: Arc<Calls>,
    pub(super) claims: Arc<Claims>,
    pub(super) import_keys: Arc<ImportKeys>,
    pub(super) actor: Actor,
}

impl Kms {
    /// Opens the service over its records, which are authenticated under the module's root key,
    /// and destroys the keys and the imported material whose date passed while it was closed. A key
    /// whose record was edited (RULES K8) is refused from then on, see [`Kms::damaged`].
    ///
    /// # Errors
    /// `integrity` naming the record of the clock or of the audit log that was edited; what the
    /// store reports.
    pub fn open(records: Records, hsm: Arc<dyn Hsm>, clock: Arc<dyn Clock>) -> Result<Kms> {
        let ring = KeyRing::open(records.clone())?;
        let kms = Kms {
            audit: Arc::new(AuditLog::open(records.clone(), !ring.all().is_empty())?),
            ring: Arc::new(ring),
            hsm,
            deadlines: Arc::new(Deadlines::begin(records, clock)?),
            retried: Arc::default(),
            calls: Arc::default(),
            claims: Arc::default(),
            import_keys: Arc::default(),
            actor: Actor::Daemon,
        };
        // A module that does not answer now keeps nobody from keys that are usable; those past
        // their deadline are not, swept or not.
        if let Err(error) = kms.destroy_due() {
            log::warn!("event=destroy-due-failed error=\"{error}\"");
        }
        if let Err(error) = kms.expire_due() {
            log::warn!("event=expire-due-failed error=\"{error}\"");
        }
        kms.warn_of_mismatches();
        Ok(kms)
    }

    /// Creates a key: enabled, or waiting for its material when its origin is external.
    ///
    /// # Errors
    /// `invalid` with KMS.1101 for an alias under `evs/`; `exists` with KMS.1104; `quota` with
    /// KMS.1105; what the module and the store report.
    pub fn create(&self, new: NewKey) -> Result<KeyView> {
        self.deadlines.observe();
        self.recorded(AuditEvent::CreateKey, |recording| {
            recording.of_alias(&new.alias);
            refuse_reserved(&new.alias)?;
            self.add(new, recording)
        })
    }

    /// The default key, made now if it is not there yet (RULES K2).
    ///
    /// # Errors
    /// What the module and the store report.
    pub fn ensure_default(&self) -> Result<KeyView> {
        self.deadlines.observe();
        let alias = Alias::evs_default();
        if let Ok(key) = self.ring.find(&alias) {
            return Ok(key.view());
        }
        let new = NewKey {
            alias: alias.clone(),
            origin: Origin::Kms,
            description: Description::parse("made by EVS for disks without a key of their own")?,
        };
        match self.recorded(AuditEvent::CreateKey, |recording| self.add(new, recording)) {
            // Somebody else was first.
            Err(error) if error.kind() == ErrorKind::Exists => self.show(&alias),
            made => made,
        }
    }

    /// The key of this alias.
    ///
    /// # Errors
    /// `not-found` with KMS.0207.
    pub fn show(&self, alias: &Alias) -> Result<KeyView> {
        self.ring.find(alias).map(|key| key.view())
    }

    /// The key of this id, which a disk names: it was there, so a missing one is gone.
    ///
    /// # Errors
    /// `key-gone` with KMS.0207; `integrity` for a damaged key.
    pub fn by_id(&self, id: KeyId) -> Result<KeyView> {
        self.ring.require(id).map(|key| key.view())
    }

    /// The keys whose records cannot be used. They are refused until the records are restored and
    /// the service is opened again; all others are served.
    pub fn damaged(&self) -> &[DamagedKey] {
        self.ring.damaged()
    }

    /// All keys by alias, the default key first.
    pub fn list(&self) -> Vec<KeyView> {
        self.ring.all().iter().map(Key::view).collect()
    }

    /// Makes a disabled key usable again.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `wrong-status` with KMS.1201; what the store reports.
    pub fn enable(&self, alias: &Alias) -> Result<KeyView> {
        self.alter(AuditEvent::EnableKey, alias, |_| Operation::Enable, |_, _| Ok(()))
    }

    /// Makes a key unusable until it is enabled. Attached disks go on (RULES D6).
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `protected` with KMS.0211; `wrong-status` with KMS.1301; what
    /// the store reports.
    pub fn disable(&self, alias: &Alias) -> Result<KeyView> {
        self.alter(AuditEvent::DisableKey, alias, |_| Operation::Disable, |_, _| Ok(()))
    }

    /// Gives a key another alias. Its own is accepted and changes nothing.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `protected` with KMS.0211; `key-unusable` with KMS.0210 while it
    /// is pending deletion; `invalid` with KMS.1101 for an alias under `evs/`; `exists` with
    /// KMS.1104; what the store reports.
    pub fn set_alias(&self, alias: &Alias, new: Alias) -> Result<KeyView> {
        self.alter(
            AuditEvent::UpdateKeyAlias,
            alias,
            |_| Operation::Rename,
            |change, key| {
                refuse_reserved(&new)?;
                if new != *alias {
                    change.check_free(&new)?;
                }
                key.alias = new;
                Ok(())
            },
        )
    }

    /// Gives a key another description.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `key-unusable` with KMS.0210 while it is pending deletion; what
    /// the store reports.
    pub fn describe(&self, alias: &Alias, description: Description) -> Result<KeyView> {
        self.alter(
            AuditEvent::UpdateKeyDescription,
            alias,
            |_| Operation::Describe,
            |_, key| {
                key.description = description;
                Ok(())
            },
        )
    }

    /// Changes one key: looks, asks the transition table, edits, records, writes. All verbs that
    /// change a key but do not make or destroy it pass here.
    pub(super) fn alter(
        &self,
        event: AuditEvent,
        alias: &Alias,
        operation: impl FnOnce(&Key) -> Operation,
        edit: impl FnOnce(&Change<'_>, &mut Key) -> Result<()>,
    ) -> Result<KeyView> {
        self.deadlines.observe();
        self.recorded(event, |recording| {
            recording.of_alias(alias);
            let change = self.ring.change();
            let mut key = self.key_to_alter(alias)?;
            key.apply(operation(&key))?;
            edit(&change, &mut key)?;
            recording.allow()?;
            let key = change.put(key)?;
            log::info!("event=key-changed key={} state={}", key.id, key.state);
            Ok(key.view())
        })
    }

    /// A key as it is at this moment, which is to be changed.
    pub(super) fn key_to_alter(&self, alias: &Alias) -> Result<Key> {
        let mut key = self.ring.find(alias)?;
        self.ring.check_record(key.id)?;
        self.refuse_past_deadline(&key)?;
        if self.has_expired(&key) {
            key.expire()?;
        }
        Ok(key)
    }

    /// Refuses a key whose deadline has passed although nobody swept it away yet.
    pub(super) fn refuse_past_deadline(&self, key: &Key) -> Result<()> {
        match key.deletion_date.map(|date| self.deadlines.judge(date)) {
            Some(Deadline::Passed) => Err(Key::gone(format!("key \"{}\"", key.alias))),
            Some(Deadline::Doubted | Deadline::Ahead) | None => Ok(()),
        }
    }

    /// Makes a key: its material first, since a record without material would be a key that looks
    /// usable and is not, while material without a record is only a file too many.
    fn add(&self, new: NewKey, recording: &mut Recording<'_>) -> Result<KeyView> {
        recording.of_alias(&new.alias);
        self.ring.change().check_room_for(&new.alias)?;
        let key = Key::new(KeyId::random(), new, self.deadlines.now());
        recording.of_key(&key);
        recording.allow()?;
        let cmk = CmkVersion { key: key.id, version: key.version };
        let has_material = key.material == Material::Present;
        if has_material {
            self.hsm.generate(cmk)?;
        }
        // Looked at again: the module may have taken long, and others did not wait for it.
        let change = self.ring.change();
        let made = change.check_room_for(&key.alias).and_then(|()| change.put(key));
        drop(change);
        match made {
            Ok(key) => {
                log::info!("event=key-created key={} state={}", key.id, key.state);
                Ok(key.view())
            }
            Err(error) => {
                if has_material {
                    self.discard(cmk);
                }
                Err(error)
            }
        }
    }

    /// Says which keys and material do not belong together. Nothing is repaired here: a record may
    /// be missing because part of a backup was restored, and its material is then the last copy.
    fn warn_of_mismatches(&self) {
        let held: BTreeSet<CmkVersion> = match self.hsm.list() {
            Ok(held) => held.into_iter().collect(),
            Err(error) => {
                log::warn!("event=material-not-listed error=\"{error}\"");
                return;
            }
        };
        let expected: BTreeSet<CmkVersion> = self.ring.all().iter().flat_map(Key::cmks).collect();
        let is_damaged = |id| self.ring.damaged().iter().any(|key| key.id == Some(id));
        for cmk in held.difference(&expected).filter(|cmk| !is_damaged(cmk.key)) {
            log::warn!("event=material-without-key cmk={cmk}");
        }
        for cmk in expected.difference(&held) {
            log::error!("event=key-without-material cmk={cmk}");
        }
    }
}

fn refuse_reserved(alias: &Alias) -> Result<()> {
    Alias::parse_customer(alias.as_str()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, alias, new_key};
    use super::*;
    use crate::records::RecordStore;
    use std::time::Duration;

    type Verb = fn(&Fixture) -> Result<()>;

    /// A life of a key in which every verb succeeds.
    const LIFE: &[Verb] = &[
        |f| f.kms.create(new_key("finance")).map(|_| ()),
        |f| f.kms.disable(&alias("finance")).map(|_| ()),
        |f| f.kms.enable(&alias("finance")).map(|_| ()),
        |f| f.kms.describe(&alias("finance"), Description::parse("ledgers")?).map(|_| ()),
        |f| f.kms.set_alias(&alias("finance"), alias("payroll")).map(|_| ()),
        |f| f.kms.schedule_deletion(&alias("payroll"), 7).map(|_| ()),
        |f| f.kms.cancel_deletion(&alias("payroll")).map(|_| ()),
        |f| f.kms.schedule_deletion(&alias("payroll"), 7).map(|_| ()),
        |f| {
            f.clock.advance(Duration::from_secs(8 * 24 * 3600));
            f.kms.destroy_due().map(|_| ())
        },
    ];

    /// Every write of that life fails once: the verb is refused or did not need it, what is shown
    /// and what a restart would show stay the same thing, and the next attempt succeeds.
    #[test]
    fn a_failed_write_leaves_the_key_as_it_was_in_memory_and_at_rest() {
        for writes in 0.. {
            let fixture = Fixture::new();
            fixture.store.fail_after(Some(writes));
            for verb in LIFE {
                let before = fixture.kms.list();
                if verb(&fixture).is_err() {
                    assert_eq!(fixture.kms.list(), before, "write {writes}");
                    verb(&fixture).unwrap();
                }
                assert_eq!(fixture.reopened().list(), fixture.kms.list(), "write {writes}");
            }
            assert!(fixture.kms.list().is_empty() && fixture.hsm.list().unwrap().is_empty());
            if fixture.store.is_armed() {
                assert!(writes > LIFE.len(), "each verb writes at least once");
                return;
            }
        }
    }

    #[test]
    fn two_who_create_the_same_alias_at_once_make_one_key_and_no_material_too_many() {
        let fixture = Fixture::new();
        let kms = Arc::clone(&fixture.kms);
        fixture.hsm.meanwhile(move || {
            kms.create(new_key("finance")).unwrap();
        });
        let error = fixture.kms.create(new_key("finance")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert_eq!((fixture.kms.list().len(), fixture.hsm.list().unwrap().len()), (1, 1));
    }

    /// RULES K2: made on first use, once.
    #[test]
    fn the_default_key_is_made_once_also_by_two_at_once() {
        let fixture = Fixture::new();
        let kms = Arc::clone(&fixture.kms);
        fixture.hsm.meanwhile(move || {
            kms.ensure_default().unwrap();
        });
        let key = fixture.kms.ensure_default().unwrap();
        assert_eq!(fixture.kms.list(), [key]);
        assert_eq!(fixture.hsm.list().unwrap().len(), 1);
    }

    /// RULES K8: it may have had the alias, and disks that are found by it.
    #[test]
    fn no_key_is_made_while_the_alias_of_a_damaged_one_is_not_known() {
        let fixture = Fixture::new();
        let key = fixture.create("finance");
        let path = super::super::key_ring::path_of(key.id).unwrap();
        fixture.store.replace_log(&path, b"alias = \"other\"").unwrap();
        let kms = fixture.reopened();
        assert_eq!(kms.create(new_key("finance")).unwrap_err().kind(), ErrorKind::Integrity);
        assert_eq!(kms.create(new_key("other")).unwrap_err().kind(), ErrorKind::Integrity);
        assert!(kms.list().is_empty());
    }

    #[test]
    fn a_default_key_that_cannot_be_made_is_refused_with_the_reason() {
        let fixture = Fixture::new();
        fixture.store.fail_below("kms/keys/");
        assert_eq!(fixture.kms.ensure_default().unwrap_err().kind(), ErrorKind::NoSpace);
        fixture.store.fail_after(None);
        assert!(fixture.kms.list().is_empty());
    }
}
