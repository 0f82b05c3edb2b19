//! RULES K5: backups and images hold wrapped data keys as disks do, and are moved with them.

use crate::rig::{content, fill, restored};
use crate::support::{Mount, Needs, Setup, trial, wait_until};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("k5_rewrap_all_leaves_nothing_under_an_old_version", Needs::Fuse, k5_rewrap_all),
        trial("k5_a_backup_that_is_read_is_not_rewrapped_meanwhile", Needs::Fuse, k5_being_read),
    ]
}

const SLOWLY: [&str; 3] = ["--no-wait", "--limit", "64K"];

/// Disks, backups and images under each version of the key, the oldest first.
fn held(mount: &Mount) -> Vec<[u64; 3]> {
    let key = mount.json(&["key", "show", "finance"]);
    let count = |version: &serde_json::Value| {
        ["disks", "backups", "images"].map(|what| version[what].as_u64().unwrap())
    };
    key["versions"].as_array().unwrap().iter().map(count).collect()
}

fn with_backups_and_image() -> Mount {
    let mount = Setup::default().mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "8M", &["--key", "finance"]);
    (0..8).for_each(|mib| fill(&mount, "db", mib, 7));
    mount.evsfs(&["backup", "create", "db", "b0"]).ok();
    fill(&mount, "db", 3, 8);
    mount.evsfs(&["backup", "create", "db", "b1"]).ok();
    mount.evsfs(&["image", "create", "i", "--disk", "db"]).ok();
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    assert_eq!(held(&mount), [[1, 2, 1], [0, 0, 0]]);
    mount
}

fn k5_rewrap_all() {
    let mount = with_backups_and_image();
    let now = content(&mount, "db");
    let answer = mount.evsfs(&["disk", "rewrap", "--all"]).ok();
    assert_eq!(answer, "4 of 4 data keys are under the newest versions of their master keys\n");
    assert_eq!(held(&mount), [[0, 0, 0], [1, 2, 1]]);
    let shown = mount.evsfs(&["key", "show", "finance"]).ok();
    assert!(shown.contains(", 0 disks; 2 of ") && shown.contains("1 disk, 2 backups, 1 image"));
    let versions = mount.read_control("keys/finance/versions");
    assert!(versions.lines().last().unwrap().ends_with(" 1 2 1"), "{versions}");
    mount.stop();
    mount.start();
    assert_eq!(held(&mount), [[0, 0, 0], [1, 2, 1]]);
    mount.evsfs(&["backup", "verify", "b1"]).ok();
    assert!(restored(&mount, "b1", "r1", &[]) == now);
    // The next one is built upon the rewrapped.
    fill(&mount, "db", 5, 9);
    mount.evsfs(&["backup", "create", "db", "b2", "--incremental"]).ok();
    mount.evsfs(&["backup", "delete", "b0", "--yes"]).ok();
    assert!(restored(&mount, "b2", "r2", &[]) == content(&mount, "db"));
    mount.evsfs(&["disk", "create", "of-image", "--from", "image:i"]).ok();
    mount.evsfs(&["disk", "attach", "of-image"]).ok();
    assert!(content(&mount, "of-image") == now);
    // A key that is not enabled refuses, and the job says how many are left.
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    mount.evsfs(&["key", "disable", "finance"]).ok();
    let refusal = mount.evsfs(&["disk", "rewrap", "--all"]).refused(5);
    assert!(refusal.contains("EVS.2040") && refusal.contains("finance"), "{refusal}");
}

fn k5_being_read() {
    let mount = with_backups_and_image();
    let from = ["disk", "create", "copy", "--from", "backup:b1"];
    let job = mount.evsfs(&[&from[..], &SLOWLY[..]].concat()).ok().trim().to_owned();
    wait_until("it reads", || mount.json(&["job", "show", &job])["done"].as_u64().unwrap() > 0);
    let refusal = mount.evsfs(&["disk", "rewrap", "--all"]).refused(4);
    assert!(refusal.contains("2 of 4 data keys were not rewrapped"), "{refusal}");
    // The copy that is being made has a data key of its own, under the newest version.
    assert_eq!(held(&mount)[0], [0, 2, 0]);
    mount.evsfs(&["job", "cancel", &job]).ok();
    wait_until("it has ended", || mount.json(&["job", "show", &job])["state"] == "cancelled");
    mount.evsfs(&["disk", "rewrap", "--all"]).ok();
    assert_eq!(held(&mount)[0], [0, 0, 0]);
}
