//! What went on between two answers of `mount.activity`.

use super::object::Object;
use serde_json::Value;
use std::time::Duration;

/// What a disk did in a while.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DiskRates {
    pub name: String,
    pub status: String,
    pub key: String,
    pub key_state: String,
    pub is_attached: bool,
    /// Bytes a second.
    pub read_bytes: f64,
    pub written_bytes: f64,
    /// Requests a second.
    pub reads: f64,
    pub writes: f64,
    pub others: f64,
    /// Of reads, writes and discards; flushes wait for a medium and are told apart.
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    pub flush_p99: Option<Duration>,
    /// Since it was attached.
    pub errors: u64,
    /// Whether there were more of them in this while.
    pub has_new_errors: bool,
    pub unflushed: u64,
    pub open_files: u64,
}

impl DiskRates {
    /// Bytes a second in both directions.
    pub fn throughput(&self) -> f64 {
        self.read_bytes + self.written_bytes
    }

    /// Requests a second of all kinds.
    pub fn operations(&self) -> f64 {
        self.reads + self.writes + self.others
    }
}

/// The rates of all disks of `now`, since `before` or, without it, since they were attached.
pub(super) fn between(before: Option<&Value>, now: &Value) -> Vec<DiskRates> {
    let bounds: Vec<f64> =
        now["bounds"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let clock = |answer: &Value| answer["clock"].as_u64().unwrap_or(0);
    let nanos = before.map_or(0, |before| clock(now).saturating_sub(clock(before)));
    let disks = |answer| Object::list(answer).collect::<Vec<_>>();
    let earlier = before.map(|before| disks(&before["disks"])).unwrap_or_default();
    disks(&now["disks"])
        .into_iter()
        .map(|disk| {
            let is_it = |then: &&Object<'_>| {
                then.text("name") == disk.text("name")
                    && then.get("attachment") == disk.get("attachment")
            };
            let then = earlier.iter().find(is_it).copied();
            // A disk that was attached meanwhile has done all it did in this while.
            DiskSpan { disk, then, seconds: nanos as f64 / 1e9, bounds: &bounds }.rates()
        })
        .collect()
}

/// A disk at two moments.
struct DiskSpan<'a> {
    disk: Object<'a>,
    then: Option<Object<'a>>,
    seconds: f64,
    bounds: &'a [f64],
}

impl DiskSpan<'_> {
    fn rates(&self) -> DiskRates {
        let rate = |operation, what| match self.seconds {
            seconds if seconds > 0.0 => self.grown(operation, what) as f64 / seconds,
            _ => 0.0,
        };
        let all = ["read", "write", "discard", "flush"];
        let data = self.buckets(&all[..3]);
        let number = |key| self.disk.get(key).and_then(Value::as_u64).unwrap_or(0);
        DiskRates {
            name: self.disk.text("name"),
            status: self.disk.text("status"),
            key: self.disk.text("key"),
            key_state: self.disk.text("key_state"),
            is_attached: self.disk.get("attachment").is_some_and(Value::is_u64),
            read_bytes: rate("read", "bytes"),
            written_bytes: rate("write", "bytes"),
            reads: rate("read", "requests"),
            writes: rate("write", "requests"),
            others: rate("discard", "requests") + rate("flush", "requests"),
            p50: quantile(&data, self.bounds, 0.5),
            p99: quantile(&data, self.bounds, 0.99),
            flush_p99: quantile(&self.buckets(&all[3..]), self.bounds, 0.99),
            errors: all.iter().map(|operation| of(self.disk, operation, "errors")).sum(),
            has_new_errors: all.iter().any(|operation| self.grown(operation, "errors") > 0),
            unflushed: number("unflushed"),
            open_files: number("open_files"),
        }
    }

    fn grown(&self, operation: &str, what: &str) -> u64 {
        let then = self.then.map_or(0, |then| of(then, operation, what));
        of(self.disk, operation, what).saturating_sub(then)
    }

    /// How many requests fell into each class meanwhile.
    fn buckets(&self, operations: &[&str]) -> Vec<u64> {
        let of = |disk: Object<'_>, operation: &str| -> Vec<u64> {
            let buckets = disk.get(operation).and_then(|operation| operation.get("buckets"));
            let counts = buckets.and_then(Value::as_array).into_iter().flatten();
            counts.map(|count| count.as_u64().unwrap_or(0)).collect()
        };
        let mut sum = vec![0; self.bounds.len() + 1];
        for operation in operations {
            let then = self.then.map(|then| of(then, operation)).unwrap_or_default();
            for (at, count) in of(self.disk, operation).into_iter().enumerate().take(sum.len()) {
                sum[at] += count.saturating_sub(then.get(at).copied().unwrap_or(0));
            }
        }
        sum
    }
}

fn of(disk: Object<'_>, operation: &str, what: &str) -> u64 {
    disk.get(operation)
        .and_then(|operation| operation.get(what))
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

/// The time that a share of requests took at most, taken as spread evenly over their class; the last
/// bound for the class that has none.
fn quantile(buckets: &[u64], bounds: &[f64], share: f64) -> Option<Duration> {
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    let wanted = total as f64 * share;
    let mut below = 0.0;
    for (class, count) in buckets.iter().enumerate() {
        let count = *count as f64;
        if below + count >= wanted && count > 0.0 {
            let Some(upper) = bounds.get(class) else { break };
            let lower = class.checked_sub(1).and_then(|class| bounds.get(class)).unwrap_or(&0.0);
            let seconds = lower + (upper - lower) * (wanted - below) / count;
            return Duration::try_from_secs_f64(seconds).ok();
        }
        below += count;
    }
    bounds.last().and_then(|last| Duration::try_from_secs_f64(*last).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn disk(attachment: u64, reads: u64, errors: u64) -> Value {
        let of = |requests: u64| {
            json!({"requests": requests, "bytes": requests * 4096, "errors": errors,
                   "nanoseconds": 0, "buckets": [requests / 2, requests - requests / 2, 0, 0]})
        };
        json!({"name": "db", "status": "in-use", "attachment": attachment, "read": of(reads),
               "write": of(0), "discard": of(0), "flush": of(0), "unflushed": 5, "open_files": 1})
    }

    fn answer(seconds: u64, disk: &Value) -> Value {
        let clock = seconds * 1_000_000_000;
        json!({"clock": clock, "bounds": [1e-6, 3e-6, 1.0], "disks": [disk]})
    }

    #[test]
    fn rates_are_what_grew_divided_by_the_time_that_passed() {
        let (before, now) = (answer(10, &disk(1, 100, 0)), answer(12, &disk(1, 300, 1)));
        let rates = &between(Some(&before), &now)[0];
        assert_eq!((rates.reads, rates.read_bytes), (100.0, 409_600.0));
        assert_eq!((rates.writes, rates.others), (0.0, 0.0));
        assert_eq!((rates.errors, rates.has_new_errors), (4, true));
        // Half took up to 1 us, the others up to 3 us.
        assert_eq!(rates.p50, Some(Duration::from_nanos(1_000)));
        assert_eq!(rates.p99, Some(Duration::from_nanos(2_960)));
        assert_eq!(rates.flush_p99, None);
    }

    #[test]
    fn a_disk_that_was_attached_again_counts_from_nothing() {
        let (before, now) = (answer(10, &disk(1, 1_000_000, 9)), answer(12, &disk(2, 300, 0)));
        let rates = &between(Some(&before), &now)[0];
        assert_eq!((rates.reads, rates.has_new_errors), (150.0, false));
    }

    #[test]
    fn one_answer_gives_no_rates_and_another_shape_nothing() {
        let rates = &between(None, &answer(10, &disk(1, 100, 0)))[0];
        assert_eq!((rates.reads, rates.p50.is_some()), (0.0, true));
        assert!(between(None, &json!({})).is_empty());
    }

    #[test]
    fn what_took_longer_than_the_last_bound_is_shown_as_that() {
        assert_eq!(quantile(&[0, 0, 7], &[0.1, 10.0], 0.5), Some(Duration::from_secs(10)));
        assert_eq!(quantile(&[0, 0, 0], &[0.1, 10.0], 0.5), None);
    }
}
