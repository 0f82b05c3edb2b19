//! New versions of a key: by hand, and by interval (RULES K5).
//!
//! Order of a rotation, each step durable before the next:
//!
//! 1. the module makes the material of the next version;
//! 2. the key's record names it as the newest.
//!
//! A crash after 1 leaves material that no record names and nothing is wrapped by; the next
//! rotation, or the key's destruction, removes it first. Old versions are never touched.

use super::Kms;
use super::Operation;
use super::audit_entry::AuditEvent;
use super::clock_watch::Deadline;
use super::hsm::CmkVersion;
use super::key::Key;
use super::key::KeyView;
use super::recording::Recording;
use crate::error::Code;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::Alias;
use crate::id::KeyId;
use jiff::Timestamp;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Days between automatic rotations (RULES K1).
pub const ROTATION_DAYS: RangeInclusive<u32> = 30..=365;
/// Days between automatic rotations when nobody says.
pub const DEFAULT_ROTATION_DAYS: u32 = 365;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Kms {
    /// Adds a version, which wraps all data keys made from now on.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `wrong-status` with KMS.0312 for an external key; `protected`
    /// with KMS.0211; `key-unusable` with KMS.0209, 0210 when it is not enabled; `in-use` while
    /// its material is being changed; what the module and the store report.
    pub fn rotate(&self, alias: &Alias) -> Result<KeyView> {
        self.deadlines.observe();
        self.recorded(AuditEvent::RotateKey, |recording| {
            recording.of_alias(alias);
            self.add_version(&self.ring.find(alias)?, Operation::Rotate, recording)
        })
    }

    /// Turns automatic rotation on, with an interval in days, or off. The first rotation comes one
    /// interval from now.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `wrong-status` with KMS.0312 for an external key, KMS.2901 when
    /// it is on already, KMS.0313 when it is off already; `key-unusable` with KMS.0209, 0210 when
    /// the key is not enabled; `out-of-range` with KMS.3001; what the store reports.
    pub fn set_rotation(&self, alias: &Alias, days: Option<u32>) -> Result<KeyView> {
        let event = match days {
            Some(_) => AuditEvent::EnableKeyRotation,
            None => AuditEvent::DisableKeyRotation,
        };
        self.alter(
            event,
            alias,
            |_| Operation::ScheduleRotation,
            |_, key| {
                let refuse = |what: String, code, remedy: String| {
                    Err(Error::new(ErrorKind::WrongStatus, what).code(code).remedy(remedy))
                };
                match (key.rotation_days, days) {
                    (Some(present), Some(_)) => refuse(
                        format!("key \"{alias}\" rotates every {present} days already"),
                        Code::KMS_2901,
                        format!("for another interval, first: evsfs key rotation {alias} off"),
                    ),
                    (None, None) => refuse(
                        format!("rotation of key \"{alias}\" is not on"),
                        Code::KMS_0313,
                        "nothing to do: it is off".to_owned(),
                    ),
                    (Some(_), None) => {
                        (key.rotation_days, key.rotation_due) = (None, None);
                        Ok(())
                    }
                    (None, Some(days)) => {
                        key.rotation_due = Some(self.rotation_after(days)?);
                        key.rotation_days = Some(days);
                        Ok(())
                    }
                }
            },
        )
    }

    /// Rotates every enabled key whose interval is over, and says which those were. Keys that are
    /// not enabled wait until they are. To be called every few minutes or more often.
    ///
    /// # Errors
    /// The first failure of the module or the store, after all other keys have been tried.
    pub fn rotate_due(&self) -> Result<Vec<KeyView>> {
        self.deadlines.observe();
        let (mut rotated, mut failure) = (Vec::new(), None);
        for key in self.ring.all().iter().filter(|key| self.is_rotation_due(key)) {
            let rotation = self.recorded_until_done(AuditEvent::RotateKey, key, |recording| {
                self.add_version(key, Operation::ScheduleRotation, recording)
            });
            match rotation {
                Ok(view) => rotated.push(view),
                // It is being rotated by hand, or stopped being enabled just now.
                Err(error) if is_refusal(&error) => {}
                Err(error) => {
                    log::warn!("event=key-not-rotated key={} error=\"{error}\"", key.id);
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(rotated),
        }
    }

    /// A date on the word of a clock in doubt is none: it would rotate keys over and over.
    fn is_rotation_due(&self, key: &Key) -> bool {
        key.clone().apply(Operation::ScheduleRotation).is_ok()
            && key.rotation_due.is_some_and(|date| self.deadlines.judge(date) == Deadline::Passed)
    }

    fn add_version(
        &self,
        key: &Key,
        operation: Operation,
        recording: &mut Recording<'_>,
    ) -> Result<KeyView> {
        let id = key.id;
        self.ring.check_record(id)?;
        // Before the claim, so that a key that cannot rotate says why.
        self.rotatable(id, operation)?;
        let _claim = self.claims.take(id, &key.alias)?;
        let version = self.rotatable(id, operation)?.version + 1;
        let cmk = CmkVersion { key: id, version };
        recording.allow()?;
        self.hsm.destroy(cmk)?;
        self.hsm.generate(cmk)?;
        // Looked at again: the module may have taken long, and others did not wait for it.
        let change = self.ring.change();
        let mut key = match self.rotatable(id, operation) {
            Ok(key) => key,
            Err(refusal) => {
                drop(change);
                self.discard(cmk);
                return Err(refusal);
            }
        };
        key.version = version;
        key.rotated.push(self.deadlines.now());
        if let Some(days) = key.rotation_days {
            key.rotation_due = Some(self.rotation_after(days)?);
        }
        // When this fails the new record may be there all the same, so the material stays.
        let key = change.put(key)?;
        log::info!("event=key-rotated key={id} version={version}");
        Ok(key.view())
    }

    /// The key, if it may rotate at this moment.
    fn rotatable(&self, id: KeyId, operation: Operation) -> Result<Key> {
        let mut key = self.ring.require(id)?;
        self.refuse_past_deadline(&key)?;
        key.apply(operation)?;
        Ok(key)
    }

    fn rotation_after(&self, days: u32) -> Result<Timestamp> {
        let refuse = || {
            let (least, most) = (ROTATION_DAYS.start(), ROTATION_DAYS.end());
            Error::new(
                ErrorKind::OutOfRange,
                format!("{days} days between rotations is out of range"),
            )
            .code(Code::KMS_3001)
            .remedy(format!("choose {least} to {most} days"))
        };
        if !ROTATION_DAYS.contains(&days) {
            return Err(refuse());
        }
        let start = self.deadlines.start_of_new();
        start.checked_add(DAY.saturating_mul(days)).map_err(|cause| refuse().caused_by(cause))
    }

    /// Destroys material that no record names.
    pub(super) fn discard(&self, cmk: CmkVersion) {
        if let Err(error) = self.hsm.destroy(cmk) {
            log::warn!("event=material-left-over cmk={cmk} error=\"{error}\"");
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InUse
            | ErrorKind::KeyDisabled
            | ErrorKind::KeyPendingDeletion
            | ErrorKind::KeyGone
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, alias};
    use super::super::hsm::Hsm;
    use super::*;
    use crate::id::DiskId;
    use crate::units::SectorSize;
    use std::sync::Arc;

    const SECTOR: SectorSize = SectorSize::S4096;

    /// RULES K5: new data keys by the newest version, every old version goes on opening.
    #[test]
    fn data_keys_of_every_version_open_and_new_ones_are_made_by_the_newest() {
        let fixture = Fixture::new();
        let key = fixture.create("finance").id;
        let mut made = Vec::new();
        for version in 1..=4 {
            let disk = DiskId::random();
            let wrapped = fixture.kms.generate_dk(key, disk, SECTOR).unwrap();
            assert_eq!(wrapped.version, version);
            let plain = *fixture.kms.open_dk(&wrapped, disk, SECTOR).unwrap().expose();
            made.push((wrapped, disk, plain));
            fixture.clock.advance(DAY);
            assert_eq!(fixture.kms.rotate(&alias("finance")).unwrap().version, version + 1);
        }
        let view = fixture.kms.show(&alias("finance")).unwrap();
        assert_eq!(view.versions.len(), 5);
        assert!(view.versions.is_sorted() && view.versions[0] == view.created);
        let reopened = fixture.reopened();
        for (wrapped, disk, plain) in &made {
            assert_eq!(reopened.open_dk(wrapped, *disk, SECTOR).unwrap().expose(), plain);
        }
    }

    /// RULES K5: rewrap moves one data key to the newest version and changes nothing else.
    #[test]
    fn a_data_key_that_was_wrapped_again_is_the_same_key_under_the_newest_version() {
        let fixture = Fixture::new();
        let (key, disk) = (fixture.create("finance").id, DiskId::random());
        let old = fixture.kms.generate_dk(key, disk, SECTOR).unwrap();
        assert_eq!(fixture.kms.rewrap_dk(&old, disk, SECTOR).unwrap(), None);
        fixture.kms.rotate(&alias("finance")).unwrap();
        let new = fixture.kms.rewrap_dk(&old, disk, SECTOR).unwrap().unwrap();
        assert_eq!(new.version, 2);
        let open = |wrapped| *fixture.kms.open_dk(wrapped, disk, SECTOR).unwrap().expose();
        assert_eq!(open(&new), open(&old));
        let refused = fixture.kms.rewrap_dk(&old, DiskId::random(), SECTOR).unwrap_err();
        assert_eq!(refused.documented_code(), Some(Code::KMS_0208));
        fixture.kms.disable(&alias("finance")).unwrap();
        let refused = fixture.kms.rewrap_dk(&old, disk, SECTOR).unwrap_err();
        assert_eq!(refused.documented_code(), Some(Code::KMS_0209));
    }

    /// The record is written last: a rotation that failed there has changed nothing that is shown,
    /// and the next one replaces what it left in the module.
    #[test]
    fn a_rotation_that_was_interrupted_is_as_if_it_had_not_begun() {
        let fixture = Fixture::new();
        let (key, disk) = (fixture.create("finance").id, DiskId::random());
        fixture.store.fail_below("kms/keys/");
        assert!(fixture.kms.rotate(&alias("finance")).is_err());
        assert_eq!(fixture.hsm.list().unwrap().len(), 2, "material that no record names");
        let reopened = fixture.reopened();
        assert_eq!(reopened.list()[0].version, 1);
        assert_eq!(reopened.rotate(&alias("finance")).unwrap().version, 2);
        let wrapped = reopened.generate_dk(key, disk, SECTOR).unwrap();
        reopened.open_dk(&wrapped, disk, SECTOR).unwrap();
        assert_eq!(fixture.hsm.list().unwrap().len(), 2);
    }

    /// RULES K9: what an interrupted rotation left goes with the key.
    #[test]
    fn a_destroyed_key_leaves_no_version_behind_not_even_an_unfinished_one() {
        let fixture = Fixture::new();
        fixture.create("finance");
        fixture.kms.rotate(&alias("finance")).unwrap();
        fixture.store.fail_below("kms/keys/");
        assert!(fixture.kms.rotate(&alias("finance")).is_err());
        assert_eq!(fixture.hsm.list().unwrap().len(), 3);
        fixture.kms.schedule_deletion(&alias("finance"), 7).unwrap();
        fixture.clock.advance(7 * DAY);
        fixture.kms.destroy_due().unwrap();
        assert!(fixture.hsm.list().unwrap().is_empty());
    }

    #[test]
    fn of_two_who_rotate_at_once_one_is_refused_and_both_leave_one_new_version() {
        let fixture = Fixture::new();
        fixture.create("finance");
        let kms = Arc::clone(&fixture.kms);
        fixture.hsm.meanwhile(move || {
            let refused = kms.rotate(&alias("finance")).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InUse);
        });
        assert_eq!(fixture.kms.rotate(&alias("finance")).unwrap().version, 2);
        assert_eq!(fixture.kms.rotate(&alias("finance")).unwrap().version, 3);
        assert_eq!(fixture.hsm.list().unwrap().len(), 3);
    }

    #[test]
    fn a_key_that_is_rotated_by_hand_when_its_date_comes_fails_no_sweep() {
        let fixture = Fixture::new();
        fixture.create("finance");
        fixture.kms.set_rotation(&alias("finance"), Some(30)).unwrap();
        fixture.clock.advance(31 * DAY);
        let kms = Arc::clone(&fixture.kms);
        fixture.hsm.meanwhile(move || assert!(kms.rotate_due().unwrap().is_empty()));
        assert_eq!(fixture.kms.rotate(&alias("finance")).unwrap().version, 2);
    }

    #[test]
    fn a_sweep_that_cannot_write_says_so() {
        let fixture = Fixture::new();
        fixture.create("finance");
        fixture.kms.set_rotation(&alias("finance"), Some(30)).unwrap();
        fixture.clock.advance(31 * DAY);
        fixture.store.fail_below("kms/keys/");
        assert_eq!(fixture.kms.rotate_due().unwrap_err().kind(), ErrorKind::NoSpace);
    }

    /// RULES K5: keys that are not enabled do not rotate.
    #[test]
    fn a_key_disabled_while_the_module_works_does_not_rotate_and_leaves_no_material() {
        let fixture = Fixture::new();
        fixture.create("finance");
        let kms = Arc::clone(&fixture.kms);
        fixture.hsm.meanwhile(move || {
            kms.disable(&alias("finance")).unwrap();
        });
        let refused = fixture.kms.rotate(&alias("finance")).unwrap_err();
        assert_eq!(refused.documented_code(), Some(Code::KMS_0209));
        assert_eq!(fixture.kms.list()[0].version, 1);
        assert_eq!(fixture.hsm.list().unwrap().len(), 1);
    }

    /// RULES K1, K5: by interval, from when it was turned on.
    #[test]
    fn a_key_rotates_each_time_its_interval_is_over_also_the_default_key() {
        let fixture = Fixture::new();
        let default = fixture.kms.ensure_default().unwrap().alias;
        let versions = || fixture.kms.list()[0].version;
        fixture.clock.advance(400 * DAY);
        fixture.kms.set_rotation(&default, Some(30)).unwrap();
        assert!(fixture.kms.rotate_due().unwrap().is_empty());
        for version in 2..=4 {
            fixture.clock.advance(30 * DAY - Duration::from_secs(1));
            assert!(fixture.kms.rotate_due().unwrap().is_empty());
            fixture.clock.advance(Duration::from_secs(1));
            assert_eq!(fixture.kms.rotate_due().unwrap().len(), 1);
            assert_eq!(versions(), version);
        }
        // However long nobody looked, one rotation makes up for it.
        fixture.clock.advance(300 * DAY);
        assert_eq!(fixture.reopened().rotate_due().unwrap().len(), 1);
        let reopened = fixture.reopened();
        assert_eq!((reopened.list()[0].version, reopened.rotate_due().unwrap().len()), (5, 0));
        reopened.set_rotation(&default, None).unwrap();
        fixture.clock.advance(300 * DAY);
        assert!(reopened.rotate_due().unwrap().is_empty());
    }

    /// RULES K5: disabled and pending keys catch up when they are enabled.
    #[test]
    fn a_key_that_is_not_enabled_waits_and_catches_up() {
        let fixture = Fixture::new();
        let finance = alias("finance");
        fixture.create("finance");
        fixture.kms.set_rotation(&finance, Some(30)).unwrap();
        fixture.kms.disable(&finance).unwrap();
        fixture.clock.advance(45 * DAY);
        assert!(fixture.kms.rotate_due().unwrap().is_empty());
        fixture.kms.schedule_deletion(&finance, 90).unwrap();
        assert!(fixture.kms.rotate_due().unwrap().is_empty());
        fixture.kms.cancel_deletion(&finance).unwrap();
        assert!(fixture.kms.rotate_due().unwrap().is_empty());
        fixture.kms.enable(&finance).unwrap();
        assert_eq!(fixture.kms.rotate_due().unwrap().len(), 1);
        assert!(fixture.kms.rotate_due().unwrap().is_empty());
    }

    /// RULES K10: a clock that runs ahead rotates nothing.
    #[test]
    fn a_clock_in_doubt_rotates_nothing() {
        let fixture = Fixture::new();
        fixture.create("finance");
        fixture.kms.set_rotation(&alias("finance"), Some(30)).unwrap();
        fixture.clock.set_wall(Timestamp::UNIX_EPOCH + 40 * DAY);
        assert!(fixture.kms.rotate_due().unwrap().is_empty());
    }
}
