//! Every verb once: table, JSON, exit code.

use crate::rig::three_lines;
use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use serde_json::{Value, json};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("every_disk_verb_answers_people", Needs::Fuse, every_disk_verb_answers_people),
        trial("every_key_verb_answers_people", Needs::Fuse, every_key_verb_answers_people),
        trial("json_of_disks_has_the_documented_members", Needs::Fuse, json_of_disks),
        trial("json_of_keys_has_the_documented_members", Needs::Fuse, json_of_keys),
        trial("json_of_every_other_verb_is_json", Needs::Fuse, json_of_every_other_verb),
        trial("destructive_verbs_want_yes_of_a_script", Needs::Fuse, destructive_verbs_want_yes),
        trial("the_mount_is_named_by_option_or_environment", Needs::Fuse, the_mount_is_named),
        trial("an_answer_into_a_closed_pipe_is_no_error", Needs::Fuse, a_closed_pipe),
    ]
}

/// The answer on stdout, with nothing on stderr.
#[track_caller]
fn said(mount: &Mount, words: &str) -> String {
    let output = mount.evsfs(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(output.stderr, "", "{words}");
    output.ok()
}

#[track_caller]
fn shows(mount: &Mount, words: &str, parts: &[&str]) {
    let text = said(mount, words);
    for part in parts {
        assert!(text.contains(part), "{words}: {part:?} is not in\n{text}");
    }
}

fn every_disk_verb_answers_people() {
    let mount = Mount::new();
    let empty = mount.evsfs(&["disk", "list"]);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, ""));
    assert!(empty.stderr.contains("evsfs disk create"), "{}", empty.stderr);

    shows(&mount, "disk create db --size 8M", &["NAME", "db", "8M", "available", "yes"]);
    let path = mount.mountpoint().join("db");
    assert_eq!(said(&mount, "disk attach db"), format!("{}\n", path.display()));
    assert!(path.is_file());
    shows(&mount, "disk list", &["NAME", "SIZE", "STATUS", "ENCRYPTED", "KEY-STATE", "in-use"]);
    shows(&mount, "disk show db", &["name", "status", "in-use", "key-state", "enabled"]);
    shows(&mount, "disk extend db --size 16M", &["16M"]);
    shows(&mount, "disk detach db", &["db", "detached"]);
    said(&mount, "disk attach db --read-only");
    shows(&mount, "disk show db", &["read-only"]);
    shows(&mount, "status", &["mount", "agency", "EVSAccessKMS", "db", "evs/default", "pid"]);
    shows(&mount, "disk detach db --force --yes", &["detached"]);
    shows(&mount, "disk delete db --yes", &["deleted"]);
    let unmounted = mount.evsfs_plain(&["umount", mount.mountpoint().to_str().unwrap()]).ok();
    assert_eq!(unmounted, format!("unmounted {}\n", mount.mountpoint().display()));
    let mounted = mount.try_start().ok();
    assert!(mounted.starts_with(&format!("mounted {} (pid ", mount.mountpoint().display())));
}

fn every_key_verb_answers_people() {
    let mount = Setup::default().prepare();
    mount.start();
    shows(&mount, "agency show", &["evsfs agency create"]);
    shows(&mount, "agency create", &["EVSAccessKMS"]);
    assert_eq!(said(&mount, "agency show"), "EVSAccessKMS\n");
    shows(
        &mount,
        "key create finance --description money",
        &["ALIAS", "finance", "enabled", "kms"],
    );
    shows(&mount, "key create bare --external", &["pending-import", "external"]);
    shows(&mount, "key list", &["ALIAS", "STATE", "ORIGIN", "finance", "bare"]);
    shows(&mount, "key show finance", &["alias", "finance", "description", "money", "version"]);
    shows(&mount, "key disable finance", &["finance", "disabled"]);
    shows(&mount, "key enable finance", &["finance", "enabled"]);
    shows(&mount, "key schedule-deletion finance --days 7 --yes", &["finance", "deleted", "UTC"]);
    shows(&mount, "key cancel-deletion finance", &["finance", "disabled"]);
    shows(&mount, "key set-alias finance money", &["finance", "money"]);
    let described = mount.evsfs(&["key", "describe", "money", "the money department"]).ok();
    assert!(described.contains("money"), "{described}");
    shows(&mount, "key show money", &["the money department"]);
    shows(&mount, "agency delete --yes", &["EVSAccessKMS", "deleted"]);
}

/// The members of an object, in their order.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// "times are RFC 3339": seconds and UTC.
#[track_caller]
fn is_rfc_3339(value: &Value) {
    let text = value.as_str().unwrap();
    assert!(text.parse::<jiff::Timestamp>().is_ok() && text.ends_with('Z'), "{text}");
}

const DISK: [&str; 16] = [
    "id",
    "name",
    "status",
    "size",
    "encrypted",
    "key",
    "key_state",
    "key_version",
    "sector_size",
    "owner",
    "created",
    "attached",
    "read_only",
    "source",
    "server",
    "error",
];

/// "`list` gives an array of objects, `show` and `create` one object; keys are the control
/// directory's file names in snake_case, `encrypted`, `attached`, `read_only` are booleans, `size`
/// is bytes, times are RFC 3339."
fn json_of_disks() {
    let mount = Mount::new();
    assert_eq!(mount.json(&["disk", "list"]), json!([]));
    let created = mount.json(&["disk", "create", "db", "--size", "8M"]);
    assert_eq!(members(&created), DISK);
    let expected = json!({
        "id": created["id"], "name": "db", "status": "available", "size": 8 << 20,
        "encrypted": true, "key": "evs/default", "key_state": "enabled", "key_version": 1,
        "sector_size": 4096,
        "owner": 0, "created": created["created"], "attached": false, "read_only": false,
        "source": null, "server": null, "error": null,
    });
    assert_eq!(created, expected);
    is_rfc_3339(&created["created"]);
    assert_eq!(created["id"].as_str().unwrap().len(), 36);
    assert_eq!(mount.json(&["disk", "show", "db"]), created);
    assert_eq!(mount.json(&["disk", "list"]), json!([created]));

    let attached = mount.json(&["disk", "attach", "db", "--read-only"]);
    assert_eq!((&attached["attached"], &attached["read_only"]), (&json!(true), &json!(true)));
    assert_eq!(attached["status"], "in-use");
    mount.json(&["disk", "detach", "db"]);
    assert_eq!(mount.json(&["disk", "extend", "db", "--size", "16M"])["size"], 16 << 20);
    let files: Vec<String> = crate::rig::names_in(&mount.control("disks/db"));
    for member in DISK.iter().filter(|member| **member != "name") {
        assert!(files.contains(&member.replace('_', "-")), "{member} is no file: {files:?}");
    }
    let plain = mount.json(&["disk", "create", "plain", "--size", "1M", "--unencrypted"]);
    assert_eq!((&plain["encrypted"], &plain["key"]), (&json!(false), &Value::Null));
    mount.json(&["disk", "delete", "db", "--yes"]);
}

fn json_of_keys() {
    let mount = Mount::new();
    assert_eq!(mount.json(&["key", "list"]), json!([]));
    let created = mount.json(&["key", "create", "finance", "--description", "money"]);
    let expected = json!({
        "id": created["id"], "alias": "finance", "state": "enabled", "origin": "kms",
        "created": created["created"], "deletion_date": null, "version": 1, "rotation": "off",
        "rotation_date": null, "expiry_date": null,
        "versions": [{"version": 1, "created": created["created"], "disks": 0,
                      "backups": 0, "images": 0}],
        "description": "money", "deletion_waits_until": null, "disks": [], "attached_disks": [],
        "foreign_disks": 0,
        "backups": [],
        "foreign_backups": 0,
        "images": [],
        "foreign_images": 0,
    });
    assert_eq!(created, expected);
    is_rfc_3339(&created["created"]);
    mount.json(&["disk", "create", "db", "--size", "1M", "--key", "finance"]);
    let shown = mount.json(&["key", "show", "finance"]);
    assert_eq!(shown["disks"], json!(["db"]));
    assert_eq!(mount.json(&["key", "list"]), json!([shown]));
    assert_eq!(mount.json(&["key", "disable", "finance"])["state"], "disabled");
    assert_eq!(mount.json(&["disk", "show", "db"])["key_state"], "disabled");
    let scheduled = mount.json(&["key", "schedule-deletion", "finance", "--days", "30", "--yes"]);
    assert_eq!(scheduled["state"], "pending-deletion");
    is_rfc_3339(&scheduled["deletion_date"]);
    let kept = mount.json(&["key", "cancel-deletion", "finance"]);
    assert_eq!((&kept["state"], &kept["deletion_date"]), (&json!("disabled"), &Value::Null));
    assert_eq!(mount.json(&["key", "enable", "finance"])["state"], "enabled");
    assert_eq!(mount.json(&["key", "set-alias", "finance", "money"])["alias"], "money");
    assert_eq!(mount.json(&["key", "describe", "money", "x y"])["description"], "x y");
    let files = crate::rig::names_in(&mount.control("keys/money"));
    for member in members(&shown).into_iter().filter(|member| *member != "alias") {
        assert!(files.contains(&member.replace('_', "-")), "{member} is no file: {files:?}");
    }
}

fn json_of_every_other_verb() {
    let mount = Setup::default().prepare();
    let config = mount.config_path();
    let config = config.to_str().unwrap();
    let plain = |words: &[&str]| -> Value {
        let mut all = vec!["--json"];
        all.extend_from_slice(words);
        serde_json::from_str(&mount.evsfs_plain(&all).ok()).unwrap()
    };
    assert_eq!(plain(&["check", "-c", config])["findings"], json!([]));
    let mounted = plain(&["mount", "-c", config]);
    assert_eq!(mounted["mountpoint"], mount.mountpoint().to_str().unwrap());
    assert!(mounted["pid"].is_u64());
    assert_eq!(mount.json(&["agency", "show"])["name"], Value::Null);
    assert_eq!(mount.json(&["agency", "create"])["name"], "EVSAccessKMS");
    let status = mount.json(&["status"]);
    for member in
        ["mountpoint", "state_dir", "version", "pid", "started", "agency", "disks", "keys"]
    {
        assert!(!status[member].is_null(), "{member}: {status}");
    }
    is_rfc_3339(&status["started"]);
    assert_eq!(status["pid"], mounted["pid"]);
    mount.json(&["agency", "delete", "--yes"]);
    let unmounted = plain(&["umount", mount.mountpoint().to_str().unwrap()]);
    assert_eq!(unmounted["unmounted"], mount.mountpoint().to_str().unwrap());
}

/// "Destructive verbs ask for the object's name on a terminal; `--yes` for scripts."
fn destructive_verbs_want_yes() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "1M", &["--key", "finance"]);
    for words in [
        &["disk", "detach", "db", "--force"][..],
        &["disk", "delete", "db"],
        &["key", "schedule-deletion", "finance", "--days", "7"],
        &["agency", "delete"],
    ] {
        let [_, _, fix] = three_lines(mount.evsfs(words), 2, "EVSFS.invalid");
        assert!(fix.contains("--yes"), "{fix}");
    }
    assert_eq!(mount.json(&["disk", "show", "db"])["status"], "in-use");
    assert_eq!(mount.json(&["key", "show", "finance"])["state"], "enabled");
    assert_eq!(mount.read_control("agency"), "EVSAccessKMS");
}

/// "`--mount DIR` or EVSFS_MOUNT names the mount."
fn the_mount_is_named() {
    let mount = Mount::new();
    let listed = |command: &mut std::process::Command| {
        let output = command.args(["disk", "list", "--json"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let program = || std::process::Command::new(mount.program());
    let ok = (Some(0), "[]\n".to_owned());
    assert_eq!(listed(program().arg("--mount").arg(mount.mountpoint())), ok);
    assert_eq!(listed(program().env("EVSFS_MOUNT", mount.mountpoint())), ok);
    // The option is nearer than the environment.
    let nearer =
        listed(program().env("EVSFS_MOUNT", "/nowhere").arg("--mount").arg(mount.mountpoint()));
    assert_eq!(nearer, ok);
    assert_eq!(listed(program().env("EVSFS_MOUNT", "/nowhere")).0, Some(11));
}

fn a_closed_pipe() {
    let mount = Mount::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = std::process::Command::new(mount.program())
        .arg("--mount")
        .arg(mount.mountpoint())
        .args(["status"])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
