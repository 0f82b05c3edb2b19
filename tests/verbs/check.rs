//! `evsfs check`.

use crate::rig::three_lines;
use crate::support::{Mount, Needs, Setup, trial, wait_until};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("check_finds_nothing_in_a_sound_directory", Needs::Fuse, check_finds_nothing),
        trial("check_repairs_what_a_crash_left", Needs::Fuse, check_repairs_what_a_crash_left),
        trial("check_writes_nothing_unless_it_is_told_to", Needs::Fuse, check_writes_nothing),
        trial("check_does_not_run_beside_a_daemon", Needs::Fuse, not_beside_a_daemon),
        trial("init_makes_a_private_state_directory_once", Needs::Nothing, init_makes_it_once),
    ]
}

fn check(mount: &Mount, more: &[&str]) -> (i32, Value) {
    let config = mount.config_path();
    let mut words = vec!["--json", "check", "-c", config.to_str().unwrap()];
    words.extend_from_slice(more);
    let output = mount.evsfs_plain(&words);
    (output.code, serde_json::from_str(&output.stdout).unwrap())
}

fn check_finds_nothing() {
    let mount = Setup::default().prepare();
    assert_eq!(check(&mount, &[]), (0, json!({"checked": 0, "findings": []})));
    mount.start();
    mount.evsfs(&["agency", "create"]).ok();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("sealed", "1M", &["--key", "finance"]);
    mount.attached_disk("plain", "1M", &["--unencrypted"]);
    mount.kill();
    let said = mount.evsfs_plain(&["check", "-c", mount.config_path().to_str().unwrap()]);
    // The mount of the dead daemon is no hindrance.
    assert_eq!(said.ok(), "3 checked, all sound\n");
    assert_eq!(check(&mount, &["--repair"]), (0, json!({"checked": 3, "findings": []})));
}

fn check_repairs_what_a_crash_left() {
    let mount = Mount::new();
    mount.evsfs(&["disk", "create", "db", "--size", "1M"]).ok();
    let payload = mount.payload("db");
    mount.stop();
    let left = mount.state_dir().join("disks/00000000-0000-4000-8000-000000000000");
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(&left)
        .unwrap();
    let (code, report) = check(&mount, &[]);
    assert_eq!(code, 7, "{report}");
    assert_eq!(report["findings"][0]["file"], left.to_str().unwrap());
    assert_eq!(report["findings"][0]["repaired"], false);
    // What a repair would do, and how it would end.
    let tree = tree_of(mount.state_dir());
    let (code, report) = check(&mount, &["--repair", "--dry-run"]);
    let finding = &report["findings"][0];
    assert_eq!(
        (code, &finding["repairable"], &finding["repaired"]),
        (0, &json!(true), &json!(false))
    );
    let config = mount.config_path();
    let line = ["check", "-c", config.to_str().unwrap(), "--repair", "--dry-run"];
    assert!(mount.evsfs_plain(&line).ok().contains("\n  would be repaired\n"));
    assert_eq!(tree_of(mount.state_dir()), tree);
    mount.evsfs_plain(&["check", "-c", config.to_str().unwrap(), "--dry-run"]).refused(2);
    // What takes a person is an end of another kind in both.
    std::fs::rename(&payload, payload.with_extension("away")).unwrap();
    let (code, report) = check(&mount, &["--repair", "--dry-run"]);
    assert_eq!((code, report["findings"].as_array().unwrap().len()), (7, 2), "{report}");
    std::fs::rename(payload.with_extension("away"), &payload).unwrap();
    let (code, report) = check(&mount, &["--repair"]);
    assert_eq!((code, &report["findings"][0]["repaired"]), (0, &json!(true)));
    assert!(!left.exists());
    assert_eq!(check(&mount, &[]).0, 0);
    mount.start();
    assert_eq!(mount.json(&["disk", "list"]).as_array().unwrap().len(), 1);
}

/// A key whose material has expired meanwhile, a disk that was being made, records aside: all that a
/// mount would see to at once.
fn check_writes_nothing() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "own", "--external"]).ok();
    let material = mount.config_path().with_file_name("material");
    std::fs::write(&material, [7; 32]).unwrap();
    let expires = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2)).to_string();
    let file = material.to_str().unwrap();
    mount.evsfs(&["key", "import", "own", "--file", file, "--expires", &expires]).ok();
    mount.attached_disk("db", "1M", &["--key", "own"]);
    mount.kill();
    let state = mount.state_dir();
    let disks = state.join("disks");
    let unfinished = disks.join("00000000-0000-4000-8000-000000000000");
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(&unfinished)
        .unwrap();
    for directory in [state.join("kms"), state.join("hsm"), unfinished] {
        let name = ".new-00000000-0000-4000-8000-000000000000.x.toml";
        std::fs::write(directory.join(name), b"left by a crash").unwrap();
    }
    wait_until("the material has expired", || jiff::Timestamp::now().to_string() > expires);
    let tree = tree_of(state);
    let (_, report) = check(&mount, &[]);
    assert_eq!(report["checked"], 3, "{report}");
    assert_eq!(tree_of(state), tree);
    let config = mount.config_path();
    mount.evsfs_plain(&["audit", "verify", "-c", config.to_str().unwrap()]).ok();
    assert_eq!(tree_of(state), tree);
    check(&mount, &["--repair"]);
    assert_ne!(tree_of(state), tree);
}

/// All files below a directory, but the daemon's log, with their bytes.
fn tree_of(directory: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut tree = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tree.extend(tree_of(&path));
            tree.insert(path, None);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            tree.insert(path, Some(bytes));
        }
    }
    tree
}

fn not_beside_a_daemon() {
    let mount = Mount::new();
    let output = mount.evsfs_plain(&["check", "-c", mount.config_path().to_str().unwrap()]);
    three_lines(output, 4, "EVSFS.in-use");
    assert_eq!(mount.json(&["disk", "list"]), json!([]));
}

fn init_makes_it_once() {
    use std::os::unix::fs::PermissionsExt;
    let mount = Setup::default().prepare();
    let mode = |path: &str| {
        let meta = std::fs::metadata(mount.state_dir().join(path)).unwrap();
        meta.permissions().mode() & 0o7777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("hsm"), 0o700);
    assert_eq!(mode("hsm/root.key"), 0o600);
    let key = std::fs::read(mount.state_dir().join("hsm/root.key")).unwrap();
    let again = mount.evsfs_plain(&["init", "-c", mount.config_path().to_str().unwrap()]);
    three_lines(again, 10, "EVSFS.exists");
    assert_eq!(std::fs::read(mount.state_dir().join("hsm/root.key")).unwrap(), key);
}
