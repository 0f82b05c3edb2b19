//! A reader of OpenMetrics text 1.0 that forgives nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A family with its samples.
#[derive(Debug, Clone, Default)]
pub struct Family {
    pub kind: String,
    pub unit: Option<String>,
    pub help: Option<String>,
    pub samples: Vec<Sample>,
}

/// One line of numbers.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The name with its suffix.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// A whole page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub families: BTreeMap<String, Family>,
}

impl Page {
    /// The value of the sample with this name and, among others, these labels.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("there is no {name} {labels:?}"))
    }

    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &Sample| {
            labels
                .iter()
                .all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
        };
        let samples = self.families.values().flat_map(|family| &family.samples);
        let mut found = samples.filter(|sample| sample.name == name && has(sample));
        let first = found.next()?.value;
        assert!(found.next().is_none(), "{name} {labels:?} is not one sample");
        Some(first)
    }

    /// Every value that a label has, anywhere.
    pub fn label_values(&self, label: &str) -> BTreeSet<String> {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.filter_map(|sample| sample.labels.get(label).cloned()).collect()
    }

    /// Every name that a sample can have.
    pub fn sample_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (name, family) in &self.families {
            names.extend(suffixes(&family.kind).iter().map(|suffix| format!("{name}{suffix}")));
        }
        names
    }
}

fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_count", "_sum"],
        "gauge" | "stateset" => &[""],
        kind => panic!("{kind} is not expected here"),
    }
}

/// Reads a page.
///
/// # Panics
/// At the first thing that the format forbids, naming the line.
pub fn parse(text: &str) -> Page {
    let body = text.strip_suffix("# EOF\n").expect("the page ends in # EOF and a newline");
    let mut page = Page::default();
    let mut current: Option<String> = None;
    for line in body.split_terminator('\n') {
        assert!(!line.is_empty() && !line.contains('\r'), "an empty line, or one with \\r");
        match line.strip_prefix("# ") {
            Some(metadata) => add_metadata(&mut page, &mut current, metadata),
            None => add_sample(&mut page, current.as_deref(), line),
        }
    }
    assert!(body.is_empty() || body.ends_with('\n'), "the last line is not ended");
    let mut taken = HashSet::new();
    for (name, family) in &page.families {
        check_family(name, family);
        // No name may be of two families.
        for suffix in suffixes(&family.kind) {
            assert!(taken.insert(format!("{name}{suffix}")), "{name}{suffix} is taken");
        }
    }
    page
}

fn add_metadata(page: &mut Page, current: &mut Option<String>, line: &str) {
    let mut words = line.splitn(3, ' ');
    let (what, name) = (words.next().unwrap(), words.next().expect(line));
    let value = words.next().unwrap_or_else(|| panic!("{line}: no value"));
    assert!(is_name(name, true), "{line}: no name");
    if current.as_deref() != Some(name) {
        let is_new = page.families.insert(name.to_owned(), Family::default()).is_none();
        assert!(is_new, "{name} comes in two places");
        *current = Some(name.to_owned());
    }
    let family = page.families.get_mut(name).unwrap();
    assert!(family.samples.is_empty(), "{line}: after its samples");
    match what {
        "TYPE" => {
            assert!(family.kind.is_empty(), "{line}: twice");
            value.clone_into(&mut family.kind);
        }
        "UNIT" => {
            assert!(family.unit.replace(value.to_owned()).is_none(), "{line}: twice");
            assert!(is_name(value, false), "{line}");
        }
        "HELP" => {
            assert!(family.help.replace(unescaped(value)).is_none(), "{line}: twice");
        }
        _ => panic!("{line}: comments are not allowed"),
    }
}

fn add_sample(page: &mut Page, current: Option<&str>, line: &str) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, rest) = line.split_at(end);
    assert!(is_name(name, true), "{line}: no name");
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest, line),
        None => (BTreeMap::new(), rest),
    };
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}: one blank"));
    assert!(!value.contains(' '), "{line}: no timestamps and no exemplars here");
    let value = number(value).unwrap_or_else(|| panic!("{line}: no number"));
    let family = current.unwrap_or_else(|| panic!("{line}: before its metadata"));
    let of = page.families.get_mut(family).unwrap();
    let is_of = suffixes(&of.kind).iter().any(|suffix| name == format!("{family}{suffix}"));
    assert!(is_of, "{line}: not of {family}");
    let is_repeated = of.samples.iter().any(|other| other.name == name && other.labels == labels);
    assert!(!is_repeated, "{line}: twice");
    of.samples.push(Sample { name: name.to_owned(), labels, value });
}

/// The labels up to the closing brace, and what follows it.
fn labels<'a>(text: &'a str, line: &str) -> (BTreeMap<String, String>, &'a str) {
    let (mut labels, mut rest) = (BTreeMap::new(), text);
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}: labels"));
        assert!(is_name(name, false), "{line}: label {name}");
        let mut is_escaped = false;
        let end = after.find(|c: char| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        let (value, after) = after.split_at(end.unwrap_or_else(|| panic!("{line}: no end")));
        let is_new = labels.insert(name.to_owned(), unescaped(value)).is_none();
        assert!(is_new, "{line}: label {name} twice");
        match after.strip_prefix("\",") {
            Some(more) => rest = more,
            None => return (labels, after.strip_prefix("\"}").unwrap_or_else(|| panic!("{line}"))),
        }
    }
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("{text}: \\{other:?}"),
            },
            '"' => panic!("{text}: a bare quote"),
            c => c,
        });
    }
    plain
}

fn number(text: &str) -> Option<f64> {
    if text == "+Inf" {
        return Some(f64::INFINITY);
    }
    let is_plain = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | '-' | '+'));
    text.parse().ok().filter(|_| is_plain)
}

fn is_name(text: &str, with_colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphabetic() || c == '_' || (with_colons && c == ':');
    text.starts_with(fits) && text.chars().all(|c| fits(c) || c.is_ascii_digit())
}

fn check_family(name: &str, family: &Family) {
    assert!(!family.kind.is_empty(), "{name} has no type");
    assert!(family.help.as_ref().is_some_and(|help| help.ends_with('.')), "{name} has no help");
    if let Some(unit) = &family.unit {
        assert!(name.ends_with(&format!("_{unit}")), "{name} does not end in {unit}");
        assert!(!matches!(family.kind.as_str(), "info" | "stateset"), "{name} has a unit");
    }
    for reserved in ["_total", "_created", "_info", "_bucket", "_count", "_sum"] {
        assert!(!name.ends_with(reserved), "{name} ends in {reserved}");
    }
    match family.kind.as_str() {
        "counter" => assert!(family.samples.iter().all(|s| s.value >= 0.0 && s.value.is_finite())),
        "info" => assert!(family.samples.iter().all(|sample| sample.value == 1.0)),
        "stateset" => {
            for sample in &family.samples {
                assert!(sample.labels.contains_key(name), "{name} has no label {name}");
                assert!(sample.value == 0.0 || sample.value == 1.0, "{name}");
            }
        }
        "histogram" => check_histograms(name, &family.samples),
        _ => {}
    }
}

/// Each histogram stands together, its buckets rise, and the last of them is its count.
fn check_histograms(name: &str, samples: &[Sample]) {
    let without_bound = |sample: &Sample| {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        labels
    };
    let mut seen = HashSet::new();
    for group in samples.chunk_by(|a, b| without_bound(a) == without_bound(b)) {
        let labels = without_bound(&group[0]);
        assert!(seen.insert(format!("{labels:?}")), "{name} {labels:?} is not together");
        let buckets: Vec<(f64, f64)> = group
            .iter()
            .filter(|sample| sample.name.ends_with("_bucket"))
            .map(|sample| (number(&sample.labels["le"]).unwrap(), sample.value))
            .collect();
        let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        assert!(buckets.windows(2).all(rises), "{name}: {buckets:?}");
        let (last_bound, last) = *buckets.last().unwrap();
        assert!(last_bound.is_infinite(), "{name} has no +Inf");
        let one = |suffix: &str| {
            let mut all = group.iter().filter(|sample| sample.name.ends_with(suffix));
            let value = all.next().unwrap_or_else(|| panic!("{name} has no {suffix}")).value;
            assert!(all.next().is_none(), "{name} has two {suffix}");
            value
        };
        assert_eq!(one("_count"), last, "{name} {labels:?}");
        assert!(one("_sum") >= 0.0);
    }
}

/// What the format forbids, one page each.
#[rustfmt::skip]
pub const FORBIDDEN: &[&str] = &[
    "", "a 1\n", "# EOF", "# EOF\n# EOF\n", "\n# EOF\n",
    "a 1\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na  1\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na 1\n\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na NaNa\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na 1\na 2\n# EOF\n",
    "# TYPE a gauge\n# TYPE a gauge\n# HELP a A.\na 1\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na 1\n# UNIT a a\n# EOF\n",
    "# TYPE a gauge\n# UNIT a bytes\n# HELP a A.\na 1\n# EOF\n",
    "# TYPE a counter\n# HELP a A.\na 1\n# EOF\n",
    "# TYPE a counter\n# HELP a A.\na_total -1\n# EOF\n",
    "# TYPE a info\n# HELP a A.\na_info 2\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na{b=\"c\",b=\"d\"} 1\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na{b=\"c\\d\"} 1\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na{b=c} 1\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na{1b=\"c\"} 1\n# EOF\n",
    "# TYPE a stateset\n# HELP a A.\na{b=\"c\"} 1\n# EOF\n",
    "# TYPE a gauge\n# HELP a A.\na{b=\"c\"} 1\n# TYPE b gauge\n# HELP b B.\n# TYPE a gauge\n# EOF\n",
    "# TYPE a histogram\n# HELP a A.\na_bucket{le=\"1.0\"} 1\na_count 1\na_sum 1\n# EOF\n",
    "# TYPE a histogram\n# HELP a A.\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 1\n# EOF\n",
    "# TYPE a histogram\n# HELP a A.\na_bucket{le=\"+Inf\"} 2\na_count 1\na_sum 1\n# EOF\n",
];
