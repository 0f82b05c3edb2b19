//! docs/JSON.md against what is printed.

use crate::support::{Mount, Needs, Setup, trial, wait_until};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("every_answer_has_the_members_and_types_of_the_document", Needs::Fuse, every_answer),
        trial("events_have_the_members_and_types_of_the_document", Needs::Fuse, events),
        trial("the_document_refers_to_what_it_has", Needs::Nothing, references),
    ]
}

/// Objects, each with its members and their types.
struct Document {
    objects: BTreeMap<String, BTreeMap<String, String>>,
}

impl Document {
    fn read() -> Document {
        let text = include_str!("../../docs/JSON.md");
        let mut objects: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut current = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("## ") {
                current = Some(name.to_owned());
                objects.insert(name.to_owned(), BTreeMap::new());
            } else if let (Some(name), Some(row)) = (&current, line.strip_prefix("| `")) {
                let (member, rest) = row.split_once("` | ").expect(line);
                let (kind, _) = rest.split_once(" |").expect(line);
                let members = objects.get_mut(name).unwrap();
                assert!(members.insert(member.to_owned(), kind.to_owned()).is_none(), "{line}");
            }
        }
        assert!(objects.len() > 25 && objects.values().all(|members| !members.is_empty()));
        Document { objects }
    }

    #[track_caller]
    fn check(&self, object: &str, value: &Value) {
        let documented = self.objects.get(object).unwrap_or_else(|| panic!("no object {object}"));
        let members = value.as_object().unwrap_or_else(|| panic!("{object} is {value}"));
        for (member, value) in members {
            let kind = documented
                .get(member)
                .unwrap_or_else(|| panic!("{object}.{member} is not in docs/JSON.md"));
            let kind = kind.strip_suffix(" if any").unwrap_or(kind);
            assert!(self.fits(kind, value), "{object}.{member} is no {kind}: {value}");
        }
        for (member, kind) in documented {
            let is_there = members.contains_key(member) || kind.ends_with(" if any");
            assert!(is_there, "{object}.{member} of docs/JSON.md is missing: {value}");
        }
    }

    fn check_all(&self, object: &str, values: &Value) {
        let values = values.as_array().unwrap();
        assert!(!values.is_empty(), "no {object} was listed");
        values.iter().for_each(|value| self.check(object, value));
    }

    fn fits(&self, kind: &str, value: &Value) -> bool {
        if let Some(kind) = kind.strip_suffix(" or null") {
            return value.is_null() || self.fits(kind, value);
        }
        if let Some(kind) = kind.strip_prefix("list of ") {
            let values = value.as_array();
            return values.is_some_and(|values| values.iter().all(|value| self.fits(kind, value)));
        }
        match kind {
            "text" => value.is_string(),
            "integer" => value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "time" => value.as_str().is_some_and(|text| {
                text.len() == 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
            }),
            object => {
                self.check(object, value);
                true
            }
        }
    }
}

/// One request on `control` and its answer.
fn ask(mount: &Mount, request: &Value) -> Value {
    let mut file =
        std::fs::File::options().read(true).write(true).open(mount.control("control")).unwrap();
    file.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    file.read_to_string(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

fn every_answer() {
    let document = Document::read();
    let mount = Setup::default().prepare();
    let config = mount.config_path();
    let config = config.to_str().unwrap();
    let plain = |words: &[&str]| -> Value {
        let mut all = vec!["--json"];
        all.extend_from_slice(words);
        serde_json::from_str(&mount.evsfs_plain(&all).ok()).unwrap()
    };
    let (new, mnt) = (mount.scratch().join("new"), mount.mountpoint());
    let places = [new.join("mount.toml"), mnt, new.join("state")];
    let [file, mnt, state] = places.each_ref().map(|place| place.to_str().unwrap());
    std::fs::create_dir(&new).unwrap();
    let init = ["init", "-c", file, "--mountpoint", mnt, "--state-dir", state];
    document.check("made", &plain(&init));
    document.check("check report", &plain(&["check", "-c", config]));
    document.check("mount", &plain(&["mount", "-c", config]));
    document.check("agency", &mount.json(&["agency", "show"]));
    document.check("agency", &mount.json(&["agency", "create"]));

    document.check("key", &mount.json(&["key", "create", "finance"]));
    document.check("key", &mount.json(&["key", "create", "own", "--external"]));
    document.check("key", &mount.json(&["key", "rotate", "finance"]));
    document.check("key", &mount.json(&["key", "rotation", "finance", "on", "--days", "90"]));
    document.check("import parameters", &mount.json(&["key", "import-parameters", "own"]));
    mount.json(&["key", "schedule-deletion", "own", "--days", "7", "--yes"]);
    document.check_all("key", &mount.json(&["key", "list"]));

    let create = ["disk", "create", "db", "--size", "1M", "--key", "finance"];
    document.check("disk", &mount.json(&create));
    document.check("disk", &mount.json(&["disk", "attach", "db"]));
    document.check("disk", &mount.json(&["disk", "suspend", "db"]));
    document.check_all("disk", &mount.json(&["disk", "resume", "--all"]));
    let dk = mount.scratch().join("dk");
    let export =
        ["disk", "export-header", "db", "--format", "dk", "--output", dk.to_str().unwrap()];
    document.check("exported key", &mount.json(&export));
    document
        .check("disk", &mount.json(&["disk", "create", "plain", "--size", "1M", "--unencrypted"]));
    document.check_all("disk", &mount.json(&["disk", "list"]));
    std::fs::write(mount.mountpoint().join("db"), vec![7; 1 << 19]).unwrap();

    document.check("job", &mount.json(&["backup", "create", "db", "monday"]));
    document.check("job", &mount.json(&["backup", "create", "db", "tuesday"]));
    document.check("backup", &mount.json(&["backup", "show", "tuesday"]));
    let file = mount.scratch().join("monday.evsbackup");
    let file = file.to_str().unwrap();
    document.check("backup", &mount.json(&["backup", "export", "monday", file]));
    document.check("backup", &mount.json(&["backup", "import", "again", file]));
    document.check_all("backup", &mount.json(&["backup", "list"]));
    document.check("image", &mount.json(&["image", "create", "golden", "--disk", "db"]));
    document.check_all("image", &mount.json(&["image", "list"]));
    document.check("server", &mount.json(&["server", "create", "web", "--image", "golden"]));
    document.check_all("server", &mount.json(&["server", "list"]));
    assert!(mount.json(&["server", "show", "web", "--qemu"]).is_string());
    let started = mount.json(&["backup", "verify", "monday", "--no-wait"]);
    document.check("started job", &started);
    let jobs = mount.json(&["job", "list"]);
    document.check_all("job", &jobs);
    let id = jobs[0]["id"].as_str().unwrap();
    document.check("job", &mount.json(&["job", "show", id]));

    document.check_all("audit entry", &mount.json(&["audit", "show"]));
    document.check("audit report", &mount.json(&["audit", "verify"]));
    let status = mount.json(&["status"]);
    document.check("status", &status);
    document.check_all("attention", &status["attention"]);
    let activity = mount.json(&["top"]);
    document.check("activity", &activity);
    document.check_all("disk activity", &activity["disks"]);
    document.check("operation", &activity["disks"][0]["write"]);
    let checkup = mount.evsfs_plain(&["--json", "doctor", "-c", config]);
    let checkup: Value = serde_json::from_str(&checkup.stdout).unwrap();
    document.check("checkup", &checkup);
    document.check_all("check", &checkup["checks"]);

    let refused = ask(&mount, &json!({"op": "disk.attach", "name": "db"}));
    document.check("refusal", &refused["error"]);
    let default = ask(&mount, &json!({"op": "default-encryption.show"}));
    document.check("default encryption", &default["ok"]);
    let dry = mount.json(&["disk", "delete", "plain", "--dry-run"]);
    document.check("disk deletion", &dry);
    // A backup that is being read is not deleted.
    wait_until("the verification has ended", || {
        mount.json(&["job", "show", started["job"].as_str().unwrap()])["state"] == "done"
    });
    let dry = mount.json(&["backup", "delete", "monday", "--dry-run"]);
    document.check("backup deletion", &dry);
    let dry = ["key", "schedule-deletion", "finance", "--days", "7", "--dry-run"];
    document.check("key", &mount.json(&dry));
    assert_eq!(mount.json(&["disk", "delete", "plain", "--yes"]), json!({}));
    let pages = mount.scratch().join("man");
    document.check("pages", &plain(&["man", pages.to_str().unwrap()]));
    let mountpoint = mount.mountpoint();
    let lost = mount.payload("db").with_file_name("disk.toml");
    document.check("unmounted", &plain(&["umount", mountpoint.to_str().unwrap()]));
    std::fs::remove_file(lost).unwrap();
    let found = mount.evsfs_plain(&["--json", "check", "-c", config]);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    document.check("check report", &found);
    document.check_all("finding", &found["findings"]);
}

fn events() {
    let document = Document::read();
    let mount = Mount::new();
    let mut events = BufReader::new(std::fs::File::open(mount.control("events")).unwrap());
    mount.attached_disk("db", "1M", &[]);
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    mount.evsfs(&["disk", "create", "of-b", "--from", "backup:b"]).ok();
    mount.evsfs(&["image", "create", "golden", "--disk", "db"]).ok();
    mount.evsfs(&["server", "create", "web", "--image", "golden"]).ok();
    mount.evsfs(&["agency", "delete", "--yes"]).ok();
    let mut seen = std::collections::BTreeSet::new();
    wait_until("all kinds of events were told", || {
        let mut line = String::new();
        events.read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        document.check("event", &event);
        seen.insert(event["event"].as_str().unwrap().split('.').next().unwrap().to_owned());
        seen.len() == 7
    });
}

/// Every link of the table of commands leads to an object, and every type is one.
fn references() {
    let document = Document::read();
    let text = include_str!("../../docs/JSON.md");
    for link in text.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap().replace('-', " ");
        assert!(document.objects.contains_key(&anchor), "there is no {anchor}");
    }
    for (object, members) in &document.objects {
        for kind in members.values() {
            let kind = kind.strip_suffix(" if any").unwrap_or(kind);
            let kind = kind.strip_suffix(" or null").unwrap_or(kind);
            let kind = kind.strip_prefix("list of ").unwrap_or(kind);
            let is_plain = ["text", "time", "integer", "number", "boolean"].contains(&kind);
            assert!(is_plain || document.objects.contains_key(kind), "{object}: {kind}");
        }
    }
}
