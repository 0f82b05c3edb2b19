//! Which time deadlines are judged by (RULES K10).
//!
//! Three times matter:
//!
//! * the wall clock, which an administrator or NTP may set;
//! * the expected time: a wall-clock reading taken earlier plus the monotonic time since;
//! * the settled time, which is what has certainly passed. It never goes back, not over a restart
//!   either, since it is kept in a record.
//!
//! While the wall clock is at most an hour ahead of the expected time it is believed, and the
//! settled time follows it. When it is further ahead it is in doubt: the settled time follows the
//! expected time until the clock is put right or 24 h of monotonic time have passed, after which
//! the clock is believed. A doubt survives a restart. Steps add up: the expected time is measured
//! from one anchor, so many small steps are one large one.
//!
//! Not seen: a clock that is set forward while the daemon is not running.

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use std::time::Duration;

/// A wall clock further ahead than this is in doubt.
const LARGEST_STEP: SignedDuration = SignedDuration::from_hours(1);
/// How long a doubt lasts, in monotonic time.
const DOUBT: Duration = Duration::from_secs(24 * 60 * 60);
/// How far the record may trail behind what it keeps.
const RECORD_TRAIL: Duration = Duration::from_secs(60);

/// What is kept of it over a restart: `kms/clock.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockRecord {
    settled: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    doubt_seconds_left: Option<u64>,
}

/// The judge of deadlines.
#[derive(Debug)]
pub(super) struct ClockWatch {
    settled: Timestamp,
    wall: Timestamp,
    monotonic: Duration,
    anchor: (Timestamp, Duration),
    doubt: Option<Doubt>,
}

/// A wall clock that is not believed.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// The monotonic time at which it will be.
    until: Duration,
    /// How far ahead it was when `until` was set, or less when it came closer since.
    ahead: SignedDuration,
}

/// What a deadline is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    /// It has not come.
    Ahead,
    /// It has passed by a wall clock that is in doubt.
    Doubted,
    /// It has passed.
    Passed,
}

impl ClockWatch {
    /// Begins to watch, from what was kept of an earlier watch.
    pub fn begin(kept: Option<&ClockRecord>, wall: Timestamp, monotonic: Duration) -> Self {
        let mut watch = ClockWatch {
            settled: kept.map_or(wall, |kept| kept.settled),
            wall,
            monotonic,
            anchor: (wall, monotonic),
            doubt: None,
        };
        if let Some(ClockRecord { settled, doubt_seconds_left: Some(left) }) = kept {
            let left = Duration::from_secs(*left).min(DOUBT);
            watch.anchor = (*settled, monotonic);
            watch.doubt = Some(Doubt {
                until: monotonic.saturating_add(left),
                ahead: wall.duration_since(*settled),
            });
        }
        watch.observe(wall, monotonic);
        watch
    }

    /// Takes a reading of both clocks.
    pub fn observe(&mut self, wall: Timestamp, monotonic: Duration) {
        // Threads may arrive with their readings in another order than they took them.
        self.monotonic = self.monotonic.max(monotonic);
        self.wall = wall;
        let ahead = wall.duration_since(self.expected());
        if ahead <= LARGEST_STEP {
            self.doubt = None;
            if ahead < -LARGEST_STEP {
                // Set back: what comes after is measured from here, lest a later step forward by
                // the same amount be taken for the clock put right.
                self.anchor = (wall, self.monotonic);
            }
            self.settled = self.settled.max(wall);
            return;
        }
        match &mut self.doubt {
            Some(doubt) if ahead <= doubt.ahead + LARGEST_STEP => {
                doubt.ahead = doubt.ahead.min(ahead);
                if self.monotonic >= doubt.until {
                    self.doubt = None;
                    self.anchor = (wall, self.monotonic);
                    self.settled = self.settled.max(wall);
                    return;
                }
            }
            _ => {
                let until = self.monotonic.saturating_add(DOUBT);
                self.doubt = Some(Doubt { until, ahead });
            }
        }
        self.settled = self.settled.max(self.expected());
    }

    /// What a deadline is, by the last reading.
    pub fn judge(&self, deadline: Timestamp) -> Deadline {
        if deadline <= self.settled {
            Deadline::Passed
        } else if deadline <= self.wall {
            Deadline::Doubted
        } else {
            Deadline::Ahead
        }
    }

    /// How long until a deadline may have passed, if nobody sets the clock.
    pub fn time_until(&self, deadline: Timestamp) -> Duration {
        if self.judge(deadline) == Deadline::Passed {
            return Duration::ZERO;
        }
        let from = if self.doubt.is_some() { self.expected() } else { self.wall };
        let left = Duration::try_from(deadline.duration_since(from)).unwrap_or(Duration::ZERO);
        match self.doubt {
            Some(doubt) if self.judge(deadline) == Deadline::Doubted => {
                left.min(doubt.until.saturating_sub(self.monotonic))
            }
            _ => left,
        }
    }

    /// The latest moment that has certainly passed.
    pub fn settled(&self) -> Timestamp {
        self.settled
    }

    /// Whether the wall clock is in doubt.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// What to keep over a restart.
    pub fn to_record(&self) -> ClockRecord {
        let left = self.doubt.map(|doubt| doubt.until.saturating_sub(self.monotonic).as_secs());
        ClockRecord { settled: self.settled, doubt_seconds_left: left }
    }
}

impl ClockWatch {
    /// What the wall clock would show had nobody set it.
    fn expected(&self) -> Timestamp {
        let passed = self.monotonic.saturating_sub(self.anchor.1);
        // Fails only for calendar units, which a Duration has not.
        self.anchor.0.saturating_add(passed).unwrap_or(self.anchor.0)
    }
}

impl ClockRecord {
    /// Whether `newer` says so much more that it must be written.
    pub fn is_outdated_by(&self, newer: &ClockRecord) -> bool {
        let progress = newer.settled.duration_since(self.settled);
        progress >= SignedDuration::try_from(RECORD_TRAIL).unwrap_or(SignedDuration::ZERO)
            || self.doubt_seconds_left.is_some() != newer.doubt_seconds_left.is_some()
            || self.doubt_seconds_left.unwrap_or(0).abs_diff(newer.doubt_seconds_left.unwrap_or(0))
                >= RECORD_TRAIL.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;

    fn wall(seconds: u64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + i64::try_from(seconds).unwrap()).unwrap()
    }

    fn passed(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn begun() -> ClockWatch {
        ClockWatch::begin(None, wall(0), passed(0))
    }

    #[test]
    fn time_that_passes_on_both_clocks_is_believed() {
        let mut watch = begun();
        watch.observe(wall(30 * DAY), passed(30 * DAY));
        assert_eq!(watch.judge(wall(30 * DAY)), Deadline::Passed);
        assert_eq!(watch.judge(wall(30 * DAY + 1)), Deadline::Ahead);
        assert_eq!(watch.time_until(wall(31 * DAY)), passed(DAY));
    }

    /// RULES K10: a backward step never revives a key.
    #[test]
    fn a_backward_step_takes_nothing_back_also_over_a_restart() {
        let mut watch = begun();
        watch.observe(wall(10 * DAY), passed(10 * DAY));
        watch.observe(wall(0), passed(10 * DAY));
        assert_eq!(watch.judge(wall(10 * DAY)), Deadline::Passed);
        let watch = ClockWatch::begin(Some(&watch.to_record()), wall(0), passed(0));
        assert_eq!(watch.judge(wall(10 * DAY)), Deadline::Passed);
    }

    /// RULES K10: after a forward step of more than an hour, 24 h of monotonic time must pass.
    #[test]
    fn a_forward_step_is_doubted_for_24_hours() {
        let mut watch = begun();
        watch.observe(wall(8 * DAY), passed(10));
        let deadline = wall(7 * DAY);
        assert_eq!(watch.judge(deadline), Deadline::Doubted);
        assert_eq!(watch.time_until(deadline), passed(DAY));
        watch.observe(wall(9 * DAY - 1), passed(DAY + 9));
        assert_eq!(watch.judge(deadline), Deadline::Doubted);
        watch.observe(wall(9 * DAY), passed(DAY + 10));
        assert_eq!(watch.judge(deadline), Deadline::Passed);
    }

    #[test]
    fn a_step_of_an_hour_is_believed_and_many_small_ones_are_one_large_one() {
        let mut watch = begun();
        watch.observe(wall(HOUR), passed(0));
        assert!(!watch.is_in_doubt());
        watch.observe(wall(HOUR + 1), passed(0));
        assert!(watch.is_in_doubt());
    }

    /// Each is little enough to be believed; together they are days.
    #[test]
    fn half_hours_forward_are_not_believed_one_after_the_other() {
        let mut watch = begun();
        watch.observe(wall(HOUR / 2), passed(0));
        watch.observe(wall(HOUR), passed(0));
        assert!(!watch.is_in_doubt());
        watch.observe(wall(3 * HOUR / 2), passed(0));
        assert!(watch.is_in_doubt());
    }

    #[test]
    fn an_hour_back_and_forward_again_is_no_step() {
        let mut watch = begun();
        watch.observe(wall(DAY - HOUR), passed(DAY));
        watch.observe(wall(DAY + HOUR), passed(DAY));
        assert!(!watch.is_in_doubt());
    }

    #[test]
    fn a_deadline_ahead_of_a_doubted_clock_is_waited_for_by_the_time_that_has_passed() {
        let mut watch = begun();
        watch.observe(wall(8 * DAY), passed(10));
        assert_eq!(watch.judge(wall(30 * DAY)), Deadline::Ahead);
        assert_eq!(watch.time_until(wall(30 * DAY)), passed(30 * DAY - 10));
    }

    #[test]
    fn a_clock_put_right_ends_the_doubt_and_the_deadline_is_ahead_again() {
        let mut watch = begun();
        watch.observe(wall(8 * DAY), passed(10));
        watch.observe(wall(20), passed(20));
        assert!(!watch.is_in_doubt());
        watch.observe(wall(2 * DAY), passed(2 * DAY));
        assert_eq!(watch.judge(wall(7 * DAY)), Deadline::Ahead);
    }

    #[test]
    fn a_second_step_during_the_doubt_begins_it_anew() {
        let mut watch = begun();
        watch.observe(wall(2 * HOUR), passed(0));
        watch.observe(wall(365 * DAY), passed(23 * HOUR));
        watch.observe(wall(365 * DAY + 2 * HOUR), passed(DAY + HOUR));
        assert_eq!(watch.judge(wall(364 * DAY)), Deadline::Doubted);
        watch.observe(wall(366 * DAY), passed(2 * DAY));
        assert_eq!(watch.judge(wall(364 * DAY)), Deadline::Passed);
    }

    #[test]
    fn a_doubt_survives_a_restart_with_the_time_it_had_left() {
        let mut watch = begun();
        watch.observe(wall(8 * DAY), passed(10));
        watch.observe(wall(8 * DAY + 20 * HOUR), passed(10 + 20 * HOUR));
        let record = watch.to_record();
        let mut watch = ClockWatch::begin(Some(&record), wall(9 * DAY), passed(0));
        assert_eq!(watch.judge(wall(7 * DAY)), Deadline::Doubted);
        watch.observe(wall(9 * DAY + 4 * HOUR), passed(4 * HOUR));
        assert_eq!(watch.judge(wall(7 * DAY)), Deadline::Passed);
    }

    #[test]
    fn a_forward_step_that_follows_a_backward_one_is_doubted() {
        let mut watch = begun();
        watch.observe(wall(100 * DAY), passed(100 * DAY));
        watch.observe(wall(0), passed(100 * DAY));
        watch.observe(wall(100 * DAY), passed(100 * DAY));
        assert!(watch.is_in_doubt());
    }

    #[test]
    fn readings_at_the_ends_of_time_do_not_overflow() {
        let mut watch = ClockWatch::begin(None, Timestamp::MIN, Duration::ZERO);
        watch.observe(Timestamp::MAX, Duration::MAX);
        watch.observe(Timestamp::MIN, Duration::ZERO);
        watch.observe(Timestamp::MAX, Duration::MAX);
        let record = watch.to_record();
        ClockWatch::begin(Some(&record), Timestamp::MIN, Duration::MAX);
        watch.time_until(Timestamp::MAX);
    }
}
