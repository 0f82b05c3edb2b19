//! The end of a key: scheduled, perhaps cancelled, at last carried out.
//!
//! Order of a destruction (RULES K9), each step durable before the next:
//!
//! 1. the time that has passed is written down, so that no restart makes the deadline one to come,
//!    and the destruction is recorded in the audit log;
//! 2. the module destroys every version of the material;
//! 3. the key's record is removed.
//!
//! A crash after 1 or 2 leaves a record whose deadline has passed: the key is refused as gone, and
//! the next sweep, at the latest when the service is opened, does all steps again.

use super::Kms;
use super::audit_entry::AuditEvent;
use super::clock_watch::Deadline;
use super::key::Key;
use super::key::KeyView;
use super::{KeyState, Operation};
use crate::error::Code;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::Alias;
use jiff::Timestamp;
use std::ops::RangeInclusive;
use std::time::Duration;

/// In how many days from now a key may be destroyed (RULES K1).
pub const DELETION_DAYS: RangeInclusive<u32> = 7..=1096;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Kms {
    /// Makes a key unusable now, and destroys it in `days` days of 24 hours.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `protected` with KMS.0211; `wrong-status` with KMS.1402 when it
    /// is scheduled already; `out-of-range` with KMS.1401; what the store reports.
    pub fn schedule_deletion(&self, alias: &Alias, days: u32) -> Result<KeyView> {
        self.alter(
            AuditEvent::ScheduleKeyDeletion,
            alias,
            |_| Operation::ScheduleDeletion,
            |_, key| self.set_deletion_date(key, days),
        )
    }

    /// The key as [`Kms::schedule_deletion`] would leave it, which is refused what that is refused.
    /// Nothing is written or recorded.
    ///
    /// # Errors
    /// As [`Kms::schedule_deletion`].
    pub fn preview_deletion(&self, alias: &Alias, days: u32) -> Result<KeyView> {
        self.deadlines.observe();
        let mut key = self.key_to_alter(alias)?;
        key.apply(Operation::ScheduleDeletion)?;
        self.set_deletion_date(&mut key, days)?;
        Ok(key.view())
    }

    fn set_deletion_date(&self, key: &mut Key, days: u32) -> Result<()> {
        if !DELETION_DAYS.contains(&days) {
            return Err(days_out_of_range(days));
        }
        let date = self
            .deadlines
            .start_of_new()
            .checked_add(DAY.saturating_mul(days))
            .map_err(|cause| days_out_of_range(days).caused_by(cause))?;
        key.deletion_date = Some(date);
        Ok(())
    }

    /// Keeps a key after all. It is disabled then, or waits for its material if it has none.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `key-gone` with KMS.0207 when its deadline has passed;
    /// `wrong-status` with KMS.1501; what the store reports.
    pub fn cancel_deletion(&self, alias: &Alias) -> Result<KeyView> {
        self.alter(
            AuditEvent::CancelKeyDeletion,
            alias,
            |key| Operation::CancelDeletion(key.material),
            |_, _| Ok(()),
        )
    }

    /// Destroys every key whose deadline has passed, and says which those were. To be called when
    /// [`Kms::next_deadline`] says so, and every few minutes besides: clocks are set.
    ///
    /// # Errors
    /// The first failure of the module or the store, after all other keys have been tried. A key
    /// that could not be destroyed stays refused as gone.
    pub fn destroy_due(&self) -> Result<Vec<KeyView>> {
        self.deadlines.observe();
        let mut due = self.ring.all();
        due.retain(|key| {
            key.deletion_date.is_some_and(|date| self.deadlines.judge(date) == Deadline::Passed)
        });
        if due.is_empty() {
            return Ok(Vec::new());
        }
        self.deadlines.keep()?;
        let mut destroyed = Vec::new();
        let mut failure = None;
        for key in due {
            match self.destroy(&key) {
                Ok(()) => destroyed.push(key.view()),
                Err(error) => {
                    log::error!("event=key-not-destroyed key={} error=\"{error}\"", key.id);
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(destroyed),
        }
    }

    /// Destroys a key whose deadline has passed by a clock that is in doubt (RULES K10), without
    /// waiting until the clock is believed.
    ///
    /// # Errors
    /// `not-found` with KMS.0207; `protected` with KMS.0211; `wrong-status` with KMS.1501 when it
    /// is not pending deletion, without a code when its deadline has not come; what the module and
    /// the store report.
    pub fn confirm_deletion(&self, alias: &Alias) -> Result<KeyView> {
        self.deadlines.observe();
        self.recorded(AuditEvent::DeleteKey, |recording| {
            recording.of_alias(alias);
            let change = self.ring.change();
            let mut key = self.ring.find(alias)?;
            self.ring.check_record(key.id)?;
            key.clone().apply(Operation::Destroy)?;
            let is_doubted = match key.deletion_date.map(|date| self.deadlines.judge(date)) {
                Some(Deadline::Passed) => false,
                Some(Deadline::Doubted) => true,
                Some(Deadline::Ahead) | None => {
                    return Err(Error::new(
                        ErrorKind::WrongStatus,
                        format!("the deletion date of key \"{alias}\" has not come"),
                    )
                    .remedy(format!("evsfs key show {alias}")));
                }
            };
            recording.allow()?;
            if is_doubted {
                // The administrator's word is kept in the record, as a deadline beyond doubt, so
                // that a crash from here on ends in destruction too.
                key.deletion_date = Some(self.deadlines.settled());
            }
            self.deadlines.keep()?;
            if is_doubted {
                key = change.put(key)?;
            }
            drop(change);
            self.carry_out(&key)?;
            Ok(key.view())
        })
    }

    /// Until when, by the wall clock, the destruction of a key waits whose deadline has passed by a
    /// clock that is in doubt; `None` when none waits.
    pub fn deletion_waits_until(&self, key: &KeyView) -> Option<Timestamp> {
        let date = key.deletion_date?;
        self.deadlines.observe();
        if self.deadlines.judge(date) != Deadline::Doubted {
            return None;
        }
        self.deadlines.now().checked_add(self.deadlines.time_until(date)).ok()
    }

    /// How long until [`Kms::destroy_due`] may have something to do, if nobody sets the clock;
    /// `None` when no key is pending deletion.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.observe();
        let keys = self.ring.all();
        let dates = keys.iter().filter(|key| key.state == KeyState::PendingDeletion);
        dates.filter_map(|key| key.deletion_date).map(|date| self.deadlines.time_until(date)).min()
    }

    fn destroy(&self, key: &Key) -> Result<()> {
        self.recorded_until_done(AuditEvent::DeleteKey, key, |recording| {
            recording.allow()?;
            self.carry_out(key)
        })
    }

    /// Steps 2 and 3 of a destruction. A passed deadline is never taken back, so no lock is needed
    /// over the module's part, and two sweeps at once do no harm.
    fn carry_out(&self, key: &Key) -> Result<()> {
        for cmk in key.versions().chain([key.next_version()]) {
            self.hsm.destroy(cmk)?;
        }
        self.import_keys.forget(key.id);
        self.ring.change().remove(key.id)?;
        log::info!("event=key-destroyed key={}", key.id);
        Ok(())
    }
}

fn days_out_of_range(days: u32) -> Error {
    let (least, most) = (DELETION_DAYS.start(), DELETION_DAYS.end());
    Error::new(ErrorKind::OutOfRange, format!("{days} days until deletion is out of range"))
        .code(Code::KMS_1401)
        .remedy(format!("choose {least} to {most} days"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, alias};
    use super::super::hsm::Hsm;
    use super::*;
    use crate::crypto::WrappedDk;
    use crate::id::DiskId;
    use crate::units::SectorSize;
    use std::sync::atomic::Ordering;

    fn with_a_key_past_its_deadline() -> (Fixture, WrappedDk, DiskId) {
        let fixture = Fixture::new();
        let (key, disk) = (fixture.create("finance").id, DiskId::random());
        let wrapped = fixture.kms.generate_dk(key, disk, SectorSize::S4096).unwrap();
        fixture.kms.schedule_deletion(&alias("finance"), 7).unwrap();
        fixture.clock.advance(7 * DAY);
        (fixture, wrapped, disk)
    }

    /// RULES K9: what the module could not do at once is refused meanwhile and done later.
    #[test]
    fn a_key_the_module_could_not_destroy_is_gone_all_the_same_and_tried_again() {
        let (fixture, wrapped, disk) = with_a_key_past_its_deadline();
        fixture.hsm.refuses_to_destroy.store(true, Ordering::Relaxed);
        assert_eq!(fixture.kms.destroy_due().unwrap_err().kind(), ErrorKind::KmsUnreachable);
        let refused = fixture.kms.open_dk(&wrapped, disk, SectorSize::S4096);
        assert_eq!(refused.err().unwrap().documented_code(), Some(Code::KMS_0207));
        let refused = fixture.kms.cancel_deletion(&alias("finance")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::KeyGone);
        assert_eq!(fixture.kms.next_deadline(), Some(Duration::ZERO));
        // A module that does not answer keeps nobody from opening the service.
        assert_eq!(fixture.reopened().list().len(), 1);

        fixture.hsm.refuses_to_destroy.store(false, Ordering::Relaxed);
        assert!(fixture.reopened().list().is_empty());
        assert!(fixture.hsm.list().unwrap().is_empty());
    }

    /// RULES K9: a crash after the material went and before the record did, with a clock that is
    /// wrong at the restart.
    #[test]
    fn a_destruction_that_was_interrupted_is_finished_whatever_the_clock_says() {
        let (fixture, ..) = with_a_key_past_its_deadline();
        // The time and the audit log are written; the next write is the removal.
        fixture.store.fail_below("kms/keys/");
        assert!(fixture.kms.destroy_due().is_err());
        assert!(fixture.hsm.list().unwrap().is_empty());
        fixture.clock.set_wall(jiff::Timestamp::UNIX_EPOCH);
        assert!(fixture.reopened().list().is_empty());
    }

    /// RULES K10: nothing is destroyed on the word of a clock whose word is not kept.
    #[test]
    fn a_time_that_cannot_be_written_down_destroys_nothing() {
        let (fixture, ..) = with_a_key_past_its_deadline();
        fixture.kms.next_deadline();
        fixture.store.fail_after(Some(0));
        assert_eq!(fixture.kms.destroy_due().unwrap_err().kind(), ErrorKind::NoSpace);
        assert_eq!(fixture.hsm.list().unwrap().len(), 1);
    }

    /// RULES K10: what was written down a moment ago is not what has passed since.
    #[test]
    fn a_deadline_between_two_writes_of_the_time_is_written_down_before_the_key_is_destroyed() {
        let fixture = Fixture::new();
        fixture.create("finance");
        fixture.kms.schedule_deletion(&alias("finance"), 7).unwrap();
        fixture.clock.advance(7 * DAY - Duration::from_secs(30));
        assert!(fixture.kms.destroy_due().unwrap().is_empty());
        fixture.clock.advance(Duration::from_secs(30));
        fixture.store.fail_below("kms/clock.toml");
        assert_eq!(fixture.kms.destroy_due().unwrap_err().kind(), ErrorKind::NoSpace);
        assert_eq!(fixture.hsm.list().unwrap().len(), 1);
    }

    /// RULES K10: until when, for who asks what became of the key.
    #[test]
    fn a_key_whose_date_has_passed_by_a_doubted_clock_says_until_when_it_waits() {
        let fixture = Fixture::new();
        let other = fixture.create("other");
        fixture.create("finance");
        let key = fixture.kms.schedule_deletion(&alias("finance"), 7).unwrap();
        assert_eq!(fixture.kms.deletion_waits_until(&key), None);
        let wrong = jiff::Timestamp::UNIX_EPOCH + 8 * DAY;
        fixture.clock.set_wall(wrong);
        assert_eq!(fixture.kms.deletion_waits_until(&key), Some(wrong + DAY));
        assert_eq!(fixture.kms.deletion_waits_until(&other), None);
    }

    /// RULES K10: the administrator's word outlives a crash.
    #[test]
    fn a_confirmed_deletion_that_was_interrupted_is_finished_at_the_next_opening() {
        let fixture = Fixture::new();
        fixture.create("finance");
        fixture.kms.schedule_deletion(&alias("finance"), 30).unwrap();
        fixture.clock.set_wall(jiff::Timestamp::UNIX_EPOCH + 40 * DAY);
        fixture.hsm.refuses_to_destroy.store(true, Ordering::Relaxed);
        assert!(fixture.kms.confirm_deletion(&alias("finance")).is_err());
        fixture.hsm.refuses_to_destroy.store(false, Ordering::Relaxed);
        assert!(fixture.reopened().list().is_empty());
    }
}
