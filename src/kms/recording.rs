//! What the KMS does, recorded before it takes effect (RULES K11).

use super::Kms;
use super::audit_entry::{Actor, AuditEntry, AuditEvent, OK};
use super::audit_log::Draft;
use super::audit_walk::{Step, Walk};
use super::key::Key;
use crate::error::{Error, Result};
use crate::id::{Alias, DiskId, KeyId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The record of one thing that was asked for, while it is being decided and done.
pub struct Recording<'k> {
    kms: &'k Kms,
    event: AuditEvent,
    key: Option<KeyId>,
    alias: Option<String>,
    disk: Option<DiskId>,
    allowed: Allowed,
    repeats: bool,
}

/// What the daemon tries again and again until it is done, and the entry that said `ok`.
pub(super) type Retried = HashMap<(AuditEvent, KeyId), u64>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    NotYet,
    /// By the entry of this number.
    By(u64),
    /// By the entry of this number, of an attempt that failed.
    Again(u64),
    /// The entry could not be written.
    Unrecorded,
}

impl Kms {
    /// The service, with what it does from here on recorded as asked for by `actor`. As opened, it
    /// acts for the daemon.
    #[must_use]
    pub fn on_behalf_of(&self, actor: Actor) -> Kms {
        Kms {
            ring: Arc::clone(&self.ring),
            hsm: Arc::clone(&self.hsm),
            deadlines: Arc::clone(&self.deadlines),
            audit: Arc::clone(&self.audit),
            retried: Arc::clone(&self.retried),
            calls: Arc::clone(&self.calls),
            claims: Arc::clone(&self.claims),
            import_keys: Arc::clone(&self.import_keys),
            actor,
        }
    }

    /// Does `work` and records what becomes of it. `work` calls [`Recording::allow`] when nothing
    /// speaks against it any more and before it has any effect; an error before that is recorded
    /// as a refusal, one after it as a failure. Work that succeeds without asking has done nothing
    /// worth recording.
    ///
    /// # Errors
    /// Those of `work`. A refusal that cannot be recorded is still that refusal.
    pub fn recorded<T>(
        &self,
        event: AuditEvent,
        work: impl FnOnce(&mut Recording<'_>) -> Result<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        let mut recording = Recording::begin(self, event);
        let done = work(&mut recording);
        self.calls.count(event, begun, &done);
        if let Err(error) = &done {
            recording.end_with(error);
        }
        done
    }

    /// As [`Kms::recorded`], for what the daemon tries again and again. Recorded are the first
    /// attempt, its failure, and, by an entry `ok` that names the first, that it was done at last;
    /// not the attempts in between, which can be one a second, nor what turned out not to be due.
    pub(super) fn recorded_until_done<T>(
        &self,
        event: AuditEvent,
        key: &Key,
        work: impl FnOnce(&mut Recording<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut recording = Recording::begin(self, event);
        recording.of_key(key);
        recording.repeats = true;
        let begun = Instant::now();
        let done = work(&mut recording);
        self.calls.count(event, begun, &done);
        match (&done, recording.allowed) {
            (Ok(_), Allowed::Again(seq)) => {
                self.retried.lock().remove(&(event, key.id));
                if let Err(error) = self.audit.append(recording.draft(OK.to_owned(), Some(seq))) {
                    log::error!("event=outcome-not-recorded error=\"{error}\"");
                }
            }
            (Err(error), Allowed::By(seq)) => {
                self.retried.lock().insert((event, key.id), seq);
                recording.end_with(error);
            }
            _ => {}
        }
        done
    }

    /// Records what was refused before it came here.
    pub fn record_refusal(&self, event: AuditEvent, alias: Option<&Alias>, refusal: &Error) {
        let mut recording = Recording::begin(self, event);
        if let Some(alias) = alias {
            recording.of_alias(alias);
        }
        recording.end_with(refusal);
    }

    /// Records what was refused about a disk's data key before it came here.
    pub fn record_refusal_for(
        &self,
        event: AuditEvent,
        key: Option<KeyId>,
        disk: DiskId,
        refusal: &Error,
    ) {
        let mut recording = Recording::begin(self, event);
        if let Some(key) = key {
            recording.of_id(key);
        }
        recording.for_disk(disk);
        recording.end_with(refusal);
    }

    /// At most `limit` entries after that of number `after`.
    ///
    /// # Errors
    /// What the store reports.
    pub fn audit_entries(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>> {
        let mut walk = Walk::whole(self.audit.records(), self.audit.newest().bytes);
        let mut entries = Vec::new();
        while entries.len() < limit
            && let Step::Entry(entry) = walk.step()?
        {
            if entry.seq > after {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// At most `len` bytes of the audit log at `offset`: JSON lines.
    ///
    /// # Errors
    /// What the store reports.
    pub fn read_audit(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.audit.read(offset, len)
    }
}

impl<'k> Recording<'k> {
    fn begin(kms: &'k Kms, event: AuditEvent) -> Self {
        let (key, alias, disk) = (None, None, None);
        Recording { kms, event, key, alias, disk, allowed: Allowed::NotYet, repeats: false }
    }

    /// It is asked of the key of this alias, if there is one.
    pub fn of_alias(&mut self, alias: &Alias) {
        self.alias = Some(alias.to_string());
        self.key = self.kms.ring.find(alias).ok().map(|key| key.id);
    }

    /// It is asked of the key of this id.
    pub fn of_id(&mut self, id: KeyId) {
        self.key = Some(id);
        self.alias = self.kms.ring.get(id).map(|key| key.alias.to_string());
    }

    /// It is asked of this key.
    pub(super) fn of_key(&mut self, key: &Key) {
        self.key = Some(key.id);
        self.alias = Some(key.alias.to_string());
    }

    /// It is asked for the sake of this disk.
    pub fn for_disk(&mut self, disk: DiskId) {
        self.disk = Some(disk);
    }

    /// Writes down that it is allowed; it may take effect when this has returned.
    ///
    /// # Errors
    /// `no-space`, `io`: it must not take effect.
    pub fn allow(&mut self) -> Result<()> {
        if let (true, Some(key)) = (self.repeats, self.key)
            && let Some(seq) = self.kms.retried.lock().get(&(self.event, key))
        {
            self.allowed = Allowed::Again(*seq);
            return Ok(());
        }
        let draft = self.draft(OK.to_owned(), None);
        match self.kms.audit.append(draft) {
            Ok(seq) => {
                self.allowed = Allowed::By(seq);
                Ok(())
            }
            Err(error) => {
                self.allowed = Allowed::Unrecorded;
                Err(error)
            }
        }
    }

    fn end_with(&self, error: &Error) {
        let code = error.shown_code();
        let recorded = match self.allowed {
            Allowed::NotYet => self.kms.audit.append(self.draft(code, None)),
            Allowed::By(seq) => self.kms.audit.append(self.draft(code, Some(seq))),
            // There is no room for this either.
            Allowed::Unrecorded | Allowed::Again(_) => return,
        };
        if let Err(second) = recorded {
            log::error!(
                "event=refusal-not-recorded code={} error=\"{second}\"",
                error.shown_code()
            );
        }
    }

    fn draft(&self, outcome: String, of: Option<u64>) -> Draft {
        Draft {
            time: self.kms.deadlines.now(),
            caller: self.kms.actor,
            event: self.event,
            key: self.key,
            alias: self.alias.clone(),
            disk: self.disk,
            outcome,
            of,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, alias, new_key};
    use super::super::{NewKey, Origin, Upload};
    use super::*;
    use crate::error::ErrorKind;
    use crate::id::{Description, Uid};
    use crate::sys::Clock;
    use crate::units::SectorSize;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    /// Entries as `caller event alias outcome`, without the first.
    fn told(kms: &Kms) -> Vec<String> {
        let entries = kms.audit_entries(1, 1000).unwrap();
        let shown = |entry: AuditEntry| {
            let event = serde_json::to_value(entry.event).unwrap();
            let (event, alias) = (event.as_str().unwrap().to_owned(), entry.alias);
            format!("{} {event} {} {}", entry.caller, alias.unwrap_or_default(), entry.outcome)
        };
        entries.into_iter().map(shown).collect()
    }

    /// RULES K11.
    #[test]
    fn the_audit_log_tells_the_life_of_a_key_in_order() {
        let fixture = Fixture::new();
        let kms = fixture.kms.on_behalf_of(Actor::User(Uid::new(1000)));
        let (finance, disk) = (alias("finance"), DiskId::random());
        let key = kms.create(new_key("finance")).unwrap().id;
        let wrapped = kms.generate_dk(key, disk, SectorSize::S4096).unwrap();
        kms.open_dk(&wrapped, disk, SectorSize::S4096).unwrap();
        kms.create(new_key("finance")).unwrap_err();
        kms.disable(&finance).unwrap();
        kms.open_dk(&wrapped, disk, SectorSize::S4096).err().unwrap();
        kms.enable(&finance).unwrap();
        kms.enable(&alias("nothing")).unwrap_err();
        kms.describe(&finance, Description::parse("ledgers").unwrap()).unwrap();
        kms.set_alias(&finance, alias("payroll")).unwrap();
        let payroll = alias("payroll");
        kms.schedule_deletion(&payroll, 6).unwrap_err();
        kms.schedule_deletion(&payroll, 7).unwrap();
        kms.cancel_deletion(&payroll).unwrap();
        kms.schedule_deletion(&payroll, 7).unwrap();
        fixture.clock.advance(Duration::from_secs(8 * 24 * 3600));
        fixture.kms.destroy_due().unwrap();
        assert_eq!(
            told(&kms),
            [
                "1000 createKey finance ok",
                "1000 createDatakey finance ok",
                "1000 decryptDatakey finance ok",
                "1000 createKey finance KMS.1104",
                "1000 disableKey finance ok",
                "1000 decryptDatakey finance KMS.0209",
                "1000 enableKey finance ok",
                "1000 enableKey nothing KMS.0207",
                "1000 updateKeyDescription finance ok",
                "1000 updateKeyAlias finance ok",
                "1000 scheduleKeyDeletion payroll KMS.1401",
                "1000 scheduleKeyDeletion payroll ok",
                "1000 cancelKeyDeletion payroll ok",
                "1000 scheduleKeyDeletion payroll ok",
                "evsfs deleteKey payroll ok",
            ]
        );
        let entries = kms.audit_entries(0, 1000).unwrap();
        assert!(
            entries
                .iter()
                .skip(1)
                .all(|entry| entry.seq == 9 || entry.key == Some(key) || entry.outcome != OK),
            "{entries:#?}"
        );
        assert_eq!(entries[2].disk, Some(disk));
        assert_eq!(kms.verify_audit().unwrap().fault, None);
    }

    /// RULES K11: rotation, and material that customers bring.
    #[test]
    fn rotation_rewrapping_and_imported_material_are_recorded_too() {
        let fixture = Fixture::new();
        let kms = fixture.kms.on_behalf_of(Actor::User(Uid::new(1000)));
        let (finance, own, disk) = (alias("finance"), alias("own"), DiskId::random());
        let key = kms.create(new_key("finance")).unwrap().id;
        let wrapped = kms.generate_dk(key, disk, SectorSize::S4096).unwrap();
        kms.rotate(&finance).unwrap();
        kms.rewrap_dk(&wrapped, disk, SectorSize::S4096).unwrap().unwrap();
        kms.set_rotation(&finance, Some(30)).unwrap();
        fixture.clock.advance(Duration::from_secs(31 * 24 * 3600));
        fixture.kms.rotate_due().unwrap();
        kms.set_rotation(&finance, None).unwrap();
        kms.create(NewKey { origin: Origin::External, ..new_key("own") }).unwrap();
        kms.rotate(&own).unwrap_err();
        let upload = Upload::from_hex(&"5a".repeat(32)).unwrap();
        let expires = fixture.clock.now() + Duration::from_secs(3600);
        kms.import(&own, &upload, Some(expires)).unwrap();
        fixture.clock.advance(Duration::from_secs(3600));
        fixture.kms.expire_due().unwrap();
        kms.delete_material(&own).unwrap_err();
        assert_eq!(
            told(&kms)[2..],
            [
                "1000 rotateKey finance ok",
                "1000 rewrapDatakey finance ok",
                "1000 enableKeyRotation finance ok",
                "evsfs rotateKey finance ok",
                "1000 disableKeyRotation finance ok",
                "1000 createKey own ok",
                "1000 rotateKey own KMS.0312",
                "1000 importKeyMaterial own ok",
                "evsfs deleteImportedKeyMaterial own ok",
                "1000 deleteImportedKeyMaterial own KMS.2701",
            ]
        );
    }

    /// RULES K11: what cannot be recorded does not happen.
    #[test]
    fn a_full_store_refuses_every_operation_before_it_has_an_effect() {
        let fixture = Fixture::new();
        let (key, disk) = (fixture.create("finance").id, DiskId::random());
        let wrapped = fixture.kms.generate_dk(key, disk, SectorSize::S4096).unwrap();
        let verbs: [&dyn Fn() -> Result<()>; 5] = [
            &|| fixture.kms.create(new_key("other")).map(|_| ()),
            &|| fixture.kms.disable(&alias("finance")).map(|_| ()),
            &|| fixture.kms.schedule_deletion(&alias("finance"), 7).map(|_| ()),
            &|| fixture.kms.generate_dk(key, disk, SectorSize::S4096).map(|_| ()),
            &|| fixture.kms.open_dk(&wrapped, disk, SectorSize::S4096).map(|_| ()),
        ];
        let before = fixture.kms.list();
        for verb in verbs {
            fixture.store.fail_after(Some(0));
            let error = verb().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            assert!(error.message().contains("audit log"), "{error}");
            assert_eq!(fixture.kms.list(), before);
            assert_eq!(fixture.reopened().list(), before);
        }
        assert_eq!(fixture.kms.verify_audit().unwrap().entries, 3);
    }

    /// A crash, or a failure, after the record and before the effect: the record says `ok`, the key
    /// is as it was, and where somebody was left to say so, so does the next entry.
    #[test]
    fn an_effect_that_failed_after_it_was_recorded_is_recorded_as_failed() {
        let fixture = Fixture::new();
        fixture.create("finance");
        // Log and anchor are written, the key's record is not.
        fixture.store.fail_below("kms/keys/");
        fixture.kms.disable(&alias("finance")).unwrap_err();
        assert_eq!(
            told(&fixture.kms)[1..],
            ["evsfs disableKey finance ok", "evsfs disableKey finance EVSFS.no-space"]
        );
        let entries = fixture.kms.audit_entries(3, 1).unwrap();
        assert_eq!(entries[0].of, Some(3));
        assert_eq!(fixture.reopened().list(), fixture.kms.list());
        assert_eq!(fixture.reopened().verify_audit().unwrap().fault, None);
    }

    #[test]
    fn a_destruction_tried_again_and_again_is_recorded_when_it_begins_and_when_it_is_done() {
        let fixture = Fixture::new();
        fixture.create("finance");
        fixture.kms.schedule_deletion(&alias("finance"), 7).unwrap();
        fixture.clock.advance(Duration::from_secs(8 * 24 * 3600));
        fixture.hsm.refuses_to_destroy.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            fixture.kms.destroy_due().unwrap_err();
        }
        fixture.hsm.refuses_to_destroy.store(false, Ordering::Relaxed);
        fixture.kms.destroy_due().unwrap();
        assert_eq!(
            told(&fixture.kms)[2..],
            [
                "evsfs deleteKey finance ok",
                "evsfs deleteKey finance EVSFS.kms-unreachable",
                "evsfs deleteKey finance ok",
            ]
        );
        assert_eq!(fixture.kms.audit_entries(5, 9).unwrap()[0].of, Some(4));
    }
}
