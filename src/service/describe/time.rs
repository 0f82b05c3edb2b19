//! Moments.

/// A moment as answers show it: RFC 3339, whole seconds, UTC.
pub(in crate::service) fn shown_time(moment: jiff::Timestamp) -> String {
    jiff::Timestamp::from_second(moment.as_second()).unwrap_or(moment).to_string()
}
