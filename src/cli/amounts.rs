//! Numbers as people read them, with few digits.

use crate::units::ByteLen;
use std::time::Duration;

/// Bytes with at most one digit behind the point: `1.2G`.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [(1u64 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, letter)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole}{letter}"),
                (whole, tenth) => format!("{whole}.{tenth}{letter}"),
            }
        }
        None => ByteLen::new(bytes).to_string(),
    }
}

/// A number with three digits or four: `950`, `12.3k`, `1.2M`.
pub(super) fn count(number: f64) -> String {
    match number {
        ..9.95 if number > 0.0 && number.fract() > 0.05 => format!("{number:.1}"),
        ..999.5 => format!("{number:.0}"),
        ..999_500.0 => scaled(number / 1e3, 'k'),
        ..999_500_000.0 => scaled(number / 1e6, 'M'),
        _ => scaled(number / 1e9, 'G'),
    }
}

fn scaled(number: f64, unit: char) -> String {
    match number {
        ..99.95 => format!("{number:.1}{unit}"),
        _ => format!("{number:.0}{unit}"),
    }
}

/// A time a request took: `850ns`, `3.2us`, `1.2ms`, `1.5s`; with `micro` in the place of the `u`.
pub(super) fn time(time: Duration, micro: char) -> String {
    let nanos = time.as_nanos() as f64;
    let (number, unit) = match nanos {
        ..999.5 => return format!("{nanos:.0}ns"),
        ..999_500.0 => (nanos / 1e3, format!("{micro}s")),
        ..999_500_000.0 => (nanos / 1e6, "ms".to_owned()),
        _ => (nanos / 1e9, "s".to_owned()),
    };
    match number {
        ..9.95 => format!("{number:.1}{unit}"),
        _ => format!("{number:.0}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_few_digits() {
        for (number, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (3.0, "3"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (12_345.0, "12.3k"),
            (200_000.0, "200k"),
            (1_250_000.0, "1.2M"),
        ] {
            assert_eq!(count(number), text);
        }
        for (nanos, text) in [
            (0, "0ns"),
            (850, "850ns"),
            (3_210, "3.2us"),
            (64_000, "64us"),
            (999_700, "1.0ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "60s"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanos), 'u'), text);
        }
        assert_eq!((bytes(1_288_490_188).as_str(), bytes(512).as_str()), ("1.1G", "512"));
    }
}
