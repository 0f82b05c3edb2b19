//! How far a job has got, and how fast.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Over how long a rate is taken: long enough not to flicker.
const WINDOW: Duration = Duration::from_secs(2);

/// What has been done of what there is to do, in the job's unit.
#[derive(Debug, Default)]
pub struct Progress {
    // Counters that are only shown: nothing is published through them.
    done: AtomicU64,
    total: AtomicU64,
    meter: Mutex<Option<Meter>>,
}

#[derive(Debug, Clone, Copy)]
struct Meter {
    since: Instant,
    done_then: u64,
    last_rate: Option<f64>,
}

impl Progress {
    /// With this much to do; 0 for what is not known yet.
    pub fn of(done: u64, total: u64) -> Progress {
        Progress { done: done.into(), total: total.into(), meter: Mutex::new(None) }
    }

    /// Begins to measure.
    pub fn begin(&self, now: Instant) {
        self.done.store(0, Ordering::Relaxed);
        *self.meter.lock() = Some(Meter { since: now, done_then: 0, last_rate: None });
    }

    /// Ends measuring: nothing has a rate that does not run.
    pub fn end(&self) {
        *self.meter.lock() = None;
    }

    /// More has been done.
    pub fn add(&self, amount: u64, now: Instant) {
        let done = self.done.fetch_add(amount, Ordering::Relaxed).saturating_add(amount);
        if let Some(meter) = &mut *self.meter.lock()
            && now.saturating_duration_since(meter.since) >= WINDOW
        {
            *meter = Meter { since: now, done_then: done, last_rate: Some(meter.rate(done, now)) };
        }
    }

    /// What there is to do has become known.
    pub fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// What has been done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// What there is to do, where it is known: at least what has been done.
    pub fn total(&self) -> Option<u64> {
        let total = Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0);
        total.map(|total| total.max(self.done()))
    }

    /// Percent done, where the total is known; 100 only when all is.
    pub fn percent(&self) -> Option<u64> {
        let total = self.total()?;
        let percent = u128::from(self.done().min(total)) * 100 / u128::from(total);
        u64::try_from(percent).ok()
    }

    /// Units a second, lately.
    pub fn rate(&self, now: Instant) -> f64 {
        self.meter.lock().map_or(0.0, |meter| meter.rate(self.done(), now))
    }

    /// How long the rest takes at the present rate, where that can be said.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        let rest = self.total()?.saturating_sub(self.done());
        let rate = self.rate(now);
        // A guess for people: rounding does not matter. One of years is none.
        Duration::try_from_secs_f64(rest as f64 / rate).ok().filter(|_| rate > 0.0)
    }
}

impl Meter {
    fn rate(&self, done: u64, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.since).as_secs_f64();
        let lately = done.saturating_sub(self.done_then) as f64 / elapsed.max(0.001);
        match self.last_rate {
            // A window that has just begun says little.
            Some(last) => {
                let weight = (elapsed / WINDOW.as_secs_f64()).min(1.0);
                last * (1.0 - weight) + lately * weight
            }
            None => lately,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_remaining_time_follow_what_is_done() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let progress = Progress::of(0, 1000);
        assert_eq!((progress.percent(), progress.remaining(start)), (Some(0), None));
        progress.begin(start);
        for second in 1..=4 {
            progress.add(100, at(second));
        }
        assert!((90.0..110.0).contains(&progress.rate(at(4))), "{}", progress.rate(at(4)));
        assert_eq!((progress.done(), progress.percent()), (400, Some(40)));
        let remaining = progress.remaining(at(4)).unwrap();
        assert!((5..8).contains(&remaining.as_secs()), "{remaining:?}");
        // It stands still: the rate falls.
        assert!(progress.rate(at(60)) < 2.0);
        progress.end();
        assert_eq!(progress.rate(at(60)), 0.0);
    }

    #[test]
    fn an_unknown_total_has_no_percentage() {
        let progress = Progress::of(5, 0);
        assert_eq!((progress.total(), progress.percent()), (None, None));
        let progress = Progress::of(999, 1000);
        assert_eq!(progress.percent(), Some(99));
    }
}
