//! Damaged records and payloads: refused with the file named, the others served.

use crate::rig::three_lines;
use crate::support::{Mount, Needs, Output, run, trial};
use libtest_mimic::Trial;
use serde_json::json;
use std::path::PathBuf;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_damaged_disk_record_is_left_out_with_its_name",
            Needs::Fuse,
            a_damaged_disk_record,
        ),
        trial(
            "a_damaged_key_record_makes_that_key_unusable_and_no_other",
            Needs::Fuse,
            a_damaged_key_record,
        ),
        trial(
            "s5_a_record_edited_while_mounted_is_refused_at_the_next_use",
            Needs::Fuse,
            s5_a_record_edited_while_mounted,
        ),
        trial(
            "an_older_record_is_accepted_when_the_administrator_says_so",
            Needs::Fuse,
            an_older_record_is_accepted,
        ),
        trial("a_payload_shorter_than_its_disk_is_refused", Needs::Fuse, a_short_payload),
        trial(
            "a_damaged_project_record_or_root_key_stops_the_mount",
            Needs::Fuse,
            a_damaged_project,
        ),
        trial(
            "damaged_material_of_one_key_does_not_keep_the_daemon_from_starting",
            Needs::Fuse,
            damaged_material_of_one_key,
        ),
        trial(
            "an_audit_log_that_is_no_file_is_found_by_a_check",
            Needs::Fuse,
            an_audit_log_that_is_no_file,
        ),
    ]
}

/// A mount with the disks `hurt` and `whole`, attached, under keys of the same names.
fn two_disks() -> Mount {
    let mount = Mount::new();
    for name in ["hurt", "whole"] {
        mount.evsfs(&["key", "create", name]).ok();
        mount.attached_disk(name, "1M", &["--key", name]);
        std::fs::write(mount.mountpoint().join(name), [1; 512]).unwrap();
    }
    mount
}

fn check(mount: &Mount) -> Output {
    mount.evsfs_plain(&["check", "-c", mount.config_path().to_str().unwrap()])
}

type Damage = (&'static str, fn(&str) -> String);

/// Ways in which a record gets damaged: a crash of a careless tool, an editor, an attacker.
const DAMAGES: [Damage; 6] = [
    ("cut in half", |text| text[..text.len() / 2].to_owned()),
    ("emptied", |_| String::new()),
    ("one character changed", |text| {
        let at = text.find("created").unwrap() + 12;
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1;
        String::from_utf8(bytes).unwrap()
    }),
    ("a line added", |text| format!("{text}\nowner = 1000\n")),
    ("of a newer format", |text| text.replacen("format = 2", "format = 99", 1)),
    ("not a document", |_| "\u{0}\u{1}garbage = [[[".to_owned()),
];

#[track_caller]
fn is_served(mount: &Mount, disk: &str) {
    let file = mount.mountpoint().join(disk);
    assert_eq!(std::fs::read(file).unwrap()[..512], [1; 512]);
}

fn log_of(mount: &Mount) -> String {
    std::fs::read_to_string(mount.state_dir().join("daemon.log")).unwrap()
}

fn a_damaged_disk_record() {
    let mount = two_disks();
    let record = mount.payload("hurt").with_file_name("disk.toml");
    let other = mount.payload("whole").with_file_name("disk.toml");
    let shown = record.display().to_string();
    mount.stop();
    let sound = std::fs::read_to_string(&record).unwrap();
    let foreign = std::fs::read_to_string(&other).unwrap();
    let mut damaged: Vec<(&str, String)> =
        DAMAGES.iter().map(|(what, damage)| (*what, damage(&sound))).collect();
    damaged.push(("of another disk", foreign));
    for (what, text) in damaged {
        assert_ne!(text, sound, "{what}");
        std::fs::write(&record, text).unwrap();
        let checked = check(&mount);
        assert_eq!(checked.code, 7, "{what}: {checked:?}");
        assert!(checked.stdout.contains(&shown), "{what}: {checked:?}");
        let _ = std::fs::remove_file(mount.state_dir().join("daemon.log"));
        mount.start();
        three_lines(mount.evsfs(&["disk", "show", "hurt"]), 3, "EVS.1002");
        assert!(log_of(&mount).contains("disk.toml"), "{what}: {}", log_of(&mount));
        is_served(&mount, "whole");
        mount.stop();
        assert!(record.exists(), "{what}: the evidence stays");
    }
    std::fs::remove_file(&record).unwrap();
    mount.start();
    is_served(&mount, "whole");
    mount.stop();
    assert!(record.with_file_name("payload").exists(), "a payload is not lost with its record");
    assert_eq!(check(&mount).code, 7);
    std::fs::write(&record, sound).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&record, std::fs::Permissions::from_mode(0o600)).unwrap();
    mount.start();
    is_served(&mount, "hurt");
}

fn key_record(mount: &Mount, alias: &str) -> PathBuf {
    let id = mount.json(&["key", "show", alias])["id"].as_str().unwrap().to_owned();
    mount.state_dir().join("kms/keys").join(format!("{id}.toml"))
}

/// RULES K8: a key record that was edited is refused with the file named; other keys, and their disks,
/// are served.
fn a_damaged_key_record() {
    let mount = two_disks();
    let record = key_record(&mount, "hurt");
    mount.stop();
    let sound = std::fs::read_to_string(&record).unwrap();
    for (what, damage) in DAMAGES {
        std::fs::write(&record, damage(&sound)).unwrap();
        let checked = check(&mount);
        assert_eq!(checked.code, 7, "{what}: {checked:?}");
        let all = format!("{}{}", checked.stdout, checked.stderr);
        assert!(all.contains(record.file_name().unwrap().to_str().unwrap()), "{what}: {all}");
        mount.start();
        is_served(&mount, "whole");
        let attach = mount.evsfs(&["disk", "attach", "hurt"]);
        let exit = attach.code;
        assert!([2, 7].contains(&exit), "{what}: {attach:?}");
        let id = record.file_stem().unwrap().to_str().unwrap();
        for refused in [attach, mount.evsfs(&["key", "show", id])] {
            let text = refused.refused(exit);
            assert!(text.contains(record.to_str().unwrap()), "{what}: {text}");
            assert_eq!(text.lines().count(), 3, "{what}: {text}");
        }
        // Its alias is not known, so no other key gets one.
        mount.evsfs(&["key", "create", "another"]).refused(exit);
        let keys = mount.json(&["key", "list"]);
        let damaged = keys.as_array().unwrap().iter().find(|key| key["id"] == id).unwrap();
        assert_eq!((&damaged["state"], &damaged["alias"]), (&json!("damaged"), &json!(id)));
        assert_eq!(damaged["disks"], json!(["hurt"]));
        assert_eq!(mount.read_control("disks/hurt/key-state"), "damaged");
        assert!(log_of(&mount).contains(record.to_str().unwrap()));
        mount.stop();
    }
    std::fs::write(&record, &sound).unwrap();
    mount.start();
    mount.evsfs(&["disk", "attach", "hurt"]).ok();
    is_served(&mount, "hurt");
    is_served(&mount, "whole");
}

/// RULES K8: edited while the daemon runs, a record is refused at the next use; what is attached goes
/// on, and so does everything else.
fn s5_a_record_edited_while_mounted() {
    let mount = two_disks();
    let record = key_record(&mount, "hurt");
    let enabled = std::fs::read_to_string(&record).unwrap();
    mount.evsfs(&["key", "disable", "hurt"]).ok();
    let disabled = std::fs::read_to_string(&record).unwrap();
    let edited = disabled.replace("state = \"disabled\"", "state = \"enabled\"");
    assert_ne!(edited, disabled);
    for (what, text) in [("edited", edited), ("put back", enabled)] {
        std::fs::write(&record, text).unwrap();
        is_served(&mount, "hurt");
        for verb in [
            &["key", "enable", "hurt"][..],
            &["disk", "create", "new", "--size", "1M", "--encrypted", "--key", "hurt"],
        ] {
            let text = mount.evsfs(verb).refused(7);
            assert!(text.contains(record.to_str().unwrap()), "{what}: {text}");
        }
        assert_eq!(mount.json(&["key", "show", "hurt"])["state"], "disabled", "{what}");
    }
    mount.evsfs(&["disk", "detach", "hurt"]).ok();
    let text = mount.evsfs(&["disk", "attach", "hurt"]).refused(7);
    assert!(text.contains(record.to_str().unwrap()), "{text}");
    std::fs::write(&record, &disabled).unwrap();
    mount.evsfs(&["disk", "attach", "hurt"]).refused(5);
    mount.evsfs(&["key", "enable", "hurt"]).ok();
    mount.evsfs(&["disk", "attach", "hurt"]).ok();
    is_served(&mount, "hurt");

    let record = mount.payload("whole").with_file_name("disk.toml");
    let attached = std::fs::read(&record).unwrap();
    mount.evsfs(&["disk", "detach", "whole"]).ok();
    let detached = std::fs::read(&record).unwrap();
    std::fs::write(&record, attached).unwrap();
    for verb in [
        &["disk", "attach", "whole"][..],
        &["disk", "extend", "whole", "--size", "2M"],
        &["disk", "rewrap", "whole"],
        &["disk", "delete", "whole", "--yes"],
    ] {
        let text = mount.evsfs(verb).refused(7);
        assert!(text.contains(record.to_str().unwrap()), "{text}");
    }
    is_served(&mount, "hurt");
    std::fs::write(&record, detached).unwrap();
    mount.evsfs(&["disk", "attach", "whole"]).ok();
    is_served(&mount, "whole");
}

/// `check --accept` is for who has put an older record back on purpose.
fn an_older_record_is_accepted() {
    let mount = two_disks();
    let record = key_record(&mount, "hurt");
    let older = std::fs::read(&record).unwrap();
    mount.evsfs(&["key", "disable", "hurt"]).ok();
    mount.stop();
    std::fs::write(&record, older).unwrap();
    let text = check(&mount);
    assert!(text.stdout.contains(record.to_str().unwrap()), "{text:?}");
    text.refused(7);
    let config = mount.config_path();
    let accept = ["check", "--accept", "-c", config.to_str().unwrap()];
    let said = mount.evsfs_plain(&accept).ok();
    assert!(said.contains(record.to_str().unwrap()), "{said}");
    check(&mount).ok();
    mount.start();
    assert_eq!(mount.json(&["key", "show", "hurt"])["state"], "enabled");
    is_served(&mount, "hurt");
    let audit = mount.read_control("audit");
    assert!(audit.contains("acceptRecords"), "{audit}");
    mount.evsfs(&["audit", "verify"]).ok();
}

fn a_short_payload() {
    let mount = two_disks();
    let payload = mount.payload("hurt");
    mount.stop();
    let file = std::fs::File::options().write(true).open(&payload).unwrap();
    file.set_len((1 << 20) - 1).unwrap();
    let checked = check(&mount);
    assert!(checked.stdout.contains(payload.to_str().unwrap()), "{checked:?}");
    checked.refused(7);
    mount.start();
    is_served(&mount, "whole");
    let reason = mount.read_control("disks/hurt/error");
    assert!(reason.contains(payload.to_str().unwrap()), "{reason}");
    let text = mount.evsfs(&["disk", "attach", "hurt"]).refused(7);
    assert!(text.contains(payload.to_str().unwrap()), "{text}");
    file.set_len(1 << 20).unwrap();
    mount.evsfs(&["disk", "attach", "hurt"]).ok();
    is_served(&mount, "hurt");
}

fn a_damaged_project() {
    let mount = two_disks();
    mount.stop();
    for file in ["project.toml", "hsm/root.key"] {
        let path = mount.state_dir().join(file);
        let sound = std::fs::read(&path).unwrap();
        let mut edited = sound.clone();
        let middle = edited.len() / 2;
        edited[middle] ^= 1;
        for damage in [edited, sound[..sound.len() / 2].to_vec(), Vec::new()] {
            std::fs::write(&path, damage).unwrap();
            let refused = mount.try_start();
            assert!([7, 8].contains(&refused.code), "{file}: {refused:?}");
            assert!(refused.stderr.lines().count() == 3, "{refused:?}");
            assert!(!mount.mountpoint().join(".evs").exists(), "{file}");
        }
        std::fs::write(&path, sound).unwrap();
    }
    mount.start();
    is_served(&mount, "hurt");
    is_served(&mount, "whole");
}

/// It did when its file was the first by name.
fn damaged_material_of_one_key() {
    let mount = two_disks();
    mount.stop();
    let mut files: Vec<PathBuf> = std::fs::read_dir(mount.state_dir().join("hsm"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("root.key"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 2);
    for file in &files {
        let sound = std::fs::read(file).unwrap();
        std::fs::write(file, &sound[..sound.len() - 1]).unwrap();
        mount.start();
        assert!(log_of(&mount).contains(&format!("{} does not open", file.display())));
        let served = |disk: &&&str| mount.mountpoint().join(disk).exists();
        let (served, lost): (Vec<&&str>, Vec<_>) = ["hurt", "whole"].iter().partition(served);
        assert_eq!((served.len(), lost.len()), (1, 1));
        is_served(&mount, served[0]);
        let refused = mount.evsfs(&["disk", "attach", lost[0]]).refused(7);
        assert!(refused.contains("restore the root key, or the file, from a backup"), "{refused}");
        mount.stop();
        let found = check(&mount);
        assert_eq!(found.code, 7);
        assert!(found.stdout.contains(file.to_str().unwrap()), "{}", found.stdout);
        std::fs::write(file, sound).unwrap();
        mount.start();
        mount.evsfs(&["disk", "attach", lost[0]]).ok();
        is_served(&mount, lost[0]);
        mount.stop();
    }
}

/// A check said that all was sound.
fn an_audit_log_that_is_no_file() {
    let mount = two_disks();
    mount.stop();
    let log = mount.state_dir().join("kms/audit.jsonl");
    let elsewhere = mount.scratch().join("elsewhere");
    std::fs::rename(&log, &elsewhere).unwrap();
    let link = || std::os::unix::fs::symlink(&elsewhere, &log).unwrap();
    let fifo = || drop(run("mkfifo", &["-m", "600", log.to_str().unwrap()]).ok());
    for put in [&link as &dyn Fn(), &fifo] {
        put();
        let found = check(&mount);
        assert_eq!(found.code, 7, "{found:?}");
        assert!(found.stdout.starts_with(log.to_str().unwrap()), "{}", found.stdout);
        std::fs::remove_file(&log).unwrap();
    }
    std::fs::rename(&elsewhere, &log).unwrap();
    check(&mount).ok();
    // What anchors it is found once.
    let anchor = mount.state_dir().join("kms/audit-anchor.toml");
    std::fs::write(&anchor, "").unwrap();
    let found = check(&mount);
    assert!(found.stdout.contains(", 1 with a problem"), "{}", found.stdout);
}
