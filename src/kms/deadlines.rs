//! The deadlines of keys, judged by a clock that may be set.

use super::clock_watch::ClockRecord;
use super::clock_watch::ClockWatch;
use super::clock_watch::Deadline;
use crate::error::Result;
use crate::records::RecordPath;
use crate::records::Records;
use crate::sync::Mutex;
use crate::sys::Clock;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

const RECORD: &str = "kms/clock.toml";

/// The clock, what has been seen of it, and the record of that.
pub(super) struct Deadlines {
    clock: Arc<dyn Clock>,
    records: Records,
    time: Mutex<Time>,
}

/// What the lock protects. It is held while the record is written, which is once a minute at most
/// and takes no other lock.
struct Time {
    watch: ClockWatch,
    kept: Option<ClockRecord>,
}

impl Deadlines {
    /// Begins to watch the clock, going on from the record of an earlier watch.
    ///
    /// # Errors
    /// `integrity` when that record was edited.
    pub fn begin(records: Records, clock: Arc<dyn Clock>) -> Result<Self> {
        let kept: Option<ClockRecord> = records.load(&RecordPath::parse(RECORD)?)?;
        let watch = ClockWatch::begin(kept.as_ref(), clock.now(), clock.monotonic());
        Ok(Deadlines { clock, records, time: Mutex::new(Time { watch, kept }) })
    }

    /// Reads the clock. Every verb begins with this, so that a step is seen and a passed deadline
    /// counts whether or not anybody swept.
    pub fn observe(&self) {
        let mut time = self.time.lock();
        let was_in_doubt = time.watch.is_in_doubt();
        time.watch.observe(self.clock.now(), self.clock.monotonic());
        if time.watch.is_in_doubt() && !was_in_doubt {
            log::warn!(
                "event=clock-step wall={} settled={}",
                self.clock.now(),
                time.watch.settled()
            );
        }
        let record = time.watch.to_record();
        if time.kept.as_ref().is_none_or(|kept| kept.is_outdated_by(&record))
            && let Err(error) = self.write(&mut time, record)
        {
            // What is lost is protection over a restart; nothing is destroyed before it is kept.
            log::warn!("event=clock-record-not-written error=\"{error}\"");
        }
    }

    /// What a deadline is, by the last reading.
    pub fn judge(&self, deadline: Timestamp) -> Deadline {
        self.time.lock().watch.judge(deadline)
    }

    /// The moment from which a new deadline is counted: now, but never earlier than what has
    /// certainly passed.
    pub fn start_of_new(&self) -> Timestamp {
        self.settled().max(self.clock.now())
    }

    /// The moment that has certainly passed.
    pub fn settled(&self) -> Timestamp {
        self.time.lock().watch.settled()
    }

    /// How long until a deadline may have passed.
    pub fn time_until(&self, deadline: Timestamp) -> Duration {
        self.time.lock().watch.time_until(deadline)
    }

    /// Writes down what has certainly passed, so that no restart takes it back.
    ///
    /// # Errors
    /// What the store reports.
    pub fn keep(&self) -> Result<()> {
        let mut time = self.time.lock();
        let record = time.watch.to_record();
        self.write(&mut time, record)
    }

    /// The wall clock, for dates that decide nothing.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time since an arbitrary start, for waits that no clock setting shortens.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn write(&self, time: &mut Time, record: ClockRecord) -> Result<()> {
        self.records.save(&RecordPath::parse(RECORD)?, &record)?;
        time.kept = Some(record);
        Ok(())
    }
}
