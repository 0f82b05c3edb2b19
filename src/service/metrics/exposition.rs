//! The text format: families, their samples, and how both are written.

use crate::measure::{BOUNDS, Distribution};
use std::fmt::Write;

/// What a family holds, in the words of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only rises, from 0 at a restart.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Texts, in labels; the value is 1.
    Info,
    /// Which of some states holds: one sample each.
    StateSet,
    /// Durations.
    Histogram,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
            Kind::Histogram => "histogram",
        }
    }
}

/// A page under construction.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// A family whose samples are being added. All of them, before the next family begins: the format
/// wants them together, and the borrow sees to it.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

/// Names and values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family. Its name ends in its unit if it has one; `help` is one sentence.
    pub fn family(
        &mut self,
        name: &'static str,
        kind: Kind,
        unit: &'static str,
        help: &str,
    ) -> Family<'_> {
        debug_assert!(unit.is_empty() || name.ends_with(&format!("_{unit}")), "{name} in {unit}");
        let text = &mut self.text;
        text.push_str(&format!("# TYPE {name} {}\n", kind.name()));
        if !unit.is_empty() {
            text.push_str(&format!("# UNIT {name} {unit}\n"));
        }
        text.push_str(&format!("# HELP {name} {}\n", escaped(help)));
        Family { text, name }
    }

    /// The page.
    pub fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }
}

impl Family<'_> {
    /// A sample of a counter.
    pub fn total(&mut self, labels: Labels<'_>, value: u64) {
        self.sample("_total", labels, None, value);
    }

    /// A sample of a gauge.
    pub fn gauge(&mut self, labels: Labels<'_>, value: impl std::fmt::Display) {
        self.sample("", labels, None, value);
    }

    /// Texts.
    pub fn info(&mut self, labels: Labels<'_>) {
        self.sample("_info", labels, None, 1);
    }

    /// Which of `states` holds, if any.
    pub fn states(&mut self, labels: Labels<'_>, states: &[&str], holds: &str) {
        for state in states {
            let name = self.name;
            self.sample("", labels, Some((name, state)), u8::from(*state == holds));
        }
    }

    /// Durations in seconds.
    pub fn histogram(&mut self, labels: Labels<'_>, seen: &Distribution) {
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (bound, count) in bounds.zip(seen.cumulative()) {
            self.sample("_bucket", labels, Some(("le", bound)), count);
        }
        self.sample("_count", labels, None, seen.count());
        self.sample("_sum", labels, None, seconds(seen.nanos));
    }

    fn sample(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        last: Option<(&str, &str)>,
        value: impl std::fmt::Display,
    ) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(last) {
            self.text.push(before);
            self.text.push_str(name);
            self.text.push_str("=\"");
            self.text.push_str(&escaped(value));
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        // Writing into a string does not fail.
        let _ = writeln!(self.text, " {value}");
    }
}

/// Nanoseconds in seconds, exactly.
pub(super) fn seconds(nanos: u64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// A text as it stands in a label or in a help line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_kind_is_written_as_the_format_says() {
        let mut page = Exposition::default();
        let mut family = page.family("a_bytes", Kind::Counter, "bytes", "Bytes.");
        family.total(&[("disk", "db")], 7);
        page.family("b", Kind::Gauge, "", "Nothing.").gauge(&[], 1.5);
        page.family("c", Kind::Info, "", "Texts.").info(&[("v", "1")]);
        page.family("d", Kind::StateSet, "", "States.").states(
            &[("k", "x")],
            &["on", "off"],
            "off",
        );
        assert_eq!(
            page.finish(),
            "# TYPE a_bytes counter\n# UNIT a_bytes bytes\n# HELP a_bytes Bytes.\n\
             a_bytes_total{disk=\"db\"} 7\n\
             # TYPE b gauge\n# HELP b Nothing.\nb 1.5\n\
             # TYPE c info\n# HELP c Texts.\nc_info{v=\"1\"} 1\n\
             # TYPE d stateset\n# HELP d States.\n\
             d{k=\"x\",d=\"on\"} 0\nd{k=\"x\",d=\"off\"} 1\n# EOF\n"
        );
    }

    #[test]
    fn labels_are_escaped() {
        let mut page = Exposition::default();
        page.family("a", Kind::Info, "", "A \"b\"\n").info(&[("v", "x\\y\"z\nä")]);
        let text = page.finish();
        assert!(text.contains("# HELP a A \\\"b\\\"\\n\n"), "{text}");
        assert!(text.contains("a_info{v=\"x\\\\y\\\"z\\nä\"} 1\n"), "{text}");
    }

    #[test]
    fn a_histogram_rises_to_its_count() {
        let mut seen = Distribution::EMPTY;
        seen.add(Duration::from_micros(3));
        seen.add(Duration::from_secs(60));
        let mut page = Exposition::default();
        page.family("a_seconds", Kind::Histogram, "seconds", "Time.").histogram(&[], &seen);
        let text = page.finish();
        for line in [
            "a_seconds_bucket{le=\"2e-06\"} 0\n",
            "a_seconds_bucket{le=\"5e-06\"} 1\n",
            "a_seconds_bucket{le=\"10.0\"} 1\n",
            "a_seconds_bucket{le=\"+Inf\"} 2\n",
            "a_seconds_count 2\na_seconds_sum 60.000003000\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
