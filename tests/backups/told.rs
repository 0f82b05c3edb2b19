//! What is told of backups: events, and their control directory.

use crate::rig::{fill, flip, place};
use crate::support::{Mount, Needs, Setup, trial, wait_until};
use libtest_mimic::Trial;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("b12_events_tell_of_backups", Needs::Fuse, b12_events),
        trial("every_value_of_a_backup_is_a_file", Needs::Fuse, values),
    ]
}

fn with_backup() -> Mount {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "4M", &["--encrypted"]);
    fill(&mount, "db", 0, 1);
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    mount
}

/// The events of backups since the file was opened, until there are `count`.
fn next(events: &mut File, count: usize) -> Vec<Value> {
    let mut told = Vec::new();
    wait_until("all is told", || {
        let mut bytes = vec![0; 1 << 16];
        if let Ok(len) = events.read(&mut bytes) {
            let text = String::from_utf8(bytes[..len].to_vec()).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            told.extend(
                lines.filter(|line| line["event"].as_str().unwrap().starts_with("backup.")),
            );
        }
        told.len() >= count
    });
    told
}

/// B12.
fn b12_events() {
    let mount = with_backup();
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut events =
        File::options().read(true).custom_flags(nonblocking).open(mount.control("events")).unwrap();
    let file = mount.scratch().join("file");
    mount.evsfs(&["backup", "create", "db", "c"]).ok();
    mount.evsfs(&["backup", "verify", "b"]).ok();
    mount.evsfs(&["disk", "create", "copy", "--from", "backup:b"]).ok();
    mount.evsfs(&["backup", "export", "b", file.to_str().unwrap()]).ok();
    mount.evsfs(&["backup", "import", "d", file.to_str().unwrap()]).ok();
    mount.evsfs(&["backup", "delete", "d", "--yes"]).ok();
    let told = next(&mut events, 5);
    let names: Vec<_> = told.iter().map(|line| (&line["event"], &line["name"])).collect();
    assert_eq!(
        names.iter().map(|(event, name)| format!("{event} {name}")).collect::<Vec<_>>(),
        [
            "\"backup.created\" \"c\"",
            "\"backup.verified\" \"b\"",
            "\"backup.restored\" \"b\"",
            "\"backup.created\" \"d\"",
            "\"backup.deleted\" \"d\"",
        ]
    );
    assert_eq!((&told[2]["restored_to"], &told[2]["encrypted"]), (&"copy".into(), &true.into()));
    flip(&place(&mount, "b").join("data"), 100);
    mount.evsfs(&["backup", "verify", "b"]).refused(7);
    mount.evsfs(&["disk", "create", "again", "--from", "backup:b"]).refused(7);
    std::fs::write(&file, "no export").unwrap();
    mount.evsfs(&["backup", "import", "d", file.to_str().unwrap()]).refused(7);
    let told = next(&mut events, 3);
    for (line, (verb, name)) in
        told.iter().zip([("verify", "b"), ("restore", "b"), ("import", "d")])
    {
        assert_eq!(line["event"], "backup.failed");
        assert_eq!((&line["verb"], &line["name"]), (&verb.into(), &name.into()), "{told:?}");
        assert_eq!(line["code"], "EVSFS.integrity");
        assert!(line["message"].is_string());
    }
}

/// INTERFACE 1 and 4: one value a file, and the members of `show` are the files' names.
fn values() {
    let mount = with_backup();
    let shown = mount.json(&["backup", "show", "b"]);
    for (member, value) in shown.as_object().unwrap() {
        // The directory's own name.
        if member == "name" {
            continue;
        }
        let file = mount.read_control(&format!("backups/b/{}", member.replace('_', "-")));
        match value {
            Value::Null => assert_eq!(file, "", "{member}"),
            Value::Bool(flag) => assert_eq!(file, if *flag { "yes" } else { "no" }, "{member}"),
            Value::String(text) => assert_eq!(&file, text, "{member}"),
            Value::Array(list) => assert_eq!(file.split_whitespace().count(), list.len()),
            other => assert_eq!(file, other.to_string(), "{member}"),
        }
    }
}
