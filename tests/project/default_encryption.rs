//! `.evs/default-encryption` and the operation `default-encryption.*`.

use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use serde_json::{Value, json};
use std::io::{Read, Write};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "the_default_encryption_overrides_the_configuration_and_lasts",
            Needs::Fuse,
            the_default_encryption_overrides_the_configuration_and_lasts,
        ),
        trial(
            "the_default_encryption_is_chosen_in_json_too",
            Needs::Fuse,
            the_default_encryption_is_chosen_in_json_too,
        ),
        trial(
            "a_default_key_stays_the_default_under_another_alias_and_is_not_replaced",
            Needs::Fuse,
            a_default_key_stays_the_default_under_another_alias_and_is_not_replaced,
        ),
        trial(
            "a_default_encryption_that_cannot_work_is_refused",
            Needs::Fuse,
            a_default_encryption_that_cannot_work_is_refused,
        ),
        trial(
            "known_users_read_the_default_encryption_and_key_administrators_write_it",
            Needs::Root,
            known_users_read_the_default_encryption_and_key_administrators_write_it,
        ),
        trial(
            "an_edited_project_record_is_refused_at_the_start",
            Needs::Fuse,
            an_edited_project_record_is_refused_at_the_start,
        ),
    ]
}

/// Writes one request into `control` and reads its answer.
fn ask(mount: &Mount, request: Value) -> Value {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.read(true).write(true).open(mount.control("control")).unwrap();
    file.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    file.read_to_string(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

fn choose(mount: &Mount, text: &str) -> std::io::Result<()> {
    mount.write_control("default-encryption", text)
}

fn chosen(mount: &Mount) -> String {
    mount.read_control("default-encryption")
}

/// Creates a disk without a word about encryption; returns whether it is, and its key.
fn create(mount: &Mount, name: &str) -> (Value, Value) {
    let disk = mount.json(&["disk", "create", name, "--size", "1M"]);
    (disk["encrypted"].clone(), disk["key"].clone())
}

fn the_default_encryption_overrides_the_configuration_and_lasts() {
    let mount = Setup::with("[defaults]\nencryption = \"off\"\n").mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    assert_eq!(chosen(&mount), "off");
    assert_eq!(create(&mount, "configured"), (json!(false), Value::Null));

    choose(&mount, "on finance\n").unwrap();
    assert_eq!(chosen(&mount), "on finance");
    assert_eq!(create(&mount, "chosen"), (json!(true), json!("finance")));

    mount.stop();
    mount.start();
    assert_eq!(chosen(&mount), "on finance");
    assert_eq!(create(&mount, "restarted"), (json!(true), json!("finance")));
    // The agency lives in the same record.
    assert_eq!(mount.read_control("agency"), "EVSAccessKMS");

    choose(&mount, "off").unwrap();
    mount.kill();
    mount.start();
    assert_eq!(create(&mount, "off"), (json!(false), Value::Null));
    mount.evsfs(&["agency", "delete", "--yes"]).ok();
    assert_eq!(chosen(&mount), "off");
    // Whoever says what he wants is not concerned.
    mount.evsfs(&["agency", "create"]).ok();
    let named = ["disk", "create", "named", "--size", "1M", "--key", "finance"];
    assert_eq!(mount.json(&named)["key"], "finance");
}

fn the_default_encryption_is_chosen_in_json_too() {
    let mount = Mount::new();
    let show = || ask(&mount, json!({ "op": "default-encryption.show" }));
    assert_eq!(show(), json!({ "ok": { "encrypted": true, "key": "evs/default" } }));
    let set = json!({ "op": "default-encryption.set", "encrypted": false });
    assert_eq!(ask(&mount, set), json!({ "ok": { "encrypted": false, "key": null } }));
    assert_eq!(create(&mount, "plain"), (json!(false), Value::Null));
    // The default key need not exist yet: it is made on first use.
    let set = json!({ "op": "default-encryption.set", "encrypted": true, "key": "evs/default" });
    assert_eq!(ask(&mount, set), show());
    assert_eq!(create(&mount, "sealed"), (json!(true), json!("evs/default")));
    for half in [
        json!({ "op": "default-encryption.set" }),
        json!({ "op": "default-encryption.set", "encrypted": true }),
        json!({ "op": "default-encryption.set", "encrypted": false, "key": "evs/default" }),
    ] {
        assert_eq!(ask(&mount, half.clone())["error"]["kind"], "invalid", "{half}");
    }
}

fn a_default_key_stays_the_default_under_another_alias_and_is_not_replaced() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    choose(&mount, "on finance").unwrap();
    mount.evsfs(&["key", "set-alias", "finance", "money"]).ok();
    mount.evsfs(&["key", "create", "finance"]).ok();
    assert_eq!(chosen(&mount), "on money");
    assert_eq!(create(&mount, "db"), (json!(true), json!("money")));
    // RULES D4: a key that is not enabled refuses creation, with the code of the KMS.
    mount.evsfs(&["key", "disable", "money"]).ok();
    let refusal = mount.evsfs(&["disk", "create", "web", "--size", "1M"]).refused(5);
    assert!(refusal.contains("(EVS.2040, KMS.0209)\nfix: evsfs key enable money"), "{refusal}");
}

fn a_default_encryption_that_cannot_work_is_refused() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "off-duty"]).ok();
    mount.evsfs(&["key", "disable", "off-duty"]).ok();
    for (text, errno) in [
        ("on nobody", Errno::NOENT),
        ("on off-duty", Errno::KEYREVOKED),
        ("on", Errno::INVAL),
        ("on a b", Errno::INVAL),
        ("maybe", Errno::INVAL),
        ("", Errno::INVAL),
    ] {
        // A write of no bytes would never reach the daemon.
        let refusal = choose(&mount, &format!("{text}\n")).unwrap_err();
        assert_eq!(Errno::from_io_error(&refusal), Some(errno), "{text:?}");
    }
    assert_eq!(chosen(&mount), "on evs/default");
}

fn known_users_read_the_default_encryption_and_key_administrators_write_it() {
    let mount = Setup::with(
        "[mount]\nallow_other = true\n\
         [[user]]\nname = \"app\"\nuid = 4001\nroles = [\"evs-user\"]\n\
         [[user]]\nname = \"keeper\"\nuid = 4002\nroles = [\"kms-administrator\"]\n",
    )
    .mount();
    let file = mount.control("default-encryption");
    let file = file.to_str().unwrap();
    let write =
        |uid, text: &str| mount.as_uid(uid, "sh", &["-c", &format!("echo {text} > {file}")]);
    assert_eq!(mount.as_uid(4001, "cat", &[file]).ok(), "on evs/default\n");
    assert_ne!(mount.as_uid(65534, "cat", &[file]).code, 0);
    assert_ne!(write(4001, "off").code, 0);
    assert_eq!(chosen(&mount), "on evs/default");
    write(4002, "off").ok();
    assert_eq!(chosen(&mount), "off");
}

fn an_edited_project_record_is_refused_at_the_start() {
    let mount = Mount::new();
    choose(&mount, "off").unwrap();
    mount.stop();
    let record = mount.state_dir().join("project.toml");
    let text = std::fs::read_to_string(&record).unwrap();
    assert!(text.contains("default_encryption = \"off\""), "{text}");
    std::fs::write(&record, text.replace("\"off\"", "\"on evs/default\"")).unwrap();
    let refusal = mount.try_start().refused(7);
    assert!(refusal.contains("project.toml was edited"), "{refusal}");
}
