//! How far this program has got with a file that it passes on, shown as the progress of a job is.

use super::progress::Progress;
use super::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::service::Limit;
use crate::units::ByteLen;
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};

/// What takes less is not shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often what is shown changes.
const BETWEEN: Duration = Duration::from_millis(200);
/// The least that is passed on at once.
const LEAST: usize = 4096;

/// The bytes a second that `--limit` allows.
///
/// # Errors
/// `invalid`.
pub(super) fn parsed_limit(limit: Option<&str>) -> Result<Option<u64>> {
    let Some(text) = limit else { return Ok(None) };
    match ByteLen::parse(text) {
        Ok(rate) if rate > ByteLen::ZERO => Ok(Some(rate.get())),
        _ => {
            let message = format!("limit {text:?} is not a number of bytes a second");
            Err(Error::new(ErrorKind::Invalid, message).remedy("say it as a size, such as 200M"))
        }
    }
}

/// A file on its way.
pub(super) struct Transfer<'a> {
    progress: Progress,
    stderr: &'a mut dyn Write,
    what: &'static str,
    name: &'a str,
    total: Option<u64>,
    limit: Option<(u64, Limit)>,
    done: u64,
    begun: Instant,
    shown: Instant,
}

impl<'a> Transfer<'a> {
    /// `what`, such as `upload`, of about `total` bytes of the object `name`, if that is known.
    pub fn begin(
        what: &'static str,
        name: &'a str,
        total: impl Into<Option<u64>>,
        as_bar: bool,
        stderr: &'a mut dyn Write,
    ) -> Self {
        let begun = Instant::now();
        let progress = Progress::new(as_bar);
        Transfer {
            progress,
            stderr,
            what,
            name,
            total: total.into(),
            limit: None,
            done: 0,
            begun,
            shown: begun,
        }
    }

    /// The same, for whoever typed the command.
    pub fn of(
        session: &'a mut Session<'_>,
        what: &'static str,
        name: &'a str,
        total: impl Into<Option<u64>>,
    ) -> Self {
        let as_bar = session.terminal.shows_bars();
        Transfer::begin(what, name, total, as_bar, session.stderr)
    }

    /// The same, at most so many bytes a second.
    pub fn held_to(mut self, per_second: Option<u64>) -> Self {
        self.limit = per_second.map(|rate| (rate, Limit::new(rate, self.begun)));
        self
    }

    /// How many bytes to pass on at once, at most `most`: of a limited transfer what takes a quarter of a
    /// second, so that it neither stands still nor comes in bursts.
    pub fn piece(&self, most: usize) -> usize {
        let limited = |(rate, _): &(u64, Limit)| usize::try_from(rate / 4).unwrap_or(most);
        self.limit.as_ref().map_or(most, limited).clamp(LEAST.min(most), most)
    }

    /// So many bytes more have been passed on. Returns when more may be.
    pub fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        self.show();
        let now = Instant::now();
        if let Some(go_on) = self.limit.as_mut().map(|(_, limit)| limit.spend(bytes, now)) {
            std::thread::sleep(go_on.saturating_duration_since(now));
        }
    }

    fn show(&mut self) {
        let (now, elapsed) = (Instant::now(), self.begun.elapsed());
        if elapsed < PATIENCE || now.duration_since(self.shown) < BETWEEN {
            return;
        }
        self.shown = now;
        // For people: rounding does not matter.
        let rate = self.done as f64 / elapsed.as_secs_f64();
        let total = self.total.map(|total| total.max(self.done));
        let left = total.map(|total| ((total - self.done) as f64 / rate.max(1.0)) as u64);
        let job = json!({
            "kind": self.what, "subject": self.name, "state": "running", "unit": "bytes",
            "done": self.done, "total": total, "rate": rate as u64, "remaining": left,
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

    #[test]
    fn a_transfer_is_held_to_its_limit() {
        let mut stderr = Vec::new();
        let begun = Instant::now();
        let transfer = Transfer::begin("export", "b", None, false, &mut stderr);
        let mut transfer = transfer.held_to(Some(10 << 20));
        for _ in 0..4 {
            transfer.advance(1 << 20);
        }
        // 0.4 s, less what may be caught up.
        assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
        assert_eq!((transfer.piece(1 << 20), transfer.piece(4 << 20)), (1 << 20, 10 << 18));
        assert_eq!(transfer.held_to(Some(1)).piece(1 << 20), LEAST);
        for wrong in ["0", "fast", ""] {
            assert_eq!(parsed_limit(Some(wrong)).unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert_eq!(parsed_limit(Some("2M")).unwrap(), Some(2 << 20));
    }
}
