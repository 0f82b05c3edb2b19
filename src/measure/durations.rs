//! Durations that threads add to.

use super::distribution::{BUCKETS, Distribution, saturated_nanos};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long things took. Relaxed: the numbers order nothing.
#[derive(Debug, Default)]
pub struct Durations {
    counts: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Durations {
    /// One more.
    pub fn add(&self, duration: Duration) {
        let nanos = saturated_nanos(duration);
        self.counts[Distribution::class_of(nanos)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Adds what there is to `seen`.
    pub fn add_to(&self, seen: &mut Distribution) {
        for (seen, count) in seen.counts.iter_mut().zip(&self.counts) {
            *seen += count.load(Ordering::Relaxed);
        }
        seen.nanos = seen.nanos.saturating_add(self.nanos.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_seen_as_by_the_plain_distribution() {
        let (durations, mut plain) = (Durations::default(), Distribution::EMPTY);
        for nanos in [0, 1, 999, 1_000, 1_001, 123_456, 10_000_000_001] {
            durations.add(Duration::from_nanos(nanos));
            plain.add(Duration::from_nanos(nanos));
        }
        let mut seen = Distribution::EMPTY;
        durations.add_to(&mut seen);
        assert_eq!(seen, plain);
        assert_eq!(durations.count(), 7);
    }
}
