//! What `evsfs top` shows: a head, the disks, jobs at work, and what wants an administrator.

use super::amounts;
use super::line::{Line, Style};
use super::live::Pace;
use super::object::Object;
use super::progress;
use super::rates::DiskRates;
use super::screen::Size;
use super::watch_args::SortBy;
use serde_json::Value;
use std::collections::VecDeque;

/// Looks that the head remembers.
const REMEMBERED: usize = 20;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Lines of jobs and of attention each, in a window.
const FEW: usize = 4;
const NAME_WIDTH: (usize, usize) = (8, 28);

/// The throughput of all disks, look by look.
#[derive(Debug, Default)]
pub(super) struct History {
    read: VecDeque<f64>,
    written: VecDeque<f64>,
}

/// All there is to show.
pub(super) struct Page<'a> {
    /// The answer of `mount.activity`.
    pub activity: &'a Value,
    /// Its disks, in order.
    pub disks: &'a [DiskRates],
    pub history: &'a History,
    pub sort: SortBy,
    pub is_reversed: bool,
    pub has_unicode: bool,
}

/// The part of it that is shown.
pub(super) struct Window {
    pub size: Size,
    pub pace: Pace,
    /// The first disk.
    pub first: usize,
    pub has_help: bool,
}

/// A column of the table.
struct Column {
    title: &'static str,
    width: usize,
    /// Those with the highest numbers go first when the window is narrow.
    rank: u8,
    sort: Option<SortBy>,
    cell: fn(&Page<'_>, &DiskRates) -> (Style, String),
}

/// Columns after the name; all but the first two end at their right edge.
const COLUMNS: [Column; 12] = [
    Column { title: "STATUS", width: 10, rank: 4, sort: None, cell: status },
    Column { title: "KEY", width: 14, rank: 6, sort: None, cell: key },
    Column {
        title: "READ/s",
        width: 8,
        rank: 0,
        sort: Some(SortBy::Throughput),
        cell: |_, disk| rate(disk, disk.read_bytes, amounts::bytes(disk.read_bytes as u64)),
    },
    Column {
        title: "WRITE/s",
        width: 8,
        rank: 0,
        sort: Some(SortBy::Throughput),
        cell: |_, disk| rate(disk, disk.written_bytes, amounts::bytes(disk.written_bytes as u64)),
    },
    Column {
        title: "R-IOPS",
        width: 8,
        rank: 1,
        sort: Some(SortBy::Iops),
        cell: |_, disk| rate(disk, disk.reads, amounts::count(disk.reads)),
    },
    Column {
        title: "W-IOPS",
        width: 8,
        rank: 1,
        sort: Some(SortBy::Iops),
        cell: |_, disk| rate(disk, disk.writes, amounts::count(disk.writes)),
    },
    Column {
        title: "OTHER",
        width: 7,
        rank: 8,
        sort: Some(SortBy::Iops),
        cell: |_, disk| rate(disk, disk.others, amounts::count(disk.others)),
    },
    Column { title: "P50", width: 7, rank: 3, sort: None, cell: |page, disk| time(page, disk.p50) },
    Column {
        title: "P99",
        width: 7,
        rank: 2,
        sort: Some(SortBy::Latency),
        cell: |page, disk| time(page, disk.p99),
    },
    Column {
        title: "SYNC99",
        width: 7,
        rank: 7,
        sort: None,
        cell: |page, disk| time(page, disk.flush_p99),
    },
    Column {
        title: "DIRTY",
        width: 7,
        rank: 5,
        sort: None,
        cell: |_, disk| rate(disk, disk.unflushed as f64, amounts::bytes(disk.unflushed)),
    },
    Column { title: "ERRORS", width: 7, rank: 2, sort: Some(SortBy::Errors), cell: errors },
];

impl History {
    /// One more look.
    pub fn add(&mut self, disks: &[DiskRates]) {
        let sums = [
            (&mut self.read, disks.iter().map(|disk| disk.read_bytes).sum()),
            (&mut self.written, disks.iter().map(|disk| disk.written_bytes).sum()),
        ];
        for (looks, sum) in sums {
            looks.push_back(sum);
            if looks.len() > REMEMBERED {
                looks.pop_front();
            }
        }
    }
}

impl Page<'_> {
    /// All of it, for a file.
    pub fn whole(&self, width: usize) -> Vec<Line> {
        let mut lines = vec![self.title(None, width), Line::default()];
        let table = self.table(width, 0, usize::MAX);
        lines.extend(table);
        lines.extend(self.jobs(usize::MAX, width));
        lines.extend(self.attention(usize::MAX));
        lines
    }

    /// As much as a window takes, with the keys at its foot.
    pub fn in_window(&self, window: Window) -> Vec<Line> {
        let Window { size: Size { columns, rows }, pace, first, has_help } = window;
        let mut lines = vec![self.title(Some(pace), columns)];
        if rows > 8 {
            lines.push(self.throughput());
            lines.push(Line::default());
        }
        let foot = if has_help { help() } else { vec![keys(pace)] };
        let mut below = if rows > 14 { self.jobs(FEW, columns) } else { Vec::new() };
        below.extend(self.attention(if rows > 14 { FEW } else { 1 }));
        // The table's heading, and a disk at least.
        let room = rows.saturating_sub(lines.len() + foot.len() + 1);
        below.truncate(room.saturating_sub(1));
        let disks = room.saturating_sub(below.len()).max(1);
        // The last page is a full one.
        let first = first.min(self.disks.len().saturating_sub(disks));
        lines.extend(self.table(columns, first, disks));
        lines.extend(below);
        lines.truncate(rows.saturating_sub(foot.len()));
        lines.resize(rows.saturating_sub(foot.len()), Line::default());
        lines.extend(foot);
        lines
    }

    /// `evsfs  /mnt/evs  3 disks, 2 attached  4 keys  1 job                 10:00:31 UTC, every 2s`
    fn title(&self, pace: Option<Pace>, width: usize) -> Line {
        let answer = Object::of(self.activity);
        let attached = self.disks.iter().filter(|disk| disk.is_attached).count();
        let mut facts = vec![
            format!("{}, {attached} attached", counted(self.disks.len(), "disk")),
            counted(answer.count("keys"), "key"),
        ];
        if answer.count("jobs") > 0 {
            facts.push(counted(answer.count("jobs"), "job"));
        }
        let mut line = Line::default().with(Style::Strong, "evsfs ");
        line.push(Style::Strong, &answer.text("mountpoint"));
        line.push(Style::Plain, &format!("  {}", facts.join("  ")));
        let time = answer.get("time").and_then(Value::as_str).unwrap_or_default();
        let time = time.get(11..19).unwrap_or(time);
        let right = match pace {
            Some(pace) if pace.is_paused => format!("{time} UTC, paused"),
            Some(pace) => format!("{time} UTC, every {}", pace.text()),
            None => format!("{time} UTC"),
        };
        line.fill(Style::Plain, width.saturating_sub(right.len()));
        let is_cramped = line.len() + right.len() > width;
        if is_cramped { line } else { line.with(Style::Faint, &right) }
    }

    /// `read   1.2G/s ▁▂▅█   write  450M/s ▁▁▁▂   203k IOPS`
    fn throughput(&self) -> Line {
        let mut line = Line::default();
        for (what, looks) in [("read", &self.history.read), ("write", &self.history.written)] {
            let last = looks.back().copied().unwrap_or(0.0);
            line.push(Style::Faint, &format!("{what} "));
            line.push(Style::Strong, &format!("{:>7} ", amounts::bytes(last as u64) + "/s"));
            if self.has_unicode {
                line.push(Style::Good, &format!("{}  ", sparkline(looks)));
            } else {
                line.push(Style::Plain, "  ");
            }
        }
        let operations: f64 = self.disks.iter().map(DiskRates::operations).sum();
        line.push(Style::Strong, &amounts::count(operations));
        line.push(Style::Faint, " IOPS");
        line
    }

    fn table(&self, width: usize, first: usize, rows: usize) -> Vec<Line> {
        let widest = self.disks.iter().map(|disk| disk.name.chars().count()).max().unwrap_or(0);
        let name_width = widest.clamp(NAME_WIDTH.0, NAME_WIDTH.1);
        let columns = columns_for(width.saturating_sub(name_width));
        let mut heading = Line::default();
        heading
            .push(Style::Heading, &format!("{:name_width$}", self.heading("DISK", SortBy::Name)));
        for column in &columns {
            let title = match column.sort {
                Some(sort) => self.heading(column.title, sort),
                None => column.title.to_owned(),
            };
            heading.push(Style::Heading, &column.aligned(&title));
        }
        heading.fill(Style::Heading, width);
        let mut lines = vec![heading];
        for disk in self.disks.iter().skip(first).take(rows) {
            let mut line = Line::default();
            let style = if disk.is_attached { Style::Strong } else { Style::Faint };
            let name: String = disk.name.chars().take(name_width).collect();
            line.push(style, &format!("{name:name_width$}"));
            for column in &columns {
                let (style, text) = (column.cell)(self, disk);
                line.push(style, &column.aligned(&text));
            }
            lines.push(line);
        }
        if self.disks.is_empty() {
            lines.push(Line::default().with(Style::Faint, "no disks yet: evsfs disk create"));
        }
        lines
    }

    /// A title, marked when the table is sorted by it.
    fn heading(&self, title: &str, sort: SortBy) -> String {
        match (self.sort == sort, self.is_reversed, self.has_unicode) {
            (false, _, _) => title.to_owned(),
            (true, false, true) => format!("{title}▾"),
            (true, true, true) => format!("{title}▴"),
            (true, false, false) => format!("{title}v"),
            (true, true, false) => format!("{title}^"),
        }
    }

    fn jobs(&self, most: usize, width: usize) -> Vec<Line> {
        let jobs: Vec<Object<'_>> = Object::list(&self.activity["jobs"]).collect();
        let mut lines = section("JOBS", jobs.len(), most);
        for job in jobs.into_iter().take(most) {
            let mut line = Line::plain("  ");
            if let Some(percent) = job.get("progress").and_then(Value::as_u64)
                && width > 60
            {
                line.push(Style::Good, &bar(percent, self.has_unicode));
                line.push(Style::Plain, &format!("{percent:>4}%  "));
            }
            lines.push(line.with(Style::Plain, &progress::line(job)));
        }
        lines
    }

    fn attention(&self, most: usize) -> Vec<Line> {
        let needs: Vec<Object<'_>> = Object::list(&self.activity["attention"]).collect();
        let mut lines = section("ATTENTION", needs.len(), most);
        for need in needs.into_iter().take(most) {
            let about = format!("  {} {}: ", need.text("about"), need.text("name"));
            let mut line = Line::default().with(Style::Warning, &about);
            line.push(Style::Plain, &need.text("message"));
            if !need.text("remedy").is_empty() {
                line.push(Style::Faint, &format!("; fix: {}", need.text("remedy")));
            }
            lines.push(line);
        }
        lines
    }
}

impl Column {
    fn aligned(&self, text: &str) -> String {
        let width = self.width;
        let text: String = text.chars().take(width).collect();
        match self.title {
            "STATUS" | "KEY" => format!("  {text:<width$}"),
            _ => format!(" {text:>width$}"),
        }
    }

    fn taken(&self) -> usize {
        self.aligned("").chars().count()
    }
}

/// The columns that fit, the most useful ones, in their order.
fn columns_for(width: usize) -> Vec<&'static Column> {
    let mut columns: Vec<&Column> = COLUMNS.iter().collect();
    while columns.iter().map(|column| column.taken()).sum::<usize>() > width {
        let Some(least) = columns.iter().map(|column| column.rank).max() else { break };
        columns.retain(|column| column.rank != least);
    }
    columns
}

fn status(_: &Page<'_>, disk: &DiskRates) -> (Style, String) {
    let style = match disk.status.as_str() {
        "in-use" => Style::Good,
        "available" => Style::Faint,
        status if status.starts_with("error") => Style::Bad,
        _ => Style::Warning,
    };
    (style, disk.status.clone())
}

fn key(_: &Page<'_>, disk: &DiskRates) -> (Style, String) {
    match disk.key_state.as_str() {
        "" => (Style::Faint, "-".to_owned()),
        "enabled" => (Style::Plain, disk.key.clone()),
        // It goes on, and could not be attached again.
        _ => (Style::Warning, format!("!{}", disk.key)),
    }
}

fn errors(_: &Page<'_>, disk: &DiskRates) -> (Style, String) {
    let style = match disk.errors {
        0 => return rate(disk, 0.0, "0".to_owned()),
        _ if disk.has_new_errors => Style::Bad,
        _ => Style::Warning,
    };
    (style, amounts::count(disk.errors as f64))
}

fn rate(disk: &DiskRates, number: f64, text: String) -> (Style, String) {
    match (disk.is_attached, number > 0.0) {
        (false, _) => (Style::Faint, "-".to_owned()),
        (true, false) => (Style::Faint, text),
        (true, true) => (Style::Plain, text),
    }
}

fn time(page: &Page<'_>, time: Option<std::time::Duration>) -> (Style, String) {
    let micro = if page.has_unicode { 'µ' } else { 'u' };
    match time {
        Some(time) if time.as_millis() >= 100 => (Style::Warning, amounts::time(time, micro)),
        Some(time) => (Style::Plain, amounts::time(time, micro)),
        None => (Style::Faint, "-".to_owned()),
    }
}

/// A blank line and a heading, if there is anything under it.
fn section(title: &str, count: usize, most: usize) -> Vec<Line> {
    if count == 0 {
        return Vec::new();
    }
    let mut line = Line::default().with(Style::Strong, title);
    if count > most {
        line.push(Style::Faint, &format!("  {most} of {count}"));
    }
    vec![Line::default(), line]
}

fn sparkline(looks: &VecDeque<f64>) -> String {
    let highest = looks.iter().copied().fold(0.0, f64::max);
    let mut bars: String = " ".repeat(REMEMBERED - looks.len());
    bars.extend(looks.iter().map(|look| {
        let share = if highest > 0.0 { look / highest } else { 0.0 };
        BARS[((share * 7.0).round() as usize).min(7)]
    }));
    bars
}

fn bar(percent: u64, has_unicode: bool) -> String {
    let full = usize::try_from(percent.min(100) / 5).unwrap_or(0);
    let (done, rest) = if has_unicode { ("█", "░") } else { ("#", ".") };
    done.repeat(full) + &rest.repeat(20 - full)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn keys(pace: Pace) -> Line {
    let pause = if pace.is_paused { " go on  " } else { " pause  " };
    let mut line = Line::default();
    for (key, what) in [
        ("q", " quit  "),
        ("t i l e n", " sort  "),
        ("r", " reverse  "),
        ("space", pause),
        ("+ -", " interval  "),
        ("h", " help"),
    ] {
        line.push(Style::Key, key);
        line.push(Style::Faint, what);
    }
    line
}

fn help() -> Vec<Line> {
    [
        ("t i l e n", "sort by throughput, IOPS, P99, errors, name; again: reverse"),
        ("up down j k", "scroll; also page up, page down, home, end"),
        ("P50 P99", "half, and 99 of 100, of reads, writes, discards took no longer"),
        ("SYNC99", "the same of flushes (fsync), which wait for the medium"),
        ("DIRTY", "bytes changed since the last flush: what a power cut could take"),
        ("!key", "its key is not enabled: it goes on, and cannot be attached again"),
        ("h", "away with this"),
    ]
    .into_iter()
    .map(|(key, what)| {
        Line::default().with(Style::Key, &format!("{key:>11}  ")).with(Style::Faint, what)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn disk(name: &str, throughput: f64) -> DiskRates {
        DiskRates {
            name: name.to_owned(),
            status: "in-use".to_owned(),
            key: "finance".to_owned(),
            key_state: "enabled".to_owned(),
            is_attached: true,
            read_bytes: throughput,
            reads: throughput / 4096.0,
            p50: Some(Duration::from_nanos(3_200)),
            p99: Some(Duration::from_micros(150)),
            ..DiskRates::default()
        }
    }

    fn activity() -> Value {
        json!({
            "mountpoint": "/mnt/evs", "time": "2026-11-24T10:00:31Z", "keys": [{}, {}],
            "jobs": [{"kind": "backup", "subject": "db", "state": "running", "progress": 45,
                      "done": 45, "total": 100, "unit": "bytes", "rate": 0}],
            "attention": [{"about": "key", "name": "old", "message": "will be deleted in 7 days",
                           "remedy": "evsfs key cancel-deletion old"}],
        })
    }

    fn with_page<T>(disks: &[DiskRates], show: impl FnOnce(Page<'_>) -> T) -> T {
        let (activity, mut history) = (activity(), History::default());
        history.add(disks);
        show(Page {
            activity: &activity,
            disks,
            history: &history,
            sort: SortBy::Throughput,
            is_reversed: false,
            has_unicode: false,
        })
    }

    #[test]
    fn the_whole_page_is_a_head_a_table_jobs_and_attention() {
        let disks = [disk("db", 1.5e9), disk("logs", 0.0)];
        let text = with_page(&disks, |page| {
            page.whole(132).iter().map(|line| line.text() + "\n").collect::<String>()
        });
        let expected = "\
evsfs /mnt/evs  2 disks, 2 attached  2 keys  1 job                                                                      10:00:31 UTC

DISK      STATUS      KEY             READ/sv WRITE/sv   R-IOPS   W-IOPS   OTHER     P50     P99  SYNC99   DIRTY  ERRORS
db        in-use      finance            1.3G        0     366k        0       0   3.2us   150us       -       0       0
logs      in-use      finance               0        0        0        0       0   3.2us   150us       -       0       0

JOBS
  #########...........  45%  backup of db: 45 of 100

ATTENTION
  key old: will be deleted in 7 days; fix: evsfs key cancel-deletion old
";
        assert_eq!(text, expected);
    }

    /// Whatever the window, nothing is wider than it and the keys stand in its last row.
    #[test]
    fn every_window_is_filled_exactly() {
        let disks: Vec<DiskRates> =
            (0..50).map(|number| disk(&format!("disk-number-{number}"), 1e6)).collect();
        for (columns, rows) in [(200, 50), (132, 40), (80, 24), (60, 15), (40, 10), (20, 4), (1, 2)]
        {
            for first in [0, 20, 49, 500] {
                let (size, pace) = (Size { columns, rows }, pace());
                let window = Window { size, pace, first, has_help: false };
                let lines = with_page(&disks, |page| page.in_window(window));
                assert_eq!(lines.len(), rows, "{columns}x{rows}");
                assert!(lines[rows - 1].text().starts_with("q quit"), "{columns}x{rows}");
                if rows < 4 {
                    continue;
                }
                // All that must not be cut off by the window's edge.
                let heading = lines.iter().find(|line| line.text().starts_with("DISK")).unwrap();
                assert!(heading.len() <= columns.max(28), "{columns}: {}", heading.text());
            }
        }
    }

    #[test]
    fn a_full_last_page_is_shown_at_the_end() {
        let disks: Vec<DiskRates> = (0..50).map(|n| disk(&format!("d{n:02}"), 1e6)).collect();
        let size = Size { columns: 100, rows: 24 };
        let window = Window { size, pace: pace(), first: 49, has_help: false };
        let lines = with_page(&disks, |page| page.in_window(window));
        let shown = lines.iter().filter(|line| line.text().starts_with('d')).count();
        assert!(shown > 5, "{shown}");
        assert!(lines.iter().any(|line| line.text().starts_with("d49")));
    }

    fn pace() -> Pace {
        Pace { interval: Duration::from_secs(2), is_paused: false }
    }
}
