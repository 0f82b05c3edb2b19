//! Versions of keys, and moving disks to the newest (RULES K1, K5).

use crate::rig::{ask, errno, three_lines};
use crate::support::{Mount, Needs, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("k5_a_key_rotates_in_three_ways", Needs::Fuse, k5_a_key_rotates_in_three_ways),
        trial(
            "k5_a_disk_opens_under_its_old_version_and_moves_when_it_is_rewrapped",
            Needs::Fuse,
            k5_a_disk_opens_under_its_old_version_and_moves_when_it_is_rewrapped,
        ),
        trial("k5_rewrap_needs_key_and_agency", Needs::Fuse, k5_rewrap_needs_key_and_agency),
        trial(
            "k5_a_killed_rewrap_leaves_every_disk_old_or_new",
            Needs::Fuse,
            k5_a_killed_rewrap_leaves_every_disk_old_or_new,
        ),
        trial("k1_rotation_by_interval", Needs::Fuse, k1_rotation_by_interval),
    ]
}

/// Versions, oldest first: how many disks each holds.
#[track_caller]
fn held(mount: &Mount, key: &str) -> Vec<u64> {
    let shown = mount.json(&["key", "show", key]);
    let versions = shown["versions"].as_array().unwrap();
    for (at, version) in versions.iter().enumerate() {
        assert_eq!(version["version"], at + 1);
        version["created"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    assert_eq!(shown["version"], versions.len());
    versions.iter().map(|version| version["disks"].as_u64().unwrap()).collect()
}

fn k5_a_key_rotates_in_three_ways() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.write_control("keys/finance/rotate", "\n").unwrap();
    let answer = ask(&mount, &json!({"op": "key.rotate", "alias": "finance"}));
    assert_eq!(answer["ok"]["version"], 3);
    let text = mount.evsfs(&["key", "rotate", "finance"]).ok();
    assert_eq!(text, "key \"finance\" has version 4, which protects new disks\n");
    assert_eq!(held(&mount, "finance"), [0; 4]);
    assert_eq!(mount.read_control("keys/finance/version"), "4");
    assert_eq!(mount.read_control("keys/finance/versions").lines().count(), 4);
    mount.stop();
    mount.start();
    assert_eq!(held(&mount, "finance"), [0; 4]);

    // What does not rotate says why (RULES K1, K2).
    mount.evsfs(&["disk", "create", "db", "--size", "1M"]).ok();
    three_lines(mount.evsfs(&["key", "rotate", "evs/default"]), 6, "KMS.0211");
    mount.evsfs(&["key", "create", "own", "--external"]).ok();
    three_lines(mount.evsfs(&["key", "rotate", "own"]), 4, "KMS.0312");
    mount.evsfs(&["key", "disable", "finance"]).ok();
    three_lines(mount.evsfs(&["key", "rotate", "finance"]), 5, "KMS.0209");
    assert_eq!(errno(mount.write_control("keys/finance/rotate", "now")), Errno::INVAL);
    assert_eq!(errno(mount.write_control("keys/finance/rotate", "\n")), Errno::KEYREVOKED);
}

fn k5_a_disk_opens_under_its_old_version_and_moves_when_it_is_rewrapped() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let finance = ["--key", "finance"];
    let file = mount.attached_disk("attached", "1M", &finance);
    std::fs::write(&file, b"kept").unwrap();
    mount.evsfs(&["disk", "create", "resting", "--size", "1M", "--key", "finance"]).ok();
    mount.evsfs(&["disk", "create", "plain", "--size", "1M", "--unencrypted"]).ok();
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    mount.evsfs(&["disk", "create", "new", "--size", "1M", "--key", "finance"]).ok();
    assert_eq!(held(&mount, "finance"), [2, 1]);
    // Rotation has touched no disk.
    mount.evsfs(&["disk", "attach", "resting"]).ok();
    mount.evsfs(&["disk", "detach", "resting"]).ok();
    assert_eq!(mount.read_control("disks/resting/key-version"), "1");

    let text = mount.evsfs(&["disk", "rewrap", "attached"]).ok();
    assert_eq!(text, "disk \"attached\" is under version 2 of key \"finance\"\n");
    assert_eq!(mount.read_control("disks/attached/status"), "in-use");
    assert_eq!(&std::fs::read(&file).unwrap()[..4], b"kept");
    mount.write_control("disks/resting/rewrap", "\n").unwrap();
    assert_eq!(mount.read_control("disks/resting/key-version"), "2");
    assert_eq!(held(&mount, "finance"), [0, 3]);
    let refused = ask(&mount, &json!({"op": "disk.rewrap", "name": "plain"}));
    assert_eq!(refused["error"]["kind"], "invalid");

    // All of them, also over a restart, and again when there is nothing to do.
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    mount.stop();
    mount.start();
    for _ in 0..2 {
        let all = mount.evsfs(&["disk", "rewrap", "--all"]);
        assert_eq!(
            all.stdout,
            "3 of 3 data keys are under the newest versions of their master keys\n"
        );
        assert_eq!(all.code, 0, "{}", all.stderr);
        assert_eq!(held(&mount, "finance"), [0, 0, 3]);
    }
    assert_eq!(&std::fs::read(&file).unwrap()[..4], b"kept");
    mount.evsfs(&["disk", "detach", "attached"]).ok();
    mount.evsfs(&["disk", "attach", "attached"]).ok();
    assert_eq!(&std::fs::read(&file).unwrap()[..4], b"kept");
}

fn k5_rewrap_needs_key_and_agency() {
    let mount = Mount::new();
    for key in ["one", "two"] {
        mount.evsfs(&["key", "create", key]).ok();
        mount.evsfs(&["disk", "create", key, "--size", "1M", "--key", key]).ok();
        mount.evsfs(&["key", "rotate", key]).ok();
    }
    mount.evsfs(&["agency", "delete", "--yes"]).ok();
    assert_eq!(mount.evsfs(&["disk", "rewrap", "one"]).code, 6);
    mount.evsfs(&["agency", "create"]).ok();
    mount.evsfs(&["key", "disable", "one"]).ok();
    three_lines(mount.evsfs(&["disk", "rewrap", "one"]), 5, "EVS.2040, KMS.0209");
    assert_eq!(mount.read_control("disks/one/status"), "available");
    // One that is refused does not keep the others from it.
    let all = mount.evsfs(&["disk", "rewrap", "--all"]);
    assert_eq!((all.code, all.stdout.as_str()), (5, ""), "{}", all.stderr);
    assert!(all.stderr.ends_with("(EVS.2040)\nfix: evsfs key enable one\n"), "{}", all.stderr);
    let error = &mount.json(&["job", "list"])[0]["error"];
    assert!(
        error["message"].as_str().unwrap().starts_with("1 of 2 data keys were not rewrapped"),
        "{error}"
    );
    assert_eq!((held(&mount, "one"), held(&mount, "two")), (vec![1, 0], vec![0, 1]));
}

/// "Interruption leaves every disk old or new": the daemon is killed while it rewraps.
fn k5_a_killed_rewrap_leaves_every_disk_old_or_new() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let names: Vec<String> = (0..20).map(|number| format!("d{number:02}")).collect();
    for name in &names {
        mount.evsfs(&["disk", "create", name, "--size", "1M", "--key", "finance"]).ok();
    }
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    let mountpoint = mount.mountpoint();
    let mut rewrap = Command::new(mount.program())
        .args(["--mount", mountpoint.to_str().unwrap(), "disk", "rewrap", "--all"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    crate::support::wait_until("some are rewrapped", || held(&mount, "finance")[1] >= 3);
    mount.kill();
    rewrap.wait().unwrap();
    crate::support::run("umount", &["-l", mountpoint.to_str().unwrap()]);
    mount.start();
    let held_after = held(&mount, "finance");
    assert_eq!(held_after.iter().sum::<u64>(), 20, "{held_after:?}");
    for name in &names {
        mount.evsfs(&["disk", "attach", name]).ok();
    }
    // The job has gone on by itself.
    crate::support::wait_until("all are rewrapped", || held(&mount, "finance")[1] == 20);
    mount.evsfs(&["disk", "rewrap", "--all"]).ok();
    assert_eq!(held(&mount, "finance"), [0, 20]);
}

fn k1_rotation_by_interval() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let rotation = || mount.read_control("keys/finance/rotation");
    assert_eq!(rotation(), "off");
    three_lines(mount.evsfs(&["key", "rotation", "finance", "off"]), 4, "KMS.0313");
    let text = mount.evsfs(&["key", "rotation", "finance", "on", "--days", "90"]).ok();
    assert_eq!(text, "key \"finance\" rotates every 90 days\n");
    assert_eq!(rotation(), "90");
    let date: jiff::Timestamp = mount.read_control("keys/finance/rotation-date").parse().unwrap();
    let days = (date.as_second() - jiff::Timestamp::now().as_second()) as f64 / 86_400.0;
    assert!((89.9..90.1).contains(&days), "{days}");
    three_lines(mount.evsfs(&["key", "rotation", "finance", "on"]), 4, "KMS.2901");
    mount.write_control("keys/finance/rotation", "off\n").unwrap();
    assert_eq!(
        (rotation().as_str(), mount.read_control("keys/finance/rotation-date")),
        ("off", String::new())
    );
    mount.write_control("keys/finance/rotation", "on\n").unwrap();
    assert_eq!(rotation(), "365");
    mount.write_control("keys/finance/rotation", "off").unwrap();
    for text in ["29", "on 29", "on 366", "on -1", "on x", "off 30", "yes", "\n"] {
        let refused = errno(mount.write_control("keys/finance/rotation", text));
        assert!([Errno::INVAL, Errno::RANGE].contains(&refused), "{text}: {refused:?}");
        assert_eq!(rotation(), "off", "{text}");
    }
    let asked =
        ask(&mount, &json!({"op": "key.rotation", "alias": "finance", "on": true, "days": 30}));
    assert_eq!((&asked["ok"]["rotation"], &asked["error"]), (&json!("30"), &Value::Null));
    mount.stop();
    mount.start();
    assert_eq!(rotation(), "30");
}
