//! How long things took, by classes of duration.

use std::time::Duration;

/// Bounds of the classes: nanoseconds, and the same in seconds as OpenMetrics writes numbers (those
/// of Go's `%g`). A class holds what took up to its bound and longer than the one before; what took
/// longer than the last is in a class of its own.
pub const BOUNDS: [(u64, &str); 19] = [
    (1_000, "1e-06"),
    (2_000, "2e-06"),
    (5_000, "5e-06"),
    (10_000, "1e-05"),
    (20_000, "2e-05"),
    (50_000, "5e-05"),
    (100_000, "0.0001"),
    (200_000, "0.0002"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_000_000, "0.002"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (20_000_000, "0.02"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (500_000_000, "0.5"),
    (2_000_000_000, "2.0"),
    (10_000_000_000, "10.0"),
];

/// Classes of duration.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// Durations as they were seen at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution {
    /// How many fell into each class of [`BOUNDS`], the endless one last.
    pub counts: [u64; BUCKETS],
    /// All of them together, in nanoseconds.
    pub nanos: u64,
}

impl Distribution {
    /// Nothing was seen yet.
    pub const EMPTY: Distribution = Distribution { counts: [0; BUCKETS], nanos: 0 };

    /// The class of a duration of so many nanoseconds.
    pub fn class_of(nanos: u64) -> usize {
        BOUNDS.partition_point(|(bound, _)| *bound < nanos)
    }

    /// One more.
    pub fn add(&mut self, duration: Duration) {
        let nanos = saturated_nanos(duration);
        self.counts[Distribution::class_of(nanos)] += 1;
        self.nanos = self.nanos.saturating_add(nanos);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many took up to each bound, the endless one last: never less than before.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }
}

pub(super) fn saturated_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_and_their_texts_are_their_seconds() {
        assert!(BOUNDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (nanos, text) in BOUNDS {
            let seconds: f64 = text.parse().unwrap();
            assert!((seconds - nanos as f64 / 1e9).abs() < 1e-12, "{text}");
        }
    }

    #[test]
    fn a_bound_belongs_to_the_class_it_ends() {
        for (class, (bound, _)) in BOUNDS.iter().enumerate() {
            assert_eq!(Distribution::class_of(*bound), class);
            assert_eq!(Distribution::class_of(*bound + 1), class + 1);
        }
        assert_eq!(Distribution::class_of(0), 0);
        assert_eq!(Distribution::class_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn counts_add_up() {
        let mut seen = Distribution::EMPTY;
        for micros in [1, 1, 3, 700, 99_000_000] {
            seen.add(Duration::from_micros(micros));
        }
        assert_eq!(seen.count(), 5);
        let cumulative: Vec<u64> = seen.cumulative().collect();
        assert_eq!((cumulative[0], cumulative[BUCKETS - 2], cumulative[BUCKETS - 1]), (2, 4, 5));
        assert_eq!(seen.nanos, 99_000_705_000);
    }
}
