//! Durations as people write them: `30s`, `2m`, `1h`.

use std::time::Duration;

/// Reads digits followed by `s`, `m` or `h`, or says what is wrong as a clause.
///
/// A bare number is refused: its unit would be a guess.
///
/// # Errors
/// The reason, to stand behind the name of what was read.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let seconds_per_unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => 0,
    };
    if number.is_empty() || seconds_per_unit == 0 {
        return Err(format!("{text:?} is not a duration such as \"30s\", \"2m\" or \"1h\""));
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds_per_unit))
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text:?} is too long"))
}

#[cfg(test)]
mod tests {
    use super::parse_duration;
    use std::time::Duration;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        for (text, seconds) in [("0s", 0), ("30s", 30), ("2m", 120), ("1h", 3600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "30", "1.5h", "-1s", "1 s", "1d", "1ms", "18446744073709551615h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
