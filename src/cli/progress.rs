//! How far a job has got: a bar on a terminal, lines elsewhere.

use super::amounts;
use super::object::Object;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::io::Write;
use std::time::{Duration, Instant};

/// Lines come no more often than this.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Shows one job.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    last: Option<(Instant, String)>,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new(as_bar: bool) -> Progress {
        Progress { bar: as_bar.then(bar), last: None }
    }

    /// Shows the job as it is now.
    pub fn show(&mut self, job: &Value, stderr: &mut dyn Write) {
        let job = Object::of(job);
        let number = |key: &str| job.get(key).and_then(Value::as_u64);
        let text = line(job);
        match &self.bar {
            Some(bar) => {
                bar.set_length(number("total").unwrap_or(0));
                bar.set_position(number("done").unwrap_or(0));
                bar.set_message(text);
                bar.tick();
            }
            None => {
                let is_news = self
                    .last
                    .as_ref()
                    .is_none_or(|(when, last)| *last != text && when.elapsed() >= BETWEEN_LINES);
                if is_news {
                    // Nobody is left to be told that stderr cannot be written.
                    let _ = writeln!(stderr, "{text}");
                    self.last = Some((Instant::now(), text));
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {percent:>3}% {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// `backup db: 1.2G of 4G, 450M/s, 6 s left`
pub(super) fn line(job: Object<'_>) -> String {
    let number = |key: &str| job.get(key).and_then(Value::as_u64);
    let mut line = format!("{} of {}: ", job.text("kind"), job.text("subject"));
    if job.text("state") == "queued" {
        line.push_str("waits for its turn");
        return line;
    }
    line.push_str(&amount(job, "done"));
    if number("total").is_some() {
        line.push_str(&format!(" of {}", amount(job, "total")));
    }
    if number("rate").is_some_and(|rate| rate > 0) {
        line.push_str(&format!(", {}/s", amount(job, "rate")));
    }
    if let Some(seconds) = number("remaining") {
        line.push_str(&match seconds {
            0..120 => format!(", {seconds} s left"),
            120..7200 => format!(", {} min left", seconds / 60),
            _ => format!(", {} h left", seconds / 3600),
        });
    }
    line
}

/// A member that counts the job's units, as people read it.
pub(super) fn amount(job: Object<'_>, key: &str) -> String {
    match job.get(key).and_then(Value::as_u64) {
        Some(bytes) if job.text("unit") == "bytes" => amounts::bytes(bytes),
        Some(number) => number.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_what_how_far_how_fast_and_how_long_yet() {
        let mut job = json!({
            "kind": "backup", "subject": "db", "state": "running", "unit": "bytes",
            "done": 1_288_490_188_u64, "total": 4_u64 << 30, "rate": 450_u64 << 20, "remaining": 6,
        });
        assert_eq!(line(Object::of(&job)), "backup of db: 1.1G of 4G, 450M/s, 6 s left");
        job["state"] = json!("queued");
        assert_eq!(line(Object::of(&job)), "backup of db: waits for its turn");
        let job = json!({"kind": "rewrap-all", "subject": "all data keys", "state": "running",
                         "unit": "keys", "done": 3, "total": 9, "rate": 0, "remaining": null});
        assert_eq!(line(Object::of(&job)), "rewrap-all of all data keys: 3 of 9");
    }

    #[test]
    fn lines_come_when_there_is_news_and_not_too_often() {
        let mut progress = Progress::new(false);
        let mut stderr = Vec::new();
        for done in 0..50 {
            let job = json!({"kind": "k", "subject": "s", "state": "running", "done": done});
            progress.show(&job, &mut stderr);
        }
        assert_eq!(String::from_utf8(stderr).unwrap(), "k of s: 0\n");
    }
}
