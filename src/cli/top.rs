//! `evsfs top`: what goes on in the mount, live.

use super::failure::Outcome;
use super::line::Line;
use super::live::{self, Pace, View};
use super::rates::{self, DiskRates};
use super::request::Request;
use super::screen::{Key, Screen, Size, shows_unicode};
use super::session::Session;
use super::top_page::{History, Page, Window};
use super::watch_args::{SortBy, TopArgs};
use serde_json::Value;

/// Width of a table that goes to a file or a pipe.
const WIDE: usize = 132;

/// Shows the table again and again on a terminal, or once.
pub(super) fn run(session: &mut Session<'_>, args: &TopArgs) -> Outcome {
    if session.global.json {
        let activity = session.call(&Request::new("mount.activity"))?;
        return session.answer(&activity, |_| String::new());
    }
    let mut top = Top::new(args.sort);
    if !args.once && Screen::is_possible() {
        return live::run(session, &mut top, args.interval);
    }
    top.refresh(session)?;
    std::thread::sleep(args.interval);
    top.refresh(session)?;
    let text = top.once();
    let activity = top.now.take().unwrap_or_default();
    session.answer(&activity, |_| text)
}

/// The view.
struct Top {
    before: Option<Value>,
    now: Option<Value>,
    disks: Vec<DiskRates>,
    history: History,
    sort: SortBy,
    is_reversed: bool,
    /// The first disk that is shown.
    first: usize,
    has_help: bool,
    has_unicode: bool,
}

impl Top {
    fn new(sort: SortBy) -> Top {
        Top {
            before: None,
            now: None,
            disks: Vec::new(),
            history: History::default(),
            sort,
            is_reversed: false,
            first: 0,
            has_help: false,
            has_unicode: shows_unicode(),
        }
    }

    fn page<'a>(&'a self, activity: &'a Value) -> Page<'a> {
        Page {
            activity,
            disks: &self.disks,
            history: &self.history,
            sort: self.sort,
            is_reversed: self.is_reversed,
            has_unicode: self.has_unicode,
        }
    }

    /// All of it as text.
    fn once(&self) -> String {
        let Some(activity) = &self.now else { return String::new() };
        let lines = self.page(activity).whole(WIDE);
        lines.iter().map(|line| line.text() + "\n").collect()
    }

    fn arrange(&mut self) {
        // By name first, so that equals do not change places from one look to the next.
        self.disks.sort_by(|a, b| a.name.cmp(&b.name));
        let by = |key: fn(&DiskRates) -> f64| {
            move |a: &DiskRates, b: &DiskRates| {
                b.is_attached.cmp(&a.is_attached).then(key(b).total_cmp(&key(a)))
            }
        };
        match self.sort {
            SortBy::Name => {}
            SortBy::Throughput => self.disks.sort_by(by(DiskRates::throughput)),
            SortBy::Iops => self.disks.sort_by(by(DiskRates::operations)),
            SortBy::Latency => {
                self.disks.sort_by(by(|disk| disk.p99.map_or(-1.0, |time| time.as_secs_f64())));
            }
            SortBy::Errors => self.disks.sort_by(by(|disk| disk.errors as f64)),
        }
        if self.is_reversed {
            self.disks.reverse();
        }
    }

    fn sort_by(&mut self, sort: SortBy) {
        if self.sort == sort {
            self.is_reversed = !self.is_reversed;
        } else {
            (self.sort, self.is_reversed) = (sort, false);
        }
        self.arrange();
    }
}

impl View for Top {
    fn refresh(&mut self, session: &mut Session<'_>) -> Outcome {
        let now = session.call(&Request::new("mount.activity"))?;
        self.before = self.now.take();
        self.disks = rates::between(self.before.as_ref(), &now);
        if self.before.is_some() {
            self.history.add(&self.disks);
        }
        self.now = Some(now);
        self.arrange();
        Ok(())
    }

    fn lines(&self, size: Size, pace: Pace) -> Vec<Line> {
        let Some(activity) = &self.now else { return Vec::new() };
        let window = Window { size, pace, first: self.first, has_help: self.has_help };
        self.page(activity).in_window(window)
    }

    fn press(&mut self, key: Key, size: Size) {
        let last = self.disks.len().saturating_sub(1);
        let page = (size.rows / 2).max(1);
        match key {
            Key::Char('t') => self.sort_by(SortBy::Throughput),
            Key::Char('i') => self.sort_by(SortBy::Iops),
            Key::Char('l') => self.sort_by(SortBy::Latency),
            Key::Char('e') => self.sort_by(SortBy::Errors),
            Key::Char('n') => self.sort_by(SortBy::Name),
            Key::Char('r') => {
                self.is_reversed = !self.is_reversed;
                self.arrange();
            }
            Key::Char('h' | '?') => self.has_help = !self.has_help,
            Key::Up | Key::Char('k') => self.first = self.first.saturating_sub(1),
            Key::Down | Key::Char('j') => self.first = (self.first + 1).min(last),
            Key::PageUp => self.first = self.first.saturating_sub(page),
            Key::PageDown => self.first = (self.first + page).min(last),
            Key::Home => self.first = 0,
            Key::End => self.first = last,
            Key::Char(_) | Key::Leave | Key::Other => {}
        }
    }
}
