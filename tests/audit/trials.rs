//! The trials.

use crate::support::{Mount, Needs, Setup, run, trial, wait_until};
use libtest_mimic::Trial;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "the_log_tells_what_was_asked_of_keys_and_agency_and_by_whom",
            Needs::Fuse,
            the_log_tells_what_was_asked_of_keys_and_agency_and_by_whom,
        ),
        trial(
            "a_log_that_is_followed_shows_entries_as_they_come_and_ends_with_the_mount",
            Needs::Fuse,
            a_log_that_is_followed_shows_entries_as_they_come_and_ends_with_the_mount,
        ),
        trial(
            "the_log_is_absent_for_who_is_no_kms_administrator",
            Needs::Root,
            the_log_is_absent_for_who_is_no_kms_administrator,
        ),
        trial(
            "a_log_that_was_cut_or_edited_is_found_mounted_or_not",
            Needs::Fuse,
            a_log_that_was_cut_or_edited_is_found_mounted_or_not,
        ),
        trial(
            "a_full_disk_refuses_what_cannot_be_recorded_and_attached_disks_go_on",
            Needs::Root,
            a_full_disk_refuses_what_cannot_be_recorded_and_attached_disks_go_on,
        ),
        trial(
            "a_killed_daemon_leaves_a_log_that_is_whole",
            Needs::Fuse,
            a_killed_daemon_leaves_a_log_that_is_whole,
        ),
    ]
}

/// Entries as `event outcome`.
fn told(mount: &Mount) -> Vec<String> {
    let entries = mount.json(&["audit", "show"]);
    let shown = |entry: &Value| {
        format!("{} {}", entry["event"].as_str().unwrap(), entry["outcome"].as_str().unwrap())
    };
    entries.as_array().unwrap().iter().map(shown).collect()
}

fn the_log_tells_what_was_asked_of_keys_and_agency_and_by_whom() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "1M", &["--encrypted", "--key", "finance"]);
    mount.evsfs(&["key", "disable", "finance"]).ok();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "attach", "db"]).refused(5);
    mount.evsfs(&["agency", "delete", "--yes"]).ok();
    mount.evsfs(&["agency", "delete", "--yes"]).refused(3);
    assert_eq!(
        told(&mount),
        [
            "startAuditLog ok",
            "createAgency ok",
            "createKey ok",
            "createDatakey ok",
            "decryptDatakey ok",
            "disableKey ok",
            "decryptDatakey KMS.0209",
            "deleteAgency ok",
            "deleteAgency EVSFS.not-found",
        ]
    );
    let uid = rustix::process::geteuid().as_raw().to_string();
    let entries = mount.json(&["audit", "show"]);
    assert_eq!((&entries[0]["caller"], &entries[1]["caller"]), (&"evsfs".into(), &uid.into()));
    let (disk, key) =
        (mount.json(&["disk", "show", "db"]), mount.json(&["key", "show", "finance"]));
    assert_eq!((&entries[4]["disk"], &entries[4]["key"]), (&disk["id"], &key["id"]));

    let table = mount.evsfs(&["audit", "show"]).ok();
    assert!(table.starts_with("SEQ  TIME"), "{table}");
    assert!(table.lines().nth(4).unwrap().contains("createDatakey"), "{table}");
    // The same lines in the file, in the state directory, and by the control file.
    let file = std::fs::read(mount.control("audit")).unwrap();
    assert_eq!(file, std::fs::read(mount.state_dir().join("kms/audit.jsonl")).unwrap());
    let report = mount.evsfs(&["audit", "verify"]).ok();
    assert_eq!(report, "9 entries, all as they were written\n");
    mount.stop();
    let config = mount.config_path();
    let report = mount.evsfs_plain(&["audit", "verify", "-c", config.to_str().unwrap(), "--json"]);
    let report: Value = serde_json::from_str(&report.ok()).unwrap();
    assert_eq!((&report["entries"], &report["fault"]), (&9.into(), &Value::Null));
}

fn a_log_that_is_followed_shows_entries_as_they_come_and_ends_with_the_mount() {
    let mount = Mount::new();
    let mut follower = Command::new(mount.program())
        .args(["--mount", mount.mountpoint().to_str().unwrap(), "audit", "show", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().contains("OUTCOME"));
    assert!(next().contains("startAuditLog"));
    assert!(next().contains("createAgency"));
    mount.evsfs(&["key", "create", "finance"]).ok();
    let line = next();
    assert!(line.contains("createKey") && line.contains("finance"), "{line}");
    mount.evsfs(&["umount", "--force"]).ok();
    wait_until("the follower has ended", || follower.try_wait().unwrap().is_some());
    assert!(follower.wait().unwrap().success());
}

/// RULES A7: who may not read it does not find it.
fn the_log_is_absent_for_who_is_no_kms_administrator() {
    let users = "[mount]\nallow_other = true\n\
        [[user]]\nname = \"user\"\nuid = 1000\nroles = [\"evs-user\", \"evs-administrator\"]\n\
        [[user]]\nname = \"keeper\"\nuid = 1001\nroles = [\"kms-administrator\"]\n";
    let mount = Setup::with(users).mount();
    let audit = mount.control("audit");
    let audit = audit.to_str().unwrap();
    let directory = mount.control("");
    let list = |uid| mount.as_uid(uid, "ls", &[directory.to_str().unwrap()]).ok();
    assert!(!list(1000).contains("audit") && list(1001).contains("audit"));
    let refused = mount.as_uid(1000, "cat", &[audit]);
    assert!(refused.stderr.contains("No such file"), "{}", refused.stderr);
    assert!(mount.as_uid(1001, "cat", &[audit]).ok().contains("createAgency"));
    let mode = mount.as_uid(1001, "stat", &["-c", "%a", audit]).ok();
    assert_eq!(mode, "400\n");
    // What a user's roles do not allow is recorded too.
    let create = mount.control("keys/create");
    let write = format!("echo alias=mine > {}", create.display());
    assert_ne!(mount.as_uid(1000, "sh", &["-c", &write]).code, 0);
    let request = r#"{"op":"key.create","alias":"mine"}"#;
    let ask =
        format!("exec 3<>{}; echo '{request}' >&3; cat <&3", mount.control("control").display());
    assert!(mount.as_uid(1000, "sh", &["-c", &ask]).ok().contains("denied"));
    let entries = mount.json(&["audit", "show"]);
    let last = entries.as_array().unwrap().last().unwrap();
    assert_eq!((&last["caller"], &last["outcome"]), (&"1000".into(), &"EVSFS.denied".into()));
    for request in [r#"{"op":"audit.show"}"#, r#"{"op":"audit.verify"}"#] {
        let ask = format!(
            "exec 3<>{}; echo '{request}' >&3; cat <&3",
            mount.control("control").display()
        );
        assert!(mount.as_uid(1000, "sh", &["-c", &ask]).ok().contains("denied"));
        assert!(mount.as_uid(1001, "sh", &["-c", &ask]).ok().starts_with("{\"ok\""));
    }
    mount.stop();
}

fn a_log_that_was_cut_or_edited_is_found_mounted_or_not() {
    let mount = Mount::new();
    for alias in ["a", "b", "c"] {
        mount.evsfs(&["key", "create", alias]).ok();
    }
    let log = mount.state_dir().join("kms/audit.jsonl");
    let whole = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let edited = whole.replacen("createKey", "enableKey", 1);
    let config = mount.config_path();
    let config = config.to_str().unwrap();
    let cases = [(lines[..4].concat(), 5), (edited, 3), ([lines[0], lines[2]].concat(), 2)];
    for (text, seq) in &cases {
        std::fs::write(&log, text).unwrap();
        let refusal = mount.evsfs(&["audit", "verify"]).refused(7);
        assert!(refusal.contains(&format!("entry {seq} ")), "{refusal}");
    }
    mount.stop();
    for (text, seq) in &cases {
        std::fs::write(&log, text).unwrap();
        let refusal = mount.evsfs_plain(&["audit", "verify", "-c", config]).refused(7);
        assert!(refusal.contains(&format!("entry {seq} ")), "{refusal}");
    }
    // A damaged log keeps nobody from their disks, and stays damaged.
    mount.start();
    mount.evsfs(&["key", "disable", "a"]).ok();
    mount.evsfs(&["audit", "verify"]).refused(7);
    mount.stop();
}

/// A small filesystem of its own, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(name: &str) -> SmallDisk {
        let path = std::env::temp_dir().join(format!("evsfs-audit-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let options = "size=4m,mode=0755";
        run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", path.to_str().unwrap()]).ok();
        SmallDisk(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.to_str().unwrap_or_default()]);
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn a_full_disk_refuses_what_cannot_be_recorded_and_attached_disks_go_on() {
    let small = SmallDisk::new("full");
    let setup = Setup { state_dir: Some(small.0.join("state")), ..Setup::default() };
    let mount = setup.mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let db = mount.attached_disk("db", "1M", &["--encrypted", "--key", "finance"]);
    std::fs::write(&db, vec![7; 4096]).unwrap();
    // Until nothing fits any more, not even into the log's last page.
    let filler = small.0.join("filler");
    run("dd", &["if=/dev/zero", &format!("of={}", filler.display()), "bs=4096"]);
    let mut refusals = 0;
    for _ in 0..64 {
        let tried = mount.evsfs(&["key", "disable", "finance"]);
        if tried.code == 9 {
            refusals += 1;
            assert!(tried.stderr.contains("no-space"), "{}", tried.stderr);
            break;
        }
        mount.evsfs(&["key", "enable", "finance"]);
    }
    assert_eq!(refusals, 1, "the disk was never full");
    let state = mount.json(&["key", "show", "finance"])["state"].clone();
    // Both are read from what is acknowledged.
    mount.evsfs(&["audit", "verify"]).ok();
    assert_eq!(std::fs::read(&db).unwrap()[..4096], [7; 4096]);
    std::fs::write(&db, b"goes on").unwrap();
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(mount.json(&["key", "show", "finance"])["state"], state);
    mount.evsfs(&["key", "create", "other"]).ok();
    mount.evsfs(&["audit", "verify"]).ok();
    mount.stop();
}

fn a_killed_daemon_leaves_a_log_that_is_whole() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let create = mount.control("keys/create");
    for round in 0..3 {
        // Killed while keys are being made.
        let busy = format!(
            "i=0; while echo alias=r{round}-$i > {}; do i=$((i+1)); done 2>/dev/null",
            create.display()
        );
        let mut writer = Command::new("sh").args(["-c", &busy]).spawn().unwrap();
        let before = mount.json(&["key", "list"]).as_array().unwrap().len();
        wait_until("some keys were made", || {
            mount.json(&["key", "list"]).as_array().unwrap().len() > before + 2
        });
        mount.kill();
        writer.wait().unwrap();
        let config = mount.config_path();
        mount.evsfs_plain(&["umount", mount.mountpoint().to_str().unwrap(), "--force"]);
        mount.evsfs_plain(&["audit", "verify", "-c", config.to_str().unwrap()]).ok();
        mount.start();
        mount.evsfs(&["audit", "verify"]).ok();
        // Every key that is there was recorded before it was.
        let made: Vec<Value> = mount.json(&["audit", "show"]).as_array().unwrap().clone();
        for key in mount.json(&["key", "list"]).as_array().unwrap() {
            assert!(made.iter().any(|entry| entry["event"] == "createKey"
                && entry["key"] == key["id"]
                && entry["outcome"] == "ok"));
        }
    }
    mount.stop();
}
