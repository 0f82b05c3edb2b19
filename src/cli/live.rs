//! A view that is shown again and again until somebody has seen enough.

use super::failure::Outcome;
use super::line::Line;
use super::screen::{Key, Screen, Size};
use super::session::Session;
use crate::daemon;
use crate::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How soon a new size of the window, or a signal, is noticed.
const NOTICE: Duration = Duration::from_millis(100);
/// Bounds of what `+` and `-` set.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// What is shown.
pub(super) trait View {
    /// Asks the daemon anew.
    fn refresh(&mut self, session: &mut Session<'_>) -> Outcome;

    /// What there is to see in a window of this size.
    fn lines(&self, size: Size, pace: Pace) -> Vec<Line>;

    /// Takes a key that is not one of [`run`].
    fn press(&mut self, key: Key, size: Size);
}

/// How often the view is refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub interval: Duration,
    pub is_paused: bool,
}

impl Pace {
    /// `2s`, `500ms`, or `paused`.
    pub fn text(self) -> String {
        match self.interval.as_millis() {
            _ if self.is_paused => "paused".to_owned(),
            millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
            millis => format!("{millis}ms"),
        }
    }
}

/// Shows a view on the whole terminal until `q`, Escape, Ctrl-C or a signal that ends processes.
/// `+` and `-` change the interval, a blank pauses.
pub(super) fn run(session: &mut Session<'_>, view: &mut dyn View, interval: Duration) -> Outcome {
    let is_asked_to_end = watch_signals()?;
    view.refresh(session)?;
    let mut screen = Screen::open()?;
    let mut pace = Pace { interval: interval.clamp(SHORTEST, LONGEST), is_paused: false };
    let mut refreshed = Instant::now();
    let mut painted = None;
    while !is_asked_to_end.load(Ordering::Relaxed) {
        let size = Screen::size();
        if painted != Some(size) {
            screen.paint(&view.lines(size, pace), size)?;
            painted = Some(size);
        }
        let due = pace.interval.saturating_sub(refreshed.elapsed());
        let patience = if pace.is_paused { NOTICE } else { due.min(NOTICE) };
        let key = screen.key(patience)?;
        match key {
            Some(Key::Leave | Key::Char('q')) => break,
            Some(Key::Char('+')) => pace.interval = (pace.interval * 2).min(LONGEST),
            Some(Key::Char('-')) => pace.interval = (pace.interval / 2).max(SHORTEST),
            Some(Key::Char(' ')) => pace.is_paused = !pace.is_paused,
            Some(key) => view.press(key, size),
            None => {}
        }
        let is_due = !pace.is_paused && refreshed.elapsed() >= pace.interval;
        if is_due {
            view.refresh(session)?;
            refreshed = Instant::now();
        }
        if is_due || key.is_some() {
            painted = None;
        }
    }
    Ok(())
}

/// Set when a signal asks this process to end: the terminal is then put back first.
fn watch_signals() -> Outcome<Arc<AtomicBool>> {
    let is_asked = Arc::new(AtomicBool::new(false));
    daemon::block_termination_signals()?;
    let tell = is_asked.clone();
    std::thread::Builder::new()
        .name("evsfs-signals".to_owned())
        .spawn(move || {
            if daemon::wait_for_termination().is_ok() {
                tell.store(true, Ordering::Relaxed);
            }
        })
        .map_err(|cause| Error::io("starting a thread", cause))?;
    Ok(is_asked)
}
