//! Each kind of refusal: its exit code and three lines, its errno, its place in `error`.

use crate::rig::{ask, errno, three_lines};
use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use serde_json::json;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("every_refusal_has_its_exit_code", Needs::Fuse, every_refusal_has_its_exit_code),
        trial("every_refused_write_has_its_errno", Needs::Fuse, every_refused_write_has_its_errno),
        trial("the_hundred_and_first_key_is_over_quota", Needs::Fuse, the_hundred_and_first_key),
        trial("without_a_mount_the_exit_code_is_11", Needs::Fuse, without_a_mount),
    ]
}

/// A project in which every kind of refusal can be had: see the names.
fn project() -> Mount {
    let mount = Setup::with("backing_dirs = [\"/nonexistent/evsfs-pool\"]\n").mount();
    for key in ["good", "off", "doomed"] {
        mount.evsfs(&["key", "create", key]).ok();
    }
    mount.evsfs(&["key", "create", "bare", "--external"]).ok();
    for (disk, key) in [("rests", "good"), ("asleep", "off"), ("lost", "doomed")] {
        mount.evsfs(&["disk", "create", disk, "--size", "1M", "--key", key]).ok();
    }
    mount.attached_disk("runs", "1M", &[]);
    mount.evsfs(&["disk", "create", "short", "--size", "2M"]).ok();
    let payload = std::fs::File::options().write(true).open(mount.payload("short")).unwrap();
    payload.set_len(1 << 20).unwrap();
    mount.evsfs(&["key", "disable", "off"]).ok();
    mount.evsfs(&["key", "schedule-deletion", "doomed", "--days", "7", "--yes"]).ok();
    mount
}

/// "Exit codes, never reused" and "a refused command prints three lines on stderr".
fn every_refusal_has_its_exit_code() {
    let mount = project();
    let open = std::fs::File::open(mount.mountpoint().join("runs")).unwrap();
    for (words, exit, codes) in [
        ("disk create", 2, "EVSFS.usage"),
        ("disk creat x --size 1M", 2, "EVSFS.usage"),
        ("disk list --jsn", 2, "EVSFS.usage"),
        ("disk create x --size 0", 2, "EVS.1010"),
        ("disk create x --size 1M --sector-size 1024", 2, "EVSFS.invalid"),
        ("disk create x --size 1M --key evs/mine", 3, "KMS.0207"),
        ("disk create .x --size 1M", 2, "EVS.1003"),
        ("disk extend runs --size 1M", 2, "EVS.1015"),
        ("key create evs/mine", 2, "KMS.1101"),
        ("key schedule-deletion good --days 6 --yes", 2, "KMS.1401"),
        ("key schedule-deletion good --days 1097 --yes", 2, "KMS.1401"),
        ("disk show nobody", 3, "EVS.1002"),
        ("disk attach nobody", 3, "EVS.1002"),
        ("key show nobody", 3, "KMS.0207"),
        ("disk attach runs", 4, "EVS.1046"),
        ("disk detach rests", 4, "EVS.1046"),
        ("disk detach runs", 4, "EVS.1046"),
        ("key enable good", 4, "KMS.1201"),
        ("key disable off", 4, "KMS.1301"),
        ("key cancel-deletion good", 4, "KMS.1501"),
        ("key schedule-deletion doomed --days 7 --yes", 4, "KMS.1402"),
        ("disk attach asleep", 5, "EVS.2040, KMS.0209"),
        ("disk attach lost", 5, "EVS.2040, KMS.0210"),
        ("disk create x --size 1M --key bare", 5, "EVS.2040, KMS.1301"),
        ("key disable evs/default", 6, "KMS.0211"),
        ("key schedule-deletion evs/default --days 7 --yes", 6, "KMS.0211"),
        ("key set-alias evs/default mine", 6, "KMS.0211"),
        ("disk create x --size 1M --backing /etc/evsfs-x", 6, "EVSFS.denied"),
        ("disk attach short", 7, "EVSFS.integrity"),
        ("disk create rests --size 1M", 10, "EVSFS.exists"),
        ("key create good", 10, "KMS.1104"),
        ("agency create", 10, "EVSFS.exists"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        three_lines(mount.evsfs(&words), exit, codes);
    }
    drop(open);
    assert_eq!(mount.json(&["disk", "list"]).as_array().unwrap().len(), 5);
    // Codes and kinds are the same for programs.
    let answer = ask(&mount, &json!({"op": "disk.attach", "name": "asleep"}));
    let error = &answer["error"];
    assert_eq!((&error["code"], &error["cause"]), (&json!("EVS.2040"), &json!("KMS.0209")));
    assert_eq!(
        (&error["kind"], &error["remedy"]),
        (&json!("key-unusable"), &json!("evsfs key enable off"))
    );
    assert!(error["message"].as_str().unwrap().contains("asleep"), "{error}");

    mount.evsfs(&["agency", "delete", "--yes"]).ok();
    let [_, _, fix] = three_lines(mount.evsfs(&["disk", "attach", "rests"]), 6, "EVS.2055");
    assert!(fix.contains("evsfs agency create"), "{fix}");
}

/// The table of kinds: "write(2) returns the errno at once and `error` explains it".
fn every_refused_write_has_its_errno() {
    let mount = project();
    let open = std::fs::File::open(mount.mountpoint().join("runs")).unwrap();
    for (file, text, code, first_line) in [
        ("disks/create", "name=x size=1M colour=red", Errno::INVAL, "EVSFS.invalid invalid"),
        ("disks/create", "name=x size=1K", Errno::RANGE, "EVS.1010 out-of-range"),
        ("disks/create", "name=x size=65T", Errno::RANGE, "EVS.1010 out-of-range"),
        ("disks/create", "name=x size=1M key=nobody", Errno::NOENT, "KMS.0207 not-found"),
        ("disks/runs/attach", "rw", Errno::INVAL, "EVS.1046 wrong-status"),
        ("disks/runs/detach", "\n", Errno::BUSY, "EVS.1046 in-use"),
        ("disks/asleep/attach", "rw", Errno::KEYREVOKED, "EVS.2040 (KMS.0209) key-unusable"),
        ("disks/lost/attach", "rw", Errno::KEYEXPIRED, "EVS.2040 (KMS.0210) key-unusable"),
        (
            "disks/create",
            "name=x size=1M key=bare",
            Errno::NOKEY,
            "EVS.2040 (KMS.1301) key-unusable",
        ),
        ("disks/create", "name=x size=1M backing=/etc/x", Errno::ACCESS, "EVSFS.denied denied"),
        ("keys/evs/default/disable", "\n", Errno::PERM, "KMS.0211 protected"),
        ("disks/short/attach", "rw", Errno::KEYREJECTED, "EVSFS.integrity integrity"),
        ("disks/create", "name=rests size=1M", Errno::EXIST, "EVSFS.exists exists"),
        ("keys/create", "alias=good", Errno::EXIST, "KMS.1104 exists"),
        ("keys/good/enable", "\n", Errno::INVAL, "KMS.1201 wrong-status"),
        ("keys/good/schedule-deletion", "6", Errno::RANGE, "KMS.1401 out-of-range"),
        ("agency", "create", Errno::EXIST, "EVSFS.exists exists"),
        ("agency", "destroy", Errno::INVAL, "EVSFS.invalid invalid"),
    ] {
        assert_eq!(errno(mount.write_control(file, text)), code, "{file} {text}");
        let error = mount.read_control("error");
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines[0], first_line, "{file} {text}");
        assert!((2..=3).contains(&lines.len()), "{error}");
        assert!(lines.get(2).is_none_or(|line| line.starts_with("fix: ")), "{error}");
    }
    drop(open);
    mount.write_control("agency", "delete").unwrap();
    assert_eq!(errno(mount.write_control("disks/rests/attach", "rw")), Errno::ACCESS);
    assert!(mount.read_control("error").starts_with("EVS.2055 no-agency\n"));
}

/// RULES K4: exit code 9 and EDQUOT.
fn the_hundred_and_first_key() {
    let mount = Mount::new();
    mount.evsfs(&["disk", "create", "db", "--size", "1M"]).ok();
    for number in 0..100 {
        mount.write_control("keys/create", &format!("alias=k{number}")).unwrap();
    }
    three_lines(mount.evsfs(&["key", "create", "k100"]), 9, "KMS.1105");
    assert_eq!(errno(mount.write_control("keys/create", "alias=k100")), Errno::DQUOT);
    // The default key is besides them; there are two lists of one hundred and one.
    assert_eq!(mount.json(&["key", "list"]).as_array().unwrap().len(), 101);
    assert_eq!(crate::rig::names_in(&mount.control("keys")).len(), 102);
}

fn without_a_mount() {
    let mount = Mount::new();
    mount.stop();
    for words in [
        &["disk", "list"][..],
        &["status"],
        &["key", "show", "a"],
        &["disk", "delete", "a", "--yes"],
    ] {
        three_lines(mount.evsfs(words), 11, "EVSFS.no-mount");
    }
    let umount = mount.evsfs_plain(&["umount", mount.mountpoint().to_str().unwrap()]);
    three_lines(umount, 11, "EVSFS.no-mount");
}
