//! `evsfs events`: what happens in the mount, as it happens.

use super::failure::{Failure, Outcome};
use super::object::Object;
use super::refusal::one_line;
use super::session::Session;
use crate::error::{Error, ErrorKind};
use rustix::io::Errno;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// Members that every line begins with, or that name the object.
const FIRST: [&str; 5] = ["time", "event", "name", "alias", "id"];

/// Shows events until the mount goes or, if a number is given, that many have come.
pub(super) fn run(session: &mut Session<'_>, count: Option<u64>) -> Outcome {
    let mount = session.mountpoint()?;
    let file = mount.join(".evs/events");
    let opened = File::open(&file).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NoMount, format!("no evsfs answers on {}", mount.display()))
                .remedy("evsfs mount")
        }
        _ => Error::io(format!("opening {}", file.display()), cause),
    })?;
    let mut events = BufReader::new(opened);
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        let mut line = String::new();
        match events.read_line(&mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(cause) => match Errno::from_io_error(&cause) {
                Some(Errno::NOTCONN | Errno::CONNABORTED | Errno::NODEV) => return Ok(()),
                _ => return Err(Error::io("reading events", cause).into()),
            },
        }
        let text = if session.global.json { line } else { people(&line) };
        session.stdout.write_all(text.as_bytes()).and_then(|()| session.stdout.flush()).map_err(
            |cause| match cause.kind() {
                std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
                _ => Failure::from(Error::io("writing the answer to stdout", cause)),
            },
        )?;
        shown += 1;
    }
    Ok(())
}

/// `2026-11-24 10:00  disk.attached  db  status=in-use ...`
fn people(line: &str) -> String {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return line.to_owned() };
    let object = Object::of(&event);
    let name = ["name", "alias", "id"].iter().map(|key| object.text(key)).find(|t| !t.is_empty());
    let mut text = format!(
        "{:16}  {:16}  {}",
        object.text("time"),
        object.text("event"),
        name.unwrap_or_default()
    );
    for (key, value) in object.facts(&FIRST) {
        if !FIRST.contains(&key.as_str()) && !value.is_empty() {
            text.push_str(&format!("  {key}={value}"));
        }
    }
    one_line(text.trim_end()) + "\n"
}

#[cfg(test)]
mod tests {
    use super::people;

    #[test]
    fn an_event_is_one_line_with_its_object_first() {
        let line = r#"{"time":"2026-11-24T10:00:31Z","event":"disk.attached","name":"db","id":"x","status":"in-use","size":1048576,"owner":0}"#;
        assert_eq!(
            people(line),
            "2026-11-24 10:00  disk.attached     db  status=in-use  size=1M  owner=0\n"
        );
        assert_eq!(people("{\"event\":\"lost\"}\n").trim(), "lost");
    }
}
