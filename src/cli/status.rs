//! `evsfs status`: the whole mount at a glance, once or again and again.

use super::agency;
use super::disk;
use super::failure::Outcome;
use super::key;
use super::line::{Line, Style};
use super::live::{self, Pace, View};
use super::object::Object;
use super::refusal::one_line;
use super::request::Request;
use super::screen::{Key, Screen, Size};
use super::session::Session;
use super::table::facts;
use super::watch_args::StatusArgs;
use serde_json::Value;
use std::time::Duration;

/// Shows the mount, its disks and its keys.
pub(super) fn run(session: &mut Session<'_>, args: &StatusArgs) -> Outcome {
    match args.watch {
        None => {
            let status = session.call(&Request::new("mount.status"))?;
            session.answer(&status, overview)
        }
        Some(interval) if !session.global.json && Screen::is_possible() => {
            live::run(session, &mut Watched::default(), interval)
        }
        Some(interval) => repeat(session, interval),
    }
}

/// Without a terminal: one after the other, as objects a line each or with a blank line between,
/// until the mount goes or whoever reads.
fn repeat(session: &mut Session<'_>, interval: Duration) -> Outcome {
    let mut is_first = true;
    loop {
        let status = session.call(&Request::new("mount.status"))?;
        let text = match (session.global.json, is_first) {
            (true, _) => format!("{status}\n"),
            (false, true) => overview(&status),
            (false, false) => format!("\n{}", overview(&status)),
        };
        session.print(&text)?;
        is_first = false;
        std::thread::sleep(interval);
    }
}

/// The overview as a live view.
#[derive(Default)]
struct Watched {
    lines: Vec<String>,
    first: usize,
}

impl View for Watched {
    fn refresh(&mut self, session: &mut Session<'_>) -> Outcome {
        let status = session.call(&Request::new("mount.status"))?;
        self.lines = overview(&status).lines().map(str::to_owned).collect();
        Ok(())
    }

    fn lines(&self, size: Size, pace: Pace) -> Vec<Line> {
        let room = size.rows.saturating_sub(1);
        let first = self.first.min(self.lines.len().saturating_sub(room));
        let mut lines: Vec<Line> =
            self.lines.iter().skip(first).take(room).map(|line| styled(line)).collect();
        lines.resize(room, Line::default());
        let foot = Line::default()
            .with(Style::Key, "q")
            .with(Style::Faint, " quit  ")
            .with(Style::Key, "up down")
            .with(Style::Faint, " scroll  ")
            .with(Style::Key, "space")
            .with(Style::Faint, " pause  ")
            .with(Style::Key, "+ -")
            .with(Style::Faint, &format!(" interval: {}", pace.text()));
        lines.push(foot);
        lines
    }

    fn press(&mut self, key: Key, size: Size) {
        let room = size.rows.saturating_sub(1);
        let last = self.lines.len().saturating_sub(room);
        // A window that was made larger shows what had been scrolled away.
        let first = self.first.min(last);
        self.first = match key {
            Key::Up | Key::Char('k') => first.saturating_sub(1),
            Key::Down | Key::Char('j') => (first + 1).min(last),
            Key::PageUp => first.saturating_sub(room),
            Key::PageDown => (first + room).min(last),
            Key::Home => 0,
            Key::End => last,
            Key::Char(_) | Key::Leave | Key::Other => first,
        };
    }
}

/// Headings of tables and what wants attention stand out.
fn styled(line: &str) -> Line {
    let is_heading = !line.is_empty()
        && line.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_punctuation() || c == ' ');
    let style = match () {
        () if is_heading => Style::Strong,
        () if line.starts_with(ATTENTION) => Style::Warning,
        () => Style::Plain,
    };
    Line::default().with(style, line)
}

/// What a line begins with that wants an administrator.
const ATTENTION: &str = "! ";

fn overview(status: &Value) -> String {
    let mount = Object::of(status);
    let none = Value::Array(Vec::new());
    let (disks, keys) = (mount.get("disks").unwrap_or(&none), mount.get("keys").unwrap_or(&none));
    let daemon = format!(
        "evsfs {}, pid {}, since {} UTC",
        mount.text("version"),
        mount.text("pid"),
        mount.text("started")
    );
    let agency = agency::name(status)
        .unwrap_or_else(|| "none; encryption needs it: evsfs agency create".to_owned());
    let sandbox = match mount.text("sandbox") {
        none if none.is_empty() => "off".to_owned(),
        restricted => restricted,
    };
    let mut text = facts([
        ("mount", mount.text("mountpoint")),
        ("state", mount.text("state_dir")),
        ("daemon", daemon),
        ("sandbox", sandbox),
        ("project", format!("{}/{}", mount.text("region"), mount.text("project"))),
        ("agency", agency),
        ("disks", counted(disks, "attached", |disk| disk.is("attached"))),
        ("keys", counted(keys, "enabled", |key| key.text("state") == "enabled")),
    ]);
    let needs = attention(status);
    if !needs.is_empty() {
        text.push('\n');
        text.push_str(&needs);
    }
    if Object::list(disks).next().is_some() {
        text.push('\n');
        text.push_str(&disk::table(disks));
    }
    if Object::list(keys).next().is_some() {
        text.push('\n');
        text.push_str(&key::table(keys));
    }
    text
}

/// `! key old: will be deleted in 7 days (...)` and what helps, for all that wants attention.
fn attention(status: &Value) -> String {
    let mut text = String::new();
    for need in Object::list(&status["attention"]) {
        let (about, name, message) = (need.text("about"), need.text("name"), need.text("message"));
        text.push_str(&one_line(&format!("{ATTENTION}{about} {name}: {message}")));
        text.push('\n');
        let remedy = need.text("remedy");
        if !remedy.is_empty() {
            text.push_str(&format!("  fix: {}\n", one_line(&remedy)));
        }
    }
    text
}

/// `3, 2 attached`.
fn counted(list: &Value, what: &str, is_so: impl Fn(&Object<'_>) -> bool) -> String {
    let all = Object::list(list).count();
    let some = Object::list(list).filter(is_so).count();
    if all == 0 { "none".to_owned() } else { format!("{all}, {some} {what}") }
}

#[cfg(test)]
mod tests {
    use super::overview;
    use serde_json::json;

    #[test]
    fn the_overview_shows_the_mount_then_disks_then_keys() {
        let status = json!({
            "mountpoint": "/mnt/evs", "state_dir": "/var/lib/evsfs", "version": "0.1.0",
            "pid": 4242, "started": "2026-11-24T10:00:00Z", "agency": "EVSAccessKMS",
            "region": "local", "project": "default",
            "disks": [
                {"name": "db", "size": 10_737_418_240_u64, "status": "in-use", "encrypted": true,
                 "key": "finance", "key_state": "enabled", "owner": 1000, "attached": true},
                {"name": "scratch", "size": 1_048_576, "status": "available", "encrypted": false,
                 "key": null, "key_state": null, "owner": 0, "attached": false},
            ],
            "keys": [{"alias": "finance", "state": "enabled", "origin": "kms",
                      "created": "2026-11-01T09:30:00Z", "deletion_date": null, "disks": ["db"]}],
        });
        let expected = "\
mount:   /mnt/evs
state:   /var/lib/evsfs
daemon:  evsfs 0.1.0, pid 4242, since 2026-11-24 10:00 UTC
sandbox: off
project: local/default
agency:  EVSAccessKMS
disks:   2, 1 attached
keys:    1, 1 enabled

NAME     SIZE  STATUS     ENCRYPTED  KEY      KEY-STATE  OWNER
db        10G  in-use     yes        finance  enabled    1000
scratch    1M  available  no         -        -          0

ALIAS    STATE    ORIGIN  CREATED           DELETION-DATE  DISKS
finance  enabled  kms     2026-11-01 09:30  -                  1
";
        assert_eq!(overview(&status), expected);
    }

    #[test]
    fn what_wants_attention_stands_before_the_tables_with_what_helps() {
        let text = overview(&json!({
            "mountpoint": "/m", "keys": [],
            "attention": [
                {"about": "key", "name": "old", "message": "will be deleted in 7 days",
                 "remedy": "evsfs key cancel-deletion old"},
                {"about": "job", "name": "1", "message": "backup of db failed", "remedy": null},
            ],
            "disks": [{"name": "db"}],
        }));
        let expected = "
! key old: will be deleted in 7 days
  fix: evsfs key cancel-deletion old
! job 1: backup of db failed

NAME";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn an_empty_project_says_what_to_do_next() {
        let text = overview(&json!({"mountpoint": "/m", "agency": null, "disks": [], "keys": []}));
        assert!(text.contains("agency:  none; encryption needs it: evsfs agency create\n"));
        assert!(text.contains("disks:   none\n"), "{text}");
    }
}
