//! What is told of the disks under a key before and while it is taken away.

use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use serde_json::json;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_key_shows_the_disks_under_it_and_which_are_attached",
            Needs::Fuse,
            a_key_shows_the_disks_under_it_and_which_are_attached,
        ),
        trial(
            "detaching_a_disk_that_cannot_come_back_warns_and_goes_on_in_a_script",
            Needs::Fuse,
            detaching_a_disk_that_cannot_come_back_warns_and_goes_on_in_a_script,
        ),
        trial(
            "who_manages_keys_learns_how_many_disks_of_others_are_under_one",
            Needs::Root,
            who_manages_keys_learns_how_many_disks_of_others_are_under_one,
        ),
    ]
}

fn a_key_shows_the_disks_under_it_and_which_are_attached() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let none = mount.json(&["key", "show", "finance"]);
    assert_eq!((&none["disks"], &none["attached_disks"]), (&json!([]), &json!([])));
    for name in ["web", "db", "logs"] {
        mount.evsfs(&["disk", "create", name, "--size", "1M", "--key", "finance"]).ok();
    }
    mount.attached_disk("other", "1M", &["--encrypted"]);
    mount.evsfs(&["disk", "attach", "logs"]).ok();
    let key = mount.json(&["key", "show", "finance"]);
    assert_eq!(key["disks"], json!(["db", "logs", "web"]));
    assert_eq!(key["attached_disks"], json!(["logs"]));
    assert_eq!(key["foreign_disks"], json!(0));
    assert_eq!(mount.json(&["key", "list"])[1], key);
    let shown = mount.evsfs(&["key", "show", "finance"]).ok();
    assert!(shown.contains("db, logs, web\n"), "{shown}");
    assert!(shown.lines().any(|line| {
        line.strip_prefix("attached-disks:").is_some_and(|value| value.trim() == "logs")
    }));
    assert_eq!(mount.read_control("keys/finance/disks"), "db\nlogs\nweb");
    assert_eq!(mount.read_control("keys/finance/attached-disks"), "logs");
    assert_eq!(mount.read_control("keys/finance/foreign-disks"), "0");
    mount.evsfs(&["disk", "detach", "logs"]).ok();
    assert_eq!(mount.read_control("keys/finance/attached-disks"), "");
}

fn detaching_a_disk_that_cannot_come_back_warns_and_goes_on_in_a_script() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "1M", &["--key", "finance"]);
    let detached = mount.evsfs(&["disk", "detach", "db"]);
    assert_eq!((detached.code, detached.stderr.as_str()), (0, ""));
    for (verb, state, fix) in [
        (vec!["key", "disable", "finance"], "disabled", "evsfs key enable finance"),
        (
            vec!["key", "schedule-deletion", "finance", "--days", "7", "--yes"],
            "pending-deletion",
            "evsfs key cancel-deletion finance",
        ),
    ] {
        mount.evsfs(&["disk", "attach", "db"]).ok();
        mount.evsfs(&verb).ok();
        let detached = mount.evsfs(&["disk", "detach", "db"]);
        assert_eq!(detached.code, 0, "{}", detached.stderr);
        assert_eq!(detached.stdout, "disk \"db\" is detached\n");
        let warning = format!(
            "disk \"db\" cannot be attached again: key \"finance\" is {state}; fix: {fix}\n"
        );
        assert_eq!(detached.stderr, warning);
        mount.evsfs(&["disk", "attach", "db"]).refused(5);
        if state == "disabled" {
            mount.evsfs(&["key", "enable", "finance"]).ok();
        }
    }
}

/// RULES A7 keeps the names back; nobody takes a key for unused that is not.
fn who_manages_keys_learns_how_many_disks_of_others_are_under_one() {
    let mount = Setup::with(
        "[mount]\nallow_other = true\n\
         [[user]]\nname = \"app\"\nuid = 4001\nroles = [\"evs-user\"]\n\
         [[user]]\nname = \"keeper\"\nuid = 4002\nroles = [\"kms-administrator\"]\n",
    )
    .mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.evsfs(&["disk", "create", "secret", "--size", "1M", "--key", "finance"]).ok();
    let mountpoint = mount.mountpoint();
    let show = |uid| {
        let arguments =
            ["--mount", mountpoint.to_str().unwrap(), "--json", "key", "show", "finance"];
        let text = mount.as_uid(uid, &program(&mount), &arguments).ok();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let keeper = show(4002);
    assert_eq!((&keeper["disks"], &keeper["foreign_disks"]), (&json!([]), &json!(1)));
    let app = show(4001);
    assert_eq!((&app["disks"], &app["foreign_disks"]), (&json!([]), &json!(null)));
}

/// The program where every uid may run it.
fn program(mount: &Mount) -> String {
    let copy = mount.scratch().join("evsfs");
    if !copy.exists() {
        std::fs::copy(mount.program(), &copy).unwrap();
    }
    copy.to_str().unwrap().to_owned()
}
