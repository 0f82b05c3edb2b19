//! Backups, restored disks and deletions that do not come to their end: nothing is left of them.

use crate::rig::{content, directories, fill, restored};
use crate::support::{Mount, Needs, Setup, trial, wait_until};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("b6_a_cancelled_backup_leaves_nothing", Needs::Fuse, b6_cancelled_backup),
        trial("b6_a_cancelled_restore_leaves_nothing", Needs::Fuse, b6_cancelled_restore),
        trial(
            "b6_a_backup_killed_midway_is_gone_and_its_job_has_failed",
            Needs::Fuse,
            b6_killed_backup,
        ),
        trial(
            "b6_a_restore_killed_midway_is_gone_and_its_job_has_failed",
            Needs::Fuse,
            b6_killed_restore,
        ),
        trial("b6_a_merge_killed_midway_leaves_both_backups_whole", Needs::Fuse, b6_killed_merge),
        trial("d1_verbs_are_refused_while_a_disk_is_backed_up", Needs::Fuse, d1_backing_up),
    ]
}

const SLOWLY: [&str; 3] = ["--no-wait", "--limit", "64K"];

fn with_disk() -> Mount {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "8M", &["--encrypted"]);
    (0..8).for_each(|mib| fill(&mount, "db", mib, 7));
    mount
}

/// Begins a job that takes some ten seconds, and waits until it is in the middle.
fn begin(mount: &Mount, arguments: &[&str]) -> String {
    let id = mount.evsfs(&[arguments, &SLOWLY[..]].concat()).ok().trim().to_owned();
    wait_until("the job has begun to copy", || {
        mount.json(&["job", "show", &id])["done"].as_u64().unwrap() > 0
    });
    id
}

fn ends_as(mount: &Mount, job: &str, state: &str) {
    wait_until(state, || mount.json(&["job", "show", job])["state"] == state);
}

fn nothing_but_the_disk(mount: &Mount, backups: usize) {
    assert_eq!(directories(mount, "backups").len(), backups);
    assert_eq!(directories(mount, "disks").len(), 1);
    assert_eq!(mount.json(&["backup", "list"]).as_array().unwrap().len(), backups);
    assert_eq!(mount.json(&["disk", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(mount.json(&["disk", "show", "db"])["status"], "in-use");
    assert_eq!(content(mount, "db")[..65536], [7; 65536]);
}

fn b6_cancelled_backup() {
    let mount = with_disk();
    let job = begin(&mount, &["backup", "create", "db", "b"]);
    mount.evsfs(&["job", "cancel", &job]).ok();
    ends_as(&mount, &job, "cancelled");
    nothing_but_the_disk(&mount, 0);
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
}

fn b6_cancelled_restore() {
    let mount = with_disk();
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    let job = begin(&mount, &["disk", "create", "copy", "--from", "backup:b"]);
    assert_eq!(mount.json(&["disk", "show", "copy"])["status"], "restoring-backup");
    mount.evsfs(&["disk", "attach", "copy"]).refused(4);
    mount.evsfs(&["backup", "delete", "b", "--yes"]).refused(4);
    mount.evsfs(&["job", "cancel", &job]).ok();
    ends_as(&mount, &job, "cancelled");
    nothing_but_the_disk(&mount, 1);
}

fn b6_killed_backup() {
    let mount = with_disk();
    let job = begin(&mount, &["backup", "create", "db", "b"]);
    mount.kill();
    mount.start();
    ends_as(&mount, &job, "failed");
    nothing_but_the_disk(&mount, 0);
}

fn b6_killed_restore() {
    let mount = with_disk();
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    let job = begin(&mount, &["disk", "create", "copy", "--from", "backup:b"]);
    mount.kill();
    mount.start();
    ends_as(&mount, &job, "failed");
    nothing_but_the_disk(&mount, 1);
    mount.evsfs(&["backup", "verify", "b"]).ok();
}

fn b6_killed_merge() {
    let mount = with_disk();
    mount.evsfs(&["backup", "create", "db", "b0"]).ok();
    fill(&mount, "db", 3, 9);
    mount.evsfs(&["backup", "create", "db", "b1"]).ok();
    let now = content(&mount, "db");
    let job = begin(&mount, &["backup", "delete", "b0", "--yes"]);
    mount.kill();
    mount.start();
    ends_as(&mount, &job, "failed");
    for backup in ["b0", "b1"] {
        mount.evsfs(&["backup", "verify", backup]).ok();
    }
    mount.evsfs(&["backup", "delete", "b0", "--yes"]).ok();
    assert!(restored(&mount, "b1", "copy", &[]) == now);
}

/// RULES D1: `backing-up` refuses other verbs, and ends where it began. Data goes on.
fn d1_backing_up() {
    let mount = with_disk();
    let job = begin(&mount, &["backup", "create", "db", "b"]);
    assert_eq!(mount.json(&["disk", "show", "db"])["status"], "backing-up");
    for verb in [
        &["disk", "detach", "db"][..],
        &["disk", "extend", "db", "--size", "16M"][..],
        &["backup", "create", "db", "c"][..],
    ] {
        let refusal = mount.evsfs(verb).refused(4);
        assert!(refusal.contains("EVS.1046") && refusal.contains("backing-up"), "{refusal}");
    }
    fill(&mount, "db", 7, 1);
    mount.evsfs(&["job", "cancel", &job]).ok();
    ends_as(&mount, &job, "cancelled");
    assert_eq!(mount.json(&["disk", "show", "db"])["status"], "in-use");
}
