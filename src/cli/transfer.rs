//! How far this program has got with a file that it passes on, shown as the progress of a job is.

use super::progress::Progress;
use super::session::Session;
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};

/// What takes less is not shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often what is shown changes.
const BETWEEN: Duration = Duration::from_millis(200);

/// A file on its way.
pub(super) struct Transfer<'a> {
    progress: Progress,
    stderr: &'a mut dyn Write,
    what: &'static str,
    name: &'a str,
    total: u64,
    done: u64,
    begun: Instant,
    shown: Instant,
}

impl<'a> Transfer<'a> {
    /// `what`, such as `upload`, of `total` bytes of the object `name`.
    pub fn begin(
        what: &'static str,
        name: &'a str,
        total: u64,
        as_bar: bool,
        stderr: &'a mut dyn Write,
    ) -> Self {
        let begun = Instant::now();
        let progress = Progress::new(as_bar);
        Transfer { progress, stderr, what, name, total, done: 0, begun, shown: begun }
    }

    /// The same, for whoever typed the command.
    pub fn of(session: &'a mut Session<'_>, what: &'static str, name: &'a str, total: u64) -> Self {
        let as_bar = session.terminal.shows_bars();
        Transfer::begin(what, name, total, as_bar, session.stderr)
    }

    /// So many bytes more have been passed on.
    pub fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        let (now, elapsed) = (Instant::now(), self.begun.elapsed());
        if elapsed < PATIENCE || now.duration_since(self.shown) < BETWEEN {
            return;
        }
        self.shown = now;
        // For people: rounding does not matter.
        let rate = self.done as f64 / elapsed.as_secs_f64();
        let left = self.total.saturating_sub(self.done) as f64 / rate.max(1.0);
        let job = json!({
            "kind": self.what, "subject": self.name, "state": "running", "unit": "bytes",
            "done": self.done, "total": self.total, "rate": rate as u64, "remaining": left as u64,
        });
        self.progress.show(&job, self.stderr);
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.progress.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_shown_once_it_takes_long() {
        let mut stderr = Vec::new();
        let mut transfer = Transfer::begin("upload", "web", 4 << 20, false, &mut stderr);
        transfer.advance(1 << 20);
        // Not before the first second is over.
        assert!(transfer.shown == transfer.begun);
        transfer.begun -= Duration::from_secs(2);
        transfer.shown = transfer.begun;
        transfer.advance(1 << 20);
        drop(transfer);
        let shown = String::from_utf8(stderr).unwrap();
        assert!(shown.starts_with("upload of web: 2M of 4M, 1"), "{shown}");
        assert!(shown.ends_with(" s left\n"), "{shown}");
    }
}
