//! `--dry-run`: the checks of the verb, its refusals, what it would do; and nothing done.

use crate::rig::{ask, evsfs_as, three_lines};
use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const APP: u32 = 1000;
const OTHER: u32 = 1001;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a_dry_run_of_disk_delete_says_what_goes_and_what_stays", Needs::Fuse, disk_delete),
        trial("a_dry_run_of_backup_delete_says_what_is_built_upon_it", Needs::Fuse, backup_delete),
        trial("a_dry_run_of_a_keys_end_says_what_is_lost_with_it", Needs::Fuse, key_deletion),
        trial("a_dry_run_tells_nobody_what_is_not_theirs_to_know", Needs::Root, foreign),
    ]
}

/// All files of a state directory but the daemon's log and its clock, with their bytes: records,
/// payloads, the audit log.
fn tree_of(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut tree = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_apart = path.ends_with("kms/clock.toml") || path.ends_with("daemon.log");
        if path.is_dir() {
            tree.extend(tree_of(&path));
        } else if !is_apart {
            tree.insert(path.clone(), std::fs::read(&path).unwrap_or_default());
        }
    }
    tree
}

/// What `work` answers, which changes nothing and tells of nothing.
#[track_caller]
fn unchanged<T>(mount: &Mount, work: impl FnOnce() -> T) -> T {
    let (before, jobs) = (tree_of(mount.state_dir()), mount.json(&["job", "list"]));
    let answer = work();
    let after = tree_of(mount.state_dir());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let changed: Vec<_> = before.iter().filter(|(path, bytes)| after[*path] != **bytes).collect();
    // The ledger holds which records there are; it is the same where they are.
    assert!(changed.is_empty(), "{:?}", changed.iter().map(|it| it.0).collect::<Vec<_>>());
    assert_eq!(mount.json(&["job", "list"]), jobs);
    answer
}

#[track_caller]
fn members(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
}

fn disk_delete() {
    let elsewhere = tempfile::tempdir().unwrap();
    let directory = elsewhere.path().canonicalize().unwrap();
    let mount = Setup::with(&format!("backing_dirs = [{directory:?}]")).mount();
    mount.attached_disk("db", "1M", &["--encrypted"]);
    let line = ["disk", "delete", "db", "--dry-run"];
    // Refused as the verb is, with the same words.
    let dry = three_lines(unchanged(&mount, || mount.evsfs(&line)), 4, "EVS.1046");
    let real = three_lines(mount.evsfs(&["disk", "delete", "db", "--yes"]), 4, "EVS.1046");
    assert_eq!(dry, real);
    three_lines(mount.evsfs(&["disk", "delete", "no", "--dry-run"]), 3, "EVS.1002");
    mount.evsfs(&["backup", "create", "db", "monday"]).ok();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let said = unchanged(&mount, || mount.evsfs(&line).ok());
    assert_eq!(
        said,
        "would delete disk \"db\", of 1M, and all data on it\nits backups stay: monday\n"
    );
    let path = directory.join("payload");
    let create = ["disk", "create", "far", "--size", "1M", "--encrypted", "--backing"];
    mount.evsfs(&[&create[..], &[path.to_str().unwrap()]].concat()).ok();
    let answer = unchanged(&mount, || mount.json(&["disk", "delete", "far", "--dry-run"]));
    assert_eq!(answer["payload_left"], path.to_str().unwrap());
    assert_eq!(answer["backups"], json!([]));
    let said = mount.evsfs(&["disk", "delete", "far", "--dry-run"]).ok();
    assert!(said.contains("its payload stays in ") && said.contains("no backups"), "{said}");
    // It was said truly.
    for disk in ["db", "far"] {
        mount.evsfs(&["disk", "delete", disk, "--yes"]).ok();
    }
    assert!(path.exists());
    assert_eq!(mount.json(&["backup", "list"]).as_array().unwrap().len(), 1);
    // A system disk is refused as ever.
    mount.attached_disk("base", "1M", &["--unencrypted"]);
    mount.evsfs(&["image", "create", "i", "--disk", "base"]).ok();
    mount.evsfs(&["server", "create", "s", "--image", "i"]).ok();
    let system = mount.json(&["server", "show", "s"])["system_disk"].as_str().unwrap().to_owned();
    three_lines(mount.evsfs(&["disk", "delete", &system, "--dry-run"]), 6, "EVS.1046");
}

fn backup_delete() {
    let mount = Mount::new();
    let disk = mount.attached_disk("db", "1M", &["--encrypted"]);
    let file = std::fs::File::options().write(true).open(&disk).unwrap();
    for (number, name) in [(0, "monday"), (1, "tuesday")] {
        file.write_all_at(&[7; 65_536], number << 16).unwrap();
        file.sync_all().unwrap();
        mount.evsfs(&["backup", "create", "db", name]).ok();
    }
    let line = ["backup", "delete", "monday", "--dry-run"];
    let answer = unchanged(&mount, || mount.json(&line));
    assert_eq!(members(&answer["children"]), ["tuesday"]);
    assert_eq!(answer["taken_over"], answer["stored"]);
    assert_eq!(answer["stored"], mount.json(&["backup", "show", "monday"])["stored"]);
    let said = unchanged(&mount, || mount.evsfs(&line).ok());
    assert!(said.contains("built upon it, and stay whole: tuesday; at most 64K"), "{said}");
    let said = mount.evsfs(&["backup", "delete", "tuesday", "--dry-run"]).ok();
    assert!(said.ends_with("no backup is built upon it\n"), "{said}");
    // One whose content is damaged so that nothing can be built on it anew is told of before.
    three_lines(mount.evsfs(&["backup", "delete", "no", "--dry-run"]), 3, "EVSFS.not-found");
    mount.evsfs(&["backup", "delete", "monday", "--dry-run", "--no-wait"]).refused(2);
    // While it is read nobody deletes it.
    let verify = ask(&mount, &json!({"op": "backup.verify", "name": "tuesday", "limit": "1K"}));
    let dry = three_lines(mount.evsfs(&line), 4, "EVSFS.in-use");
    let real =
        three_lines(mount.evsfs(&["backup", "delete", "monday", "--yes"]), 4, "EVSFS.in-use");
    assert_eq!(dry, real);
    mount.evsfs(&["job", "cancel", verify["ok"]["job"].as_str().unwrap()]).ok();
}

fn key_deletion() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "1M", &["--key", "finance"]);
    mount.evsfs(&["disk", "create", "logs", "--size", "1M", "--key", "finance"]).ok();
    mount.evsfs(&["backup", "create", "db", "monday"]).ok();
    let line = ["key", "schedule-deletion", "finance", "--days", "7", "--dry-run"];
    let answer = unchanged(&mount, || mount.json(&line));
    assert_eq!(answer["state"], "pending-deletion");
    assert!(
        answer["deletion_date"].as_str().unwrap() > jiff::Timestamp::now().to_string().as_str()
    );
    assert_eq!(members(&answer["disks"]), ["db", "logs"]);
    assert_eq!(members(&answer["attached_disks"]), ["db"]);
    assert_eq!(members(&answer["backups"]), ["monday"]);
    let said = unchanged(&mount, || mount.evsfs(&line).ok());
    assert!(
        said.contains("then lost for ever: 2 disks, 1 attached: db (attached), logs"),
        "{said}"
    );
    assert!(said.contains("1 backup: monday"), "{said}");
    assert_eq!(mount.json(&["key", "show", "finance"])["state"], "enabled");
    // Refused as the verb is.
    for (key, days, exit, code) in [
        ("finance", "6", 2, "KMS.1401"),
        ("none", "7", 3, "KMS.0207"),
        ("evs/default", "7", 6, "KMS.0211"),
    ] {
        mount.evsfs(&["disk", "create", &format!("d{exit}"), "--size", "1M", "--encrypted"]).ok();
        let line = ["key", "schedule-deletion", key, "--days", days];
        let dry = unchanged(&mount, || mount.evsfs(&[&line[..], &["--dry-run"]].concat()));
        let dry = three_lines(dry, exit, code);
        assert_eq!(dry, three_lines(mount.evsfs(&[&line[..], &["--yes"]].concat()), exit, code));
    }
    mount.evsfs(&["key", "schedule-deletion", "finance", "--days", "7", "--yes"]).ok();
    three_lines(mount.evsfs(&line), 4, "KMS.1402");
}

/// RULES A7: names of others are in no answer, and who manages no keys asks nothing of them.
fn foreign() {
    let mount = Setup::with(&format!(
        "[mount]\nallow_other = true\n\
         [[user]]\nname = \"app\"\nuid = {APP}\nroles = [\"evs-user\"]\n\
         [[user]]\nname = \"other\"\nuid = {OTHER}\nroles = [\"evs-user\", \"kms-administrator\"]\n"
    ))
    .mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let create = ["disk", "create", "db", "--size", "1M", "--key", "finance"];
    evsfs_as(&mount, APP, &create).ok();
    let audited = mount.json(&["audit", "show"]).as_array().unwrap().len();
    three_lines(evsfs_as(&mount, OTHER, &["disk", "delete", "db", "--dry-run"]), 3, "EVS.1002");
    let line = ["key", "schedule-deletion", "finance", "--days", "7", "--dry-run"];
    three_lines(evsfs_as(&mount, APP, &line), 6, "EVSFS.denied");
    let said = evsfs_as(&mount, OTHER, &line).ok();
    assert!(said.contains("1 disk of other owners") && !said.contains("db"), "{said}");
    assert_eq!(mount.json(&["audit", "show"]).as_array().unwrap().len(), audited);
}
