//! Holding work back to so many units a second.

use std::time::{Duration, Instant};

/// How much may be caught up after a pause: little, or a limit would be none after a slow start.
const SLACK: Duration = Duration::from_millis(100);

/// Says how long to wait after each piece of work.
#[derive(Debug)]
pub struct Limit {
    per_second: u64,
    /// When the next piece may begin.
    next: Instant,
}

impl Limit {
    /// So many units a second, at least one.
    pub fn new(per_second: u64, now: Instant) -> Limit {
        Limit { per_second: per_second.max(1), next: now }
    }

    /// When work may go on after `amount` more units were done.
    pub fn spend(&mut self, amount: u64, now: Instant) -> Instant {
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        // Rounding is far below the clock's grain.
        let cost = Duration::try_from_secs_f64(amount as f64 / self.per_second as f64)
            .unwrap_or(Duration::MAX);
        self.next = self.next.max(earliest).checked_add(cost).unwrap_or(now + SLACK);
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_held_to_its_limit_and_a_pause_is_not_caught_up() {
        let start = Instant::now();
        let mut limit = Limit::new(1000, start);
        let mut now = start;
        for _ in 0..50 {
            now = limit.spend(100, now).max(now);
        }
        assert_eq!(now.duration_since(start), Duration::from_secs(5));
        let later = now + Duration::from_secs(60);
        assert!(limit.spend(100, later) <= later);
        let held = limit.spend(1000, later).duration_since(later);
        assert!((Duration::from_millis(900)..=Duration::from_secs(1)).contains(&held), "{held:?}");
    }
}
