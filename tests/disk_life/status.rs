//! The status of a disk and the attribute it keeps for life: D1 and D2.

use crate::rig::{Kind, attach, create, errno, has_codes, status_of, usual_disk};
use crate::support::{Mount, Needs, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "d1_a_verb_in_the_wrong_status_is_refused_with_evs_1046",
            Needs::Fuse,
            d1_a_verb_in_the_wrong_status_is_refused_with_evs_1046,
        ),
        trial(
            "d1_of_many_attaches_at_once_one_wins",
            Needs::Fuse,
            d1_of_many_attaches_at_once_one_wins,
        ),
        trial(
            "d1_verbs_at_once_leave_a_disk_in_a_resting_status",
            Needs::Fuse,
            d1_verbs_at_once_leave_a_disk_in_a_resting_status,
        ),
        trial(
            "d2_nothing_changes_the_encryption_attribute",
            Needs::Fuse,
            d2_nothing_changes_the_encryption_attribute,
        ),
        trial(
            "d2_a_record_that_was_edited_is_not_believed",
            Needs::Fuse,
            d2_a_record_that_was_edited_is_not_believed,
        ),
    ]
}

/// D1: a verb in the wrong status is refused with EVS.1046, naming the status and the verb.
fn d1_a_verb_in_the_wrong_status_is_refused_with_evs_1046() {
    let mount = Mount::new();
    create(&mount, "rests", "8M", Kind::USUAL.options());
    usual_disk(&mount, "runs");
    for (disk, status, verb, file, text) in [
        ("rests", "available", &["detach", "rests"][..], "detach", "\n"),
        ("rests", "available", &["detach", "rests", "--force", "--yes"], "detach", "force"),
        ("runs", "in-use", &["attach", "runs"], "attach", "rw"),
        ("runs", "in-use", &["attach", "runs", "--read-only"], "attach", "ro"),
        ("runs", "in-use", &["delete", "runs", "--yes"], "delete", "runs"),
    ] {
        let mut words = vec!["disk"];
        words.extend_from_slice(verb);
        let text_of_cli = has_codes(mount.evsfs(&words), 4, "EVS.1046");
        assert!(text_of_cli.contains(status) && text_of_cli.contains(verb[0]), "{text_of_cli}");

        let refusal = mount.write_control(&format!("disks/{disk}/{file}"), text);
        assert_eq!(errno(refusal), Errno::INVAL, "{verb:?}");
        let error = mount.read_control("error");
        assert!(error.starts_with("EVS.1046 wrong-status\n"), "{error}");
        assert!(error.contains(status) && error.contains(verb[0]), "{error}");
        assert_eq!(status_of(&mount, disk), status);
    }
    // A disk that was attached for reading does not grow.
    create(&mount, "reads", "8M", Kind::USUAL.options());
    mount.evsfs(&["disk", "attach", "reads", "--read-only"]).ok();
    has_codes(mount.evsfs(&["disk", "extend", "reads", "--size", "16M"]), 4, "EVS.1046");
    assert_eq!(mount.json(&["disk", "show", "reads"])["size"], 8 << 20);
}

/// D1: what another verb is about to do is a status too.
fn d1_of_many_attaches_at_once_one_wins() {
    let mount = Mount::new();
    create(&mount, "db", "8M", Kind::USUAL.options());
    let codes: Vec<Option<Errno>> = std::thread::scope(|scope| {
        let tries: Vec<_> =
            (0..16).map(|_| scope.spawn(|| mount.write_control("disks/db/attach", "rw"))).collect();
        tries
            .into_iter()
            .map(|attempt| attempt.join().unwrap().err())
            .map(|error| error.map(|error| Errno::from_io_error(&error).unwrap()))
            .collect()
    });
    assert_eq!(codes.iter().filter(|code| code.is_none()).count(), 1, "{codes:?}");
    assert!(codes.iter().flatten().all(|code| *code == Errno::INVAL), "{codes:?}");
    assert_eq!(status_of(&mount, "db"), "in-use");
}

/// D1: whatever mixture of verbs arrives, the disk comes to rest and obeys the next verb.
fn d1_verbs_at_once_leave_a_disk_in_a_resting_status() {
    let mount = Mount::new();
    create(&mount, "db", "8M", Kind::USUAL.options());
    std::thread::scope(|scope| {
        for (verb, text) in [("attach", "rw"), ("detach", "\n"), ("detach", "force")] {
            for _ in 0..2 {
                let mount = &mount;
                scope.spawn(move || {
                    for _ in 0..30 {
                        if let Err(error) = mount.write_control(&format!("disks/db/{verb}"), text) {
                            let code = Errno::from_io_error(&error).unwrap();
                            assert!([Errno::INVAL, Errno::BUSY].contains(&code), "{error}");
                        }
                    }
                });
            }
        }
        scope.spawn(|| {
            for _ in 0..60 {
                let _ = std::fs::read(mount.mountpoint().join("db"));
            }
        });
    });
    let status = status_of(&mount, "db");
    assert!(["available", "in-use"].contains(&status.as_str()), "{status}");
    if status == "available" {
        attach(&mount, "db");
    }
    assert_eq!(std::fs::metadata(mount.mountpoint().join("db")).unwrap().len(), 8 << 20);
}

/// D2: the encryption attribute is chosen at creation and nothing changes it.
fn d2_nothing_changes_the_encryption_attribute() {
    let mount = Mount::new();
    create(&mount, "sealed", "8M", &["--encrypted"]);
    create(&mount, "plain", "8M", &["--unencrypted"]);
    let attributes = || {
        let value = |disk: &str| mount.read_control(&format!("disks/{disk}/encrypted"));
        (value("sealed"), value("plain"))
    };
    let expected = ("yes".to_owned(), "no".to_owned());
    assert_eq!(attributes(), expected);
    for disk in ["sealed", "plain"] {
        let asked = mount.write_control(&format!("disks/{disk}/encrypted"), "no");
        assert_eq!(errno(asked), Errno::PERM);
        assert!(mount.read_control("error").starts_with("EVS.2041"));
        for verb in ["attach", "extend"] {
            let request = format!(
                "{{\"op\":\"disk.{verb}\",\"name\":\"{disk}\",\"size\":\"16M\",\"encrypted\":false}}\n"
            );
            let answer = ask(&mount, &request);
            assert_eq!(answer["error"]["code"], "EVS.2041", "{answer}");
        }
        mount.evsfs(&["disk", "extend", disk, "--size", "16M"]).ok();
        attach(&mount, disk);
        assert_eq!(attributes(), expected);
    }
    mount.kill();
    mount.start();
    assert_eq!(attributes(), expected);
}

fn ask(mount: &Mount, request: &str) -> serde_json::Value {
    use std::io::{Read, Write};
    let mut file =
        std::fs::File::options().read(true).write(true).open(mount.control("control")).unwrap();
    file.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    file.read_to_string(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// D2: whoever edits the record to say that a disk is plain gets no disk, and the others stay.
fn d2_a_record_that_was_edited_is_not_believed() {
    let mount = Mount::new();
    create(&mount, "sealed", "8M", &["--encrypted"]);
    create(&mount, "other", "8M", &["--encrypted"]);
    let id = mount.read_control("disks/sealed/id");
    let record = mount.state_dir().join("disks").join(&id).join("disk.toml");
    mount.stop();
    let text = std::fs::read_to_string(&record).unwrap();
    assert!(text.contains("encrypted = true"), "{text}");
    std::fs::write(&record, text.replace("encrypted = true", "encrypted = false")).unwrap();
    mount.start();
    has_codes(mount.evsfs(&["disk", "attach", "sealed"]), 3, "EVS.1002");
    attach(&mount, "other");
    let log = std::fs::read_to_string(mount.state_dir().join("daemon.log")).unwrap();
    assert!(log.contains(&format!("event=not-served disk={id} ")), "{log}");
}
