//! `--dry-run`: what a verb would do, which the daemon says and does not do.

use super::amounts;
use super::blast_radius::{counted, disks_under};
use super::disk;
use super::failure::Outcome;
use super::key;
use super::object::Object;
use super::request::Request;
use super::session::Session;
use crate::id::Name;
use serde_json::Value;

/// What deleting a disk would do.
pub(super) fn disk_deletion(session: &mut Session<'_>, name: &str) -> Outcome {
    let answer = session.call(&dry(disk::named("disk.delete", name)?))?;
    session.answer(&answer, |answer| {
        let disk = Object::of(answer);
        let mut text = format!("would delete disk {name:?}, of {}", disk.text("size"));
        text.push_str(match (disk.text("payload_left"), disk.is("encrypted")) {
            (place, _) if place.is_empty() => ", and all data on it\n",
            (_, true) => ": its record and its data key\n",
            (_, false) => ": its record\n",
        });
        if !disk.text("payload_left").is_empty() {
            text.push_str(&format!("its payload stays in {}\n", disk.text("payload_left")));
        }
        text.push_str(&match disk.text("backups") {
            backups if backups.is_empty() => "it has no backups\n".to_owned(),
            backups => format!("its backups stay: {backups}\n"),
        });
        text
    })
}

/// What deleting a backup would do.
pub(super) fn backup_deletion(session: &mut Session<'_>, name: &str) -> Outcome {
    let name = Name::parse(name)?;
    let request = Request::new("backup.delete").with("name", name.as_str());
    let answer = session.call(&dry(request))?;
    session.answer(&answer, |answer| {
        let backup = Object::of(answer);
        let number = |key: &str| backup.get(key).and_then(Value::as_u64);
        let name = name.as_str();
        let Some(stored) = number("stored") else {
            return format!("would give up the import of backup {name:?}\n");
        };
        let stored = amounts::bytes(stored);
        let mut text = format!("would delete backup {name:?}, which holds {stored} itself\n");
        let children = backup.get("children").and_then(Value::as_array).map_or(0, Vec::len);
        if children == 0 {
            text.push_str("no backup is built upon it\n");
        } else {
            text.push_str(&format!(
                "built upon it, and stay whole: {}; at most {} are copied for that\n",
                backup.text("children"),
                amounts::bytes(number("taken_over").unwrap_or(0))
            ));
        }
        text
    })
}

/// What scheduling a key's deletion would do.
pub(super) fn key_deletion(session: &mut Session<'_>, alias: &str, days: u32) -> Outcome {
    let request = key::named("key.schedule-deletion", alias)?.with("days", days);
    let answer = session.call(&dry(request))?;
    session.answer(&answer, |key| {
        let date = Object::of(key).text("deletion_date");
        let mut text =
            format!("would make key {alias:?} unusable now, and delete it at {date} UTC\n");
        text.push_str(&match disks_under(key) {
            Some(lost) => format!("then lost for ever: {lost}\n"),
            None => "no disk, backup or image is under it\n".to_owned(),
        });
        let days = counted(u64::from(days), "day");
        text.push_str(&format!("it can be kept for {days}: evsfs key cancel-deletion {alias}\n"));
        text
    })
}

fn dry(request: Request) -> Request {
    request.with("dry_run", true)
}
