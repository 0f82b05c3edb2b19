//! A disk and the state of its key: D3 to D6.

use crate::rig::{attach, create, detach, has_codes, numbered_block, read_at, status_of, write_at};
use crate::support::{ForwardClock, Mount, Needs, Setup, run, trial};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "d3_creation_makes_no_plaintext_key",
            Needs::Fuse,
            d3_creation_makes_no_plaintext_key,
        ),
        trial(
            "d4_the_named_key_comes_first_then_the_projects_then_evs_default",
            Needs::Fuse,
            d4_the_named_key_comes_first_then_the_projects_then_evs_default,
        ),
        trial(
            "d4_a_key_that_is_not_enabled_refuses_creation",
            Needs::Fuse,
            d4_a_key_that_is_not_enabled_refuses_creation,
        ),
        trial(
            "d5_d6_every_state_of_the_key_at_every_moment_of_the_disk",
            Needs::Fuse,
            d5_d6_every_state_of_the_key_at_every_moment_of_the_disk,
        ),
        trial(
            "d5_a_refused_attach_changes_nothing",
            Needs::Fuse,
            d5_a_refused_attach_changes_nothing,
        ),
        trial(
            "d6_an_attached_disk_goes_on_past_its_keys_deadline",
            Needs::Fuse,
            d6_an_attached_disk_goes_on_past_its_keys_deadline,
        ),
        trial(
            "d5_a_disk_under_a_deleted_key_is_lost",
            Needs::Fuse,
            d5_a_disk_under_a_deleted_key_is_lost,
        ),
    ]
}

/// A mount with a key called `finance`.
fn mount_with_key() -> Mount {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount
}

const FINANCE: [&str; 2] = ["--key", "finance"];

/// D3: creation asks the KMS for a data key without plaintext: the record holds it wrapped, each
/// disk has its own, no byte of the payload was written, and the audit log, where there is one,
/// knows of no opening.
fn d3_creation_makes_no_plaintext_key() {
    let mount = mount_with_key();
    create(&mount, "one", "8M", &FINANCE);
    create(&mount, "two", "8M", &FINANCE);
    let wrapped = |name: &str| {
        let record = mount.payload(name).with_file_name("disk.toml");
        let text = std::fs::read_to_string(record).unwrap();
        let document: toml::Table = text.parse().unwrap();
        find(&document, "dk").unwrap_or_else(|| panic!("no wrapped key in {text}"))
    };
    assert_ne!(wrapped("one"), wrapped("two"));
    for name in ["one", "two"] {
        assert_eq!(std::fs::metadata(mount.payload(name)).unwrap().blocks(), 0);
        assert_eq!(mount.json(&["disk", "show", name])["attached"], false);
    }
    if let Ok(audit) = std::fs::read_to_string(mount.state_dir().join("kms/audit.jsonl")) {
        assert!(audit.contains("createDatakey"), "{audit}");
        assert!(!audit.contains("decryptDatakey"), "{audit}");
    }
}

fn find(table: &toml::Table, key: &str) -> Option<toml::Value> {
    table.iter().find_map(|(name, value)| match value {
        value if name == key => Some(value.clone()),
        toml::Value::Table(inner) => find(inner, key),
        _ => None,
    })
}

/// D4: the key is the named one, else the project's default, else `evs/default`, made then.
fn d4_the_named_key_comes_first_then_the_projects_then_evs_default() {
    let mount = mount_with_key();
    let aliases = |mount: &Mount| -> Vec<String> {
        let keys = mount.json(&["key", "list"]);
        keys.as_array().unwrap().iter().map(|k| k["alias"].as_str().unwrap().to_owned()).collect()
    };
    create(&mount, "named", "8M", &FINANCE);
    assert_eq!(mount.read_control("disks/named/key"), "finance");
    assert_eq!(aliases(&mount), ["finance"], "nobody asked for the default key");
    create(&mount, "unnamed", "8M", &[]);
    assert_eq!(mount.read_control("disks/unnamed/key"), "evs/default");
    assert_eq!(mount.read_control("disks/unnamed/encrypted"), "yes");
    assert_eq!(aliases(&mount), ["evs/default", "finance"]);

    let project = Setup::with("[defaults]\nkey = \"finance\"\n").mount();
    project.evsfs(&["key", "create", "finance"]).ok();
    project.evsfs(&["key", "create", "other"]).ok();
    create(&project, "unnamed", "8M", &[]);
    create(&project, "named", "8M", &["--key", "other"]);
    assert_eq!(project.read_control("disks/unnamed/key"), "finance");
    assert_eq!(project.read_control("disks/named/key"), "other");
    assert_eq!(aliases(&project), ["finance", "other"]);
}

/// D4: a key that is not enabled refuses creation with EVS.2040 and the KMS code, and nothing is
/// created.
fn d4_a_key_that_is_not_enabled_refuses_creation() {
    let mount = mount_with_key();
    mount.evsfs(&["key", "create", "bare", "--external"]).ok();
    mount.evsfs(&["key", "create", "idle"]).ok();
    mount.evsfs(&["key", "disable", "idle"]).ok();
    mount.evsfs(&["key", "schedule-deletion", "finance", "--days", "7", "--yes"]).ok();
    for (key, code) in [("idle", "KMS.0209"), ("finance", "KMS.0210"), ("bare", "KMS.1301")] {
        let refused = mount.evsfs(&["disk", "create", "db", "--size", "8M", "--key", key]);
        has_codes(refused, 5, &format!("EVS.2040, {code}"));
    }
    let refused = mount.evsfs(&["disk", "create", "db", "--size", "8M", "--key", "nobody"]);
    let text = refused.refused(3);
    assert!(text.contains("KMS.0207"), "{text}");
    assert_eq!(mount.json(&["disk", "list"]), serde_json::json!([]));
    let left = std::fs::read_dir(mount.state_dir().join("disks")).unwrap().count();
    assert_eq!(left, 0);
}

/// A state a key can be brought into, and back from.
struct State {
    name: &'static str,
    code: &'static str,
    enter: &'static [&'static [&'static str]],
    leave: &'static [&'static [&'static str]],
}

const STATES: [State; 2] = [
    State {
        name: "disabled",
        code: "KMS.0209",
        enter: &[&["key", "disable", "finance"]],
        leave: &[&["key", "enable", "finance"]],
    },
    State {
        name: "pending-deletion",
        code: "KMS.0210",
        enter: &[&["key", "schedule-deletion", "finance", "--days", "7", "--yes"]],
        leave: &[&["key", "cancel-deletion", "finance"], &["key", "enable", "finance"]],
    },
];

/// D5 and D6 as one walk: a disk that is attached when its key becomes unusable goes on, is
/// detached without the key, cannot be attached again, also not by a restart, and comes back whole
/// with the key.
fn d5_d6_every_state_of_the_key_at_every_moment_of_the_disk() {
    for state in &STATES {
        let mount = mount_with_key();
        let walk = |steps: &[&[&str]]| steps.iter().for_each(|step| _ = mount.evsfs(step).ok());
        let codes = format!("EVS.2040, {}", state.code);
        create(&mount, "idle", "8M", &FINANCE);
        let file = mount.attached_disk("db", "8M", &FINANCE);
        write_at(&file, 4096, &numbered_block(1));

        walk(state.enter);
        assert_eq!(mount.read_control("disks/db/key-state"), state.name);
        goes_on(&file, 2);
        has_codes(mount.evsfs(&["disk", "attach", "idle"]), 5, &codes);
        detach(&mount, "db");
        for _ in 0..2 {
            let text = has_codes(mount.evsfs(&["disk", "attach", "db"]), 5, &codes);
            assert!(text.contains("finance"), "{text}");
            assert_eq!(status_of(&mount, "db"), "available");
            assert!(!file.exists());
            mount.stop();
            mount.start();
        }

        walk(state.leave);
        attach(&mount, "db");
        assert_eq!(read_at(&file, 4096, 4096), numbered_block(1), "{}", state.name);
        assert_eq!(read_at(&file, 8192, 4096), numbered_block(2), "{}", state.name);
    }
}

/// Writes, syncs and reads past every cache.
fn goes_on(file: &Path, number: u64) {
    let open = crate::rig::open_rw(file);
    open.write_all_at(&numbered_block(number), number * 4096).unwrap();
    open.sync_all().unwrap();
    let past_the_cache = run(
        "dd",
        &[
            &format!("if={}", file.display()),
            "of=/dev/null",
            "iflag=direct",
            "bs=64k",
            "status=none",
        ],
    );
    past_the_cache.ok();
    drop(crate::rig::open_with(file, OFlags::DIRECT));
    assert_eq!(read_at(file, number * 4096, 4096), numbered_block(number));
}

/// D5: a refused attach changes nothing: not the record, not the payload, not the mount.
fn d5_a_refused_attach_changes_nothing() {
    let mount = mount_with_key();
    let file = mount.attached_disk("db", "8M", &FINANCE);
    write_at(&file, 0, &numbered_block(7));
    detach(&mount, "db");
    mount.evsfs(&["key", "disable", "finance"]).ok();
    let payload = mount.payload("db");
    let record = payload.with_file_name("disk.toml");
    let before = (crate::rig::sha256(&payload), std::fs::read(&record).unwrap());
    has_codes(mount.evsfs(&["disk", "attach", "db"]), 5, "EVS.2040, KMS.0209");
    let refused = mount.write_control("disks/db/attach", "rw");
    assert_eq!(crate::rig::errno(refused), rustix::io::Errno::KEYREVOKED);
    let error = mount.read_control("error");
    assert!(error.starts_with("EVS.2040 (KMS.0209) key-unusable\n"), "{error}");
    assert!(error.contains("fix: evsfs key enable finance"), "{error}");
    assert_eq!((crate::rig::sha256(&payload), std::fs::read(&record).unwrap()), before);
    assert_eq!(std::fs::read_dir(mount.mountpoint()).unwrap().count(), 0);
    let shown = mount.json(&["disk", "show", "db"]);
    assert_eq!(shown["status"], "available");
    assert_eq!(shown["key_state"], "disabled");
}

/// D6: an attached disk goes on past the day its key was to be deleted. A clock that jumps while
/// the daemon runs destroys nothing (RULES K10): the key is unusable and can still be kept.
fn d6_an_attached_disk_goes_on_past_its_keys_deadline() {
    let mount = Setup::default().prepare();
    let Some(clock) = ForwardClock::compile(mount.scratch()) else { return };
    clock.start(&mount);
    mount.evsfs(&["agency", "create"]).ok();
    mount.evsfs(&["key", "create", "finance"]).ok();
    create(&mount, "idle", "8M", &FINANCE);
    let file = mount.attached_disk("db", "8M", &FINANCE);
    write_at(&file, 4096, &numbered_block(1));
    mount.evsfs(&["key", "schedule-deletion", "finance", "--days", "7", "--yes"]).ok();
    clock.set_ahead(8);
    has_codes(mount.evsfs(&["disk", "attach", "idle"]), 5, "EVS.2040, KMS.0210");
    goes_on(&file, 2);
    detach(&mount, "db");
    has_codes(mount.evsfs(&["disk", "attach", "db"]), 5, "EVS.2040, KMS.0210");
    clock.set_back();
    mount.evsfs(&["key", "cancel-deletion", "finance"]).ok();
    mount.evsfs(&["key", "enable", "finance"]).ok();
    attach(&mount, "db");
    assert_eq!(read_at(&file, 4096, 4096), numbered_block(1));
}

/// D5: a disk whose key was deleted is refused with KMS.0207, and D9: a restart says so; for good,
/// also when the clock is set back (RULES K10) and when a new key takes the alias (RULES K9).
fn d5_a_disk_under_a_deleted_key_is_lost() {
    let mount = mount_with_key();
    let Some(clock) = ForwardClock::compile(mount.scratch()) else { return };
    let file = mount.attached_disk("db", "8M", &FINANCE);
    write_at(&file, 4096, &numbered_block(1));
    mount.evsfs(&["key", "schedule-deletion", "finance", "--days", "7", "--yes"]).ok();
    mount.stop();
    clock.set_ahead(8);
    clock.start(&mount);
    let reason = mount.read_control("disks/db/error");
    assert!(reason.starts_with("not attached again: "), "{reason}");
    assert!(reason.contains("was deleted"), "{reason}");
    let lost = |moment: &str| {
        let text = has_codes(mount.evsfs(&["disk", "attach", "db"]), 5, "EVS.2040, KMS.0207");
        assert!(text.contains("was deleted"), "{moment}: {text}");
        let refused = mount.write_control("disks/db/attach", "rw");
        assert_eq!(crate::rig::errno(refused), rustix::io::Errno::NOKEY, "{moment}");
        assert_eq!(mount.read_control("disks/db/key-state"), "gone", "{moment}");
        assert_eq!(status_of(&mount, "db"), "available", "{moment}");
    };
    lost("after the deadline");
    assert_eq!(mount.json(&["key", "list"]), serde_json::json!([]));
    mount.stop();
    clock.set_back();
    mount.start();
    lost("after the clock was set back");
    mount.evsfs(&["key", "create", "finance"]).ok();
    lost("under a new key of that alias");
    // What cannot be read any more can be deleted.
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
}
