//! Incremental backups: what they hold, and what becomes of them when one is deleted.

use crate::rig::{content, directories, fill, restored};
use crate::support::{Needs, Setup, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "b2_a_chain_restores_every_point_also_after_its_middle_is_deleted",
            Needs::Fuse,
            b2_middle,
        ),
        trial("b2_a_second_backup_holds_what_changed_alone", Needs::Fuse, b2_what_changed),
        trial("the_control_directory_makes_shows_and_deletes_backups", Needs::Fuse, control_files),
        trial("b7_foreign_backups_do_not_exist", Needs::Root, b7_foreign),
    ]
}

/// RULES P3: each backup is a point in time, whatever is deleted beside it, also after a restart.
fn b2_middle() {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "8M", &["--encrypted"]);
    let mut points = Vec::new();
    for number in 0..4_u8 {
        fill(&mount, "db", u64::from(number), number + 1);
        fill(&mount, "db", 6, number + 1);
        if number == 2 {
            // Of a detached disk.
            mount.evsfs(&["disk", "detach", "db"]).ok();
            mount.evsfs(&["backup", "create", "db", "b2"]).ok();
            mount.evsfs(&["disk", "attach", "db"]).ok();
        } else {
            mount.evsfs(&["backup", "create", "db", &format!("b{number}")]).ok();
        }
        points.push(content(&mount, "db"));
    }
    let chain = mount.json(&["backup", "show", "b3"])["chain"].clone();
    assert_eq!(chain, serde_json::json!(["b2", "b1", "b0"]));
    for (round, deleted) in ["b1", "b0"].into_iter().enumerate() {
        mount.evsfs(&["backup", "delete", deleted, "--yes"]).ok();
        mount.evsfs(&["backup", "show", deleted]).refused(3);
        mount.stop();
        mount.start();
        for number in [2, 3] {
            let backup = format!("b{number}");
            mount.evsfs(&["backup", "verify", &backup]).ok();
            let disk = format!("r{round}{number}");
            assert!(restored(&mount, &backup, &disk, &[]) == points[number], "{backup}");
        }
    }
    assert_eq!(mount.json(&["backup", "show", "b2"])["parent"], serde_json::Value::Null);
    assert_eq!(directories(&mount, "backups").len(), 2);
}

fn b2_what_changed() {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "8M", &["--encrypted"]);
    (0..8).for_each(|mib| fill(&mount, "db", mib, 7));
    let stored = |name: &str| mount.json(&["backup", "show", name])["stored"].clone();
    mount.evsfs(&["backup", "create", "db", "--incremental"]).refused(3);
    mount.evsfs(&["backup", "create", "db", "full"]).ok();
    fill(&mount, "db", 3, 8);
    mount.evsfs(&["backup", "create", "db", "next"]).ok();
    mount.evsfs(&["backup", "create", "db", "none", "--incremental"]).ok();
    mount.evsfs(&["backup", "create", "db", "again", "--full"]).ok();
    assert_eq!(
        [stored("full"), stored("next"), stored("none"), stored("again")],
        [8 * 65536, 65536, 0, 8 * 65536]
    );
    // A name is made where none is given, and no two are the same.
    mount.evsfs(&["backup", "create", "db"]).ok();
    mount.evsfs(&["backup", "create", "db"]).ok();
    mount.evsfs(&["backup", "create", "db", "next"]).refused(10);
    assert_eq!(mount.json(&["backup", "list"]).as_array().unwrap().len(), 6);
}

/// INTERFACE 1: the control directory in the same shape as that of disks.
fn control_files() {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "8M", &["--encrypted"]);
    fill(&mount, "db", 0, 1);
    mount.write_control("backups/create", "disk=db name=b").unwrap();
    crate::support::wait_until("the backup is there", || {
        mount.read_control("backups/b/status") == "available"
    });
    assert_eq!(mount.read_control("backups/b/stored"), "65536");
    assert_eq!(mount.read_control("backups/b/disk"), "db");
    assert_eq!(mount.read_control("backups/b/encrypted"), "yes");
    mount.write_control("backups/b/delete", "other").unwrap_err();
    mount.write_control("backups/b/verify", "\n").unwrap();
    crate::support::wait_until("nobody reads it any more", || {
        mount.write_control("backups/b/delete", "b").is_ok()
    });
    crate::support::wait_until("the backup is gone", || !mount.control("backups/b").exists());
}

/// RULES A5, A7: another owner's backups are absent from lists and lookups alike.
fn b7_foreign() {
    let users = "[mount]\nallow_other = true\n\n[[user]]\nname = \"a\"\nuid = 4001\n\
                 roles = [\"evs-user\"]\n\n[[user]]\nname = \"b\"\nuid = 4002\nroles = [\"evs-user\"]\n";
    let mount = Setup::with(users).mount();
    let evsfs = |uid, arguments: &[&str]| mount.as_uid(uid, mount.program(), arguments);
    let at = mount.mountpoint();
    let to = ["--mount", at.to_str().unwrap()];
    let as_uid = |uid, arguments: &[&str]| evsfs(uid, &[arguments, &to[..]].concat());
    as_uid(4001, &["disk", "create", "db", "--size", "1M", "--unencrypted"]).ok();
    as_uid(4001, &["backup", "create", "db", "b"]).ok();
    as_uid(4001, &["backup", "show", "b"]).ok();
    as_uid(4002, &["backup", "create", "db", "c"]).refused(3);
    for verb in ["show", "verify"] {
        as_uid(4002, &["backup", verb, "b"]).refused(3);
    }
    as_uid(4002, &["backup", "delete", "b", "--yes"]).refused(3);
    as_uid(4002, &["disk", "create", "x", "--from", "backup:b"]).refused(3);
    assert_eq!(as_uid(4002, &["backup", "list", "--json"]).ok().trim(), "[]");
}
