//! The trials.

use crate::rig::{Mood, Relenting, Rig, write_to};
use crate::support::{Needs, trial, wait_until};
use libtest_mimic::Trial;
use rustix::io::Errno;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_panic_in_a_request_is_answered_eio_and_the_mount_lives",
            Needs::Fuse,
            a_panic_in_a_request_is_answered_eio_and_the_mount_lives,
        ),
        trial(
            "a_dead_hsm_refuses_attach_and_changes_nothing",
            Needs::Fuse,
            a_dead_hsm_refuses_attach_and_changes_nothing,
        ),
        trial(
            "a_slow_hsm_holds_up_neither_disks_nor_other_commands",
            Needs::Fuse,
            a_slow_hsm_holds_up_neither_disks_nor_other_commands,
        ),
        trial(
            "a_disk_that_is_being_rewrapped_serves_io_and_refuses_other_verbs",
            Needs::Fuse,
            a_disk_that_is_being_rewrapped_serves_io_and_refuses_other_verbs,
        ),
        trial(
            "a_rewrap_that_fails_leaves_the_disk_as_it_was",
            Needs::Fuse,
            a_rewrap_that_fails_leaves_the_disk_as_it_was,
        ),
    ]
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap()
}

fn a_panic_in_a_request_is_answered_eio_and_the_mount_lives() {
    let rig = Rig::new();
    rig.disk("db");
    rig.hsm.set_mood(Mood::Panicking);
    let refusal = rig.write(".evs/disks/db/attach", "rw").unwrap_err();
    assert_eq!(errno_of(&refusal), Errno::IO);
    assert!(!rig.path("db").exists());
    // The disk is not stuck in the middle of the verb that panicked.
    assert_eq!(rig.read(".evs/disks/db/status"), "available\n");
    rig.hsm.set_mood(Mood::Obliging);
    rig.write(".evs/disks/db/attach", "rw").unwrap();
    std::fs::write(rig.path("db"), b"still here").unwrap();
    assert_eq!(&std::fs::read(rig.path("db")).unwrap()[..10], b"still here");
}

fn a_dead_hsm_refuses_attach_and_changes_nothing() {
    let rig = Rig::new();
    rig.disk("db");
    rig.disk("attached");
    rig.write(".evs/disks/attached/attach", "rw").unwrap();
    rig.hsm.set_mood(Mood::Dead);
    let refusal = rig.write(".evs/disks/db/attach", "rw").unwrap_err();
    assert_eq!(errno_of(&refusal), Errno::HOSTDOWN);
    assert!(rig.read(".evs/error").contains("kms-unreachable"));
    assert_eq!(rig.read(".evs/disks/db/status"), "available\n");
    // Attached disks go on.
    std::fs::write(rig.path("attached"), b"data").unwrap();
    assert_eq!(&std::fs::read(rig.path("attached")).unwrap()[..4], b"data");
}

fn a_slow_hsm_holds_up_neither_disks_nor_other_commands() {
    let rig = Rig::new();
    rig.disk("fast");
    rig.write(".evs/disks/fast/attach", "rw").unwrap();
    let waiting = ["a", "b", "c", "d"];
    waiting.iter().for_each(|name| rig.disk(name));
    rig.hsm.set_mood(Mood::Waiting);
    std::thread::scope(|scope| {
        let _relenting = Relenting(&rig.hsm);
        // More than there are event loops.
        let attaches: Vec<_> = waiting
            .iter()
            .map(|name| {
                let path = rig.path(&format!(".evs/disks/{name}/attach"));
                scope.spawn(move || write_to(&path, "rw"))
            })
            .collect();
        for name in waiting {
            wait_until("the attach is under way", || {
                rig.read(&format!(".evs/disks/{name}/status")) == "attaching\n"
            });
        }
        std::fs::write(rig.path("fast"), b"meanwhile").unwrap();
        assert_eq!(&std::fs::read(rig.path("fast")).unwrap()[..9], b"meanwhile");
        rig.write(".evs/disks/create", "name=other size=1M encrypted=no").unwrap();
        // A second verb on a disk that is busy is refused, not queued.
        let refusal = rig.write(".evs/disks/a/delete", "a").unwrap_err();
        assert_eq!(errno_of(&refusal), Errno::INVAL);
        assert!(rig.read(".evs/error").contains("EVS.1046"));
        rig.hsm.set_mood(Mood::Obliging);
        for attach in attaches {
            attach.join().unwrap().unwrap();
        }
    });
    waiting.iter().for_each(|name| assert!(rig.path(name).exists(), "{name}"));
}

/// RULES K5: no other verb saves the record that a rewrap is about to save.
fn a_disk_that_is_being_rewrapped_serves_io_and_refuses_other_verbs() {
    let rig = Rig::new();
    rig.write(".evs/keys/create", "alias=finance").unwrap();
    for name in ["open", "resting"] {
        rig.write(".evs/disks/create", &format!("name={name} size=1M key=finance encrypted=yes"))
            .unwrap();
    }
    rig.write(".evs/disks/open/attach", "rw").unwrap();
    rig.write(".evs/keys/finance/rotate", "\n").unwrap();
    let value = |file: &str| rig.read(&format!(".evs/disks/{file}"));
    rig.hsm.set_mood(Mood::Waiting);
    std::thread::scope(|scope| {
        let _relenting = Relenting(&rig.hsm);
        let rewraps = ["open", "resting"].map(|name| {
            let path = rig.path(&format!(".evs/disks/{name}/rewrap"));
            scope.spawn(move || write_to(&path, "\n"))
        });
        for name in ["open", "resting"] {
            wait_until("the rewrap is under way", || {
                value(&format!("{name}/status")) == "rewrapping\n"
            });
        }
        std::fs::write(rig.path("open"), b"meanwhile").unwrap();
        assert_eq!(&std::fs::read(rig.path("open")).unwrap()[..9], b"meanwhile");
        for (file, text) in [
            ("open/detach", "\n"),
            ("open/detach", "force"),
            ("open/extend", "2M"),
            ("open/rewrap", "\n"),
            ("resting/attach", "rw"),
            ("resting/extend", "2M"),
            ("resting/delete", "resting"),
        ] {
            let refusal = rig.write(&format!(".evs/disks/{file}"), text).unwrap_err();
            assert_eq!(errno_of(&refusal), Errno::INVAL, "{file}");
            assert!(rig.read(".evs/error").contains("EVS.1046"), "{file}");
        }
        rig.hsm.set_mood(Mood::Obliging);
        for rewrap in rewraps {
            rewrap.join().unwrap().unwrap();
        }
    });
    assert_eq!(
        (value("open/status"), value("resting/status")),
        ("in-use\n".into(), "available\n".into())
    );
    assert_eq!(
        (value("open/key-version"), value("resting/key-version")),
        ("2\n".into(), "2\n".into())
    );
    // What the records say now includes what other verbs saved before and save after.
    rig.write(".evs/disks/open/extend", "2M").unwrap();
    rig.write(".evs/disks/open/detach", "\n").unwrap();
    rig.write(".evs/disks/open/attach", "rw").unwrap();
    assert_eq!((value("open/size"), value("open/key-version")), ("2097152\n".into(), "2\n".into()));
    assert_eq!(&std::fs::read(rig.path("open")).unwrap()[..9], b"meanwhile");
}

fn a_rewrap_that_fails_leaves_the_disk_as_it_was() {
    let rig = Rig::new();
    rig.write(".evs/keys/create", "alias=finance").unwrap();
    rig.write(".evs/disks/create", "name=db size=1M key=finance encrypted=yes").unwrap();
    rig.write(".evs/keys/finance/rotate", "\n").unwrap();
    for (mood, errno) in [(Mood::Dead, Errno::HOSTDOWN), (Mood::Panicking, Errno::IO)] {
        rig.hsm.set_mood(mood);
        let refusal = rig.write(".evs/disks/db/rewrap", "\n").unwrap_err();
        assert_eq!(errno_of(&refusal), errno, "{mood:?}");
        rig.hsm.set_mood(Mood::Obliging);
        assert_eq!(rig.read(".evs/disks/db/status"), "available\n");
        assert_eq!(rig.read(".evs/disks/db/key-version"), "1\n");
        rig.write(".evs/disks/db/attach", "rw").unwrap();
        rig.write(".evs/disks/db/detach", "\n").unwrap();
    }
    rig.write(".evs/disks/db/rewrap", "\n").unwrap();
    assert_eq!(rig.read(".evs/disks/db/key-version"), "2\n");
}
