//! `evsfs status`: the whole mount at a glance.

use super::agency;
use super::disk;
use super::failure::Outcome;
use super::key;
use super::object::Object;
use super::request::Request;
use super::session::Session;
use super::table::facts;
use serde_json::Value;

/// Shows the mount, its disks and its keys.
pub(super) fn run(session: &mut Session<'_>) -> Outcome {
    let status = session.call(&Request::new("mount.status"))?;
    session.answer(&status, overview)
}

fn overview(status: &Value) -> String {
    let mount = Object::of(status);
    let none = Value::Array(Vec::new());
    let (disks, keys) = (mount.get("disks").unwrap_or(&none), mount.get("keys").unwrap_or(&none));
    let daemon = format!(
        "evsfs {}, pid {}, since {} UTC",
        mount.text("version"),
        mount.text("pid"),
        mount.text("started")
    );
    let agency = agency::name(status)
        .unwrap_or_else(|| "none; encryption needs it: evsfs agency create".to_owned());
    let sandbox = match mount.text("sandbox") {
        none if none.is_empty() => "off".to_owned(),
        restricted => restricted,
    };
    let mut text = facts([
        ("mount", mount.text("mountpoint")),
        ("state", mount.text("state_dir")),
        ("daemon", daemon),
        ("sandbox", sandbox),
        ("project", format!("{}/{}", mount.text("region"), mount.text("project"))),
        ("agency", agency),
        ("disks", counted(disks, "attached", |disk| disk.is("attached"))),
        ("keys", counted(keys, "enabled", |key| key.text("state") == "enabled")),
    ]);
    if Object::list(disks).next().is_some() {
        text.push('\n');
        text.push_str(&disk::table(disks));
    }
    if Object::list(keys).next().is_some() {
        text.push('\n');
        text.push_str(&key::table(keys));
    }
    text
}

/// `3, 2 attached`.
fn counted(list: &Value, what: &str, is_so: impl Fn(&Object<'_>) -> bool) -> String {
    let all = Object::list(list).count();
    let some = Object::list(list).filter(is_so).count();
    if all == 0 { "none".to_owned() } else { format!("{all}, {some} {what}") }
}

#[cfg(test)]
mod tests {
    use super::overview;
    use serde_json::json;

    #[test]
    fn the_overview_shows_the_mount_then_disks_then_keys() {
        let status = json!({
            "mountpoint": "/mnt/evs", "state_dir": "/var/lib/evsfs", "version": "0.1.0",
            "pid": 4242, "started": "2026-11-24T10:00:00Z", "agency": "EVSAccessKMS",
            "region": "local", "project": "default",
            "disks": [
                {"name": "db", "size": 10_737_418_240_u64, "status": "in-use", "encrypted": true,
                 "key": "finance", "key_state": "enabled", "owner": 1000, "attached": true},
                {"name": "scratch", "size": 1_048_576, "status": "available", "encrypted": false,
                 "key": null, "key_state": null, "owner": 0, "attached": false},
            ],
            "keys": [{"alias": "finance", "state": "enabled", "origin": "kms",
                      "created": "2026-11-01T09:30:00Z", "deletion_date": null, "disks": ["db"]}],
        });
        let expected = "\
mount:   /mnt/evs
state:   /var/lib/evsfs
daemon:  evsfs 0.1.0, pid 4242, since 2026-11-24 10:00 UTC
sandbox: off
project: local/default
agency:  EVSAccessKMS
disks:   2, 1 attached
keys:    1, 1 enabled

NAME     SIZE  STATUS     ENCRYPTED  KEY      KEY-STATE  OWNER
db        10G  in-use     yes        finance  enabled    1000
scratch    1M  available  no         -        -          0

ALIAS    STATE    ORIGIN  CREATED           DELETION-DATE  DISKS
finance  enabled  kms     2026-11-01 09:30  -                  1
";
        assert_eq!(overview(&status), expected);
    }

    #[test]
    fn an_empty_project_says_what_to_do_next() {
        let text = overview(&json!({"mountpoint": "/m", "agency": null, "disks": [], "keys": []}));
        assert!(text.contains("agency:  none; encryption needs it: evsfs agency create\n"));
        assert!(text.contains("disks:   none\n"), "{text}");
    }
}
