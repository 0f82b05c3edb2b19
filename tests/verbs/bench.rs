//! `evsfs bench` on a mount.

use crate::rig::three_lines;
use crate::support::files::{assert_same, content};
use crate::support::{Mount, Needs, run, trial, wait_until};
use libtest_mimic::Trial;
use serde_json::json;
use std::process::{Command, Stdio};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("bench_measures_disks_of_its_own_and_deletes_them", Needs::Fuse, disks_of_its_own),
        trial("bench_of_a_disk_only_reads_it", Needs::Fuse, of_a_disk),
        trial("an_interrupted_bench_deletes_its_disks", Needs::Fuse, interrupted),
        trial("a_bench_that_fails_deletes_its_disks", Needs::Fuse, failed),
    ]
}

fn disks_of_its_own() {
    let mount = Mount::new();
    let answer = mount.json(&["bench", "--seconds", "0.02"]);
    let rows = answer["requests"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    for row in rows {
        assert!(row["disk"].as_str().unwrap().ends_with("encrypted, in the mount"), "{row}");
        assert!(row["requests_per_second"].as_u64().unwrap() > 0, "{row}");
    }
    assert_eq!(mount.json(&["disk", "list"]), json!([]));
}

fn of_a_disk() {
    let mount = Mount::new();
    let bench = ["bench", "--disk", "db", "--seconds", "0.02"];
    three_lines(mount.evsfs(&bench), 3, "EVS.1002");
    let path = mount.attached_disk("db", "2M", &[]);
    let expected = content(5, 2 << 20);
    std::fs::write(&path, &expected).unwrap();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    three_lines(mount.evsfs(&bench), 4, "EVSFS.wrong-status");
    mount.evsfs(&["disk", "attach", "db"]).ok();
    let answer = mount.json(&bench);
    let patterns: Vec<&str> = answer["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["pattern"].as_str().unwrap())
        .collect();
    assert_eq!(patterns, ["sequential-read", "random-read"]);
    assert!(mount.read_control("disks/db/io").contains("\nwrites: 0\n"));
    assert_same("the disk", &std::fs::read(&path).unwrap(), &expected);
}

fn interrupted() {
    let mount = Mount::new();
    let mut bench = Command::new(mount.program())
        .args(["--mount", mount.mountpoint().to_str().unwrap(), "bench", "--seconds", "600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let is_attached = |disk: &serde_json::Value| disk["attached"] == true;
    wait_until("a disk is measured", || {
        mount.json(&["disk", "list"]).as_array().unwrap().iter().any(is_attached)
    });
    run("kill", &["-INT", &bench.id().to_string()]).ok();
    assert_eq!(bench.wait().unwrap().code(), Some(1));
    assert_eq!(mount.json(&["disk", "list"]), json!([]));
}

/// Without the agency, the encrypted disk is refused; nothing is left of the run.
fn failed() {
    let mount = Mount::new();
    mount.evsfs(&["agency", "delete", "--yes"]).ok();
    let refused = mount.evsfs(&["bench", "--seconds", "0.02"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert_eq!(mount.json(&["disk", "list"]), json!([]));
}
