//! Who may do what: RULES A1 to A5 and A7.

use crate::rig::{as_user, ask, errno, evsfs_as, names_in, three_lines, try_names_in};
use crate::support::{
    ALICE, BOB, BOTH, KEEPER, Mount, Needs, OPERATOR, STRANGER, Setup, USERS, trial,
};
use libtest_mimic::Trial;
use rustix::io::Errno;
use serde_json::json;
use std::fs::File;
use std::os::unix::fs::MetadataExt;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a1_roles_allow_what_they_are_for", Needs::Root, a1_roles_allow_what_they_are_for),
        trial("a1_a_stranger_sees_and_does_nothing", Needs::Root, a1_a_stranger_sees_nothing),
        trial(
            "a1_without_allow_other_the_kernel_lets_nobody_in",
            Needs::Root,
            a1_without_allow_other_the_kernel_lets_nobody_in,
        ),
        trial("a2_the_first_encryption_asks_for_the_agency", Needs::Root, a2_the_first_encryption),
        trial("a3_with_the_agency_every_user_encrypts", Needs::Root, a3_with_the_agency),
        trial(
            "a4_without_it_attached_disks_go_on",
            Needs::Root,
            a4_without_it_attached_disks_go_on,
        ),
        trial("a5_a_disk_belongs_to_its_creator", Needs::Root, a5_a_disk_belongs_to_its_creator),
        trial("a7_foreign_disks_do_not_exist", Needs::Root, a7_foreign_disks_do_not_exist),
    ]
}

/// A mount with the users above; `agency` says whether EVS may use the KMS already.
fn project(agency: bool) -> Mount {
    if agency {
        return Setup::with(USERS).mount();
    }
    let mount = Setup::with(USERS).prepare();
    mount.start();
    mount
}

/// A1: roles.
fn a1_roles_allow_what_they_are_for() {
    let mount = project(false);
    let create = |name: &'static str| ["disk", "create", name, "--size", "1M", "--unencrypted"];
    // Columns: may create disks, may change keys.
    for (uid, creates, changes_keys) in [
        (ALICE, true, false),
        (BOB, true, false),
        (KEEPER, false, true),
        (OPERATOR, true, false),
        (BOTH, true, true),
        (0, true, true),
    ] {
        let name: &'static str = Box::leak(format!("d{uid}").into_boxed_str());
        let created = evsfs_as(&mount, uid, &create(name));
        assert_eq!(created.code, if creates { 0 } else { 6 }, "{uid}: {created:?}");
        let key = format!("k{uid}");
        let created = evsfs_as(&mount, uid, &["key", "create", &key]);
        assert_eq!(created.code, if changes_keys { 0 } else { 6 }, "{uid}: {created:?}");
        // Verb files belong to those who may use them; others can neither open nor write them.
        let written = as_user(uid, || {
            let text = format!("name=w{uid} size=1M encrypted=no");
            let disk = mount.write_control("disks/create", &text);
            (disk, mount.write_control("keys/create", &format!("alias=w{uid}")))
        });
        for (written, allowed) in [(written.0, creates), (written.1, changes_keys)] {
            match allowed {
                true => written.unwrap(),
                false => assert_eq!(errno(written), Errno::ACCESS, "{uid}"),
            }
        }
        // Everybody with a role may look at keys and the agency.
        assert_eq!(evsfs_as(&mount, uid, &["key", "list"]).code, 0, "{uid}");
        assert_eq!(evsfs_as(&mount, uid, &["agency", "show"]).code, 0, "{uid}");
    }
    for uid in [ALICE, BOB, OPERATOR] {
        for verb in [&["disable", "k0"][..], &["enable", "k0"], &["cancel-deletion", "k0"]] {
            let words: Vec<&str> = ["key"].iter().chain(verb).copied().collect();
            three_lines(evsfs_as(&mount, uid, &words), 6, "EVSFS.denied");
        }
        let refused = as_user(uid, || mount.write_control("keys/k0/disable", "\n"));
        assert_eq!(errno(refused), Errno::ACCESS);
        let refused = as_user(uid, || mount.write_control("agency", "create"));
        assert_eq!(errno(refused), Errno::ACCESS);
    }
    for uid in [ALICE, BOB, KEEPER, OPERATOR, BOTH] {
        let stop = as_user(uid, || ask(&mount, &json!({"op": "mount.stop"})));
        assert_eq!(stop["error"]["kind"], "denied", "{uid}");
    }
    // Nobody lets in everybody: the mount lives.
    assert_eq!(mount.read_control("keys/k0/state"), "enabled");
}

/// A1: "Unknown uids have none: EACCES."
fn a1_a_stranger_sees_nothing() {
    let mount = project(true);
    let file = mount.attached_disk("db", "1M", &[]);
    std::fs::write(&file, [7; 4096]).unwrap();
    as_user(STRANGER, || {
        assert_eq!(errno(try_names_in(&mount.mountpoint())), Errno::ACCESS);
        for path in ["", "disks", "keys", "control", "version", "help", "error", "disks/db/status"]
        {
            assert_eq!(errno(std::fs::metadata(mount.control(path))), Errno::ACCESS, "{path}");
            assert_eq!(errno(File::open(mount.control(path))), Errno::ACCESS, "{path}");
        }
        assert_eq!(errno(std::fs::metadata(&file)), Errno::ACCESS);
        assert_eq!(errno(File::open(&file)), Errno::ACCESS);
        assert_eq!(errno(mount.write_control("disks/db/detach", "force")), Errno::ACCESS);
        assert_eq!(errno(mount.write_control("disks/create", "name=x size=1M")), Errno::ACCESS);
        // stat(2) of the mountpoint itself works, as mount tools need.
        assert!(std::fs::metadata(mount.mountpoint()).unwrap().is_dir());
    });
    for words in [&["disk", "list"][..], &["status"], &["disk", "attach", "db"], &["key", "list"]] {
        three_lines(evsfs_as(&mount, STRANGER, words), 6, "EVSFS.denied");
    }
    assert_eq!(names_in(&mount.control("disks")), ["create", "db"]);
}

/// Without `allow_other` the roles of others do not matter.
fn a1_without_allow_other_the_kernel_lets_nobody_in() {
    let mount = Setup::with(&USERS.replace("allow_other = true", "allow_other = false")).mount();
    let refused = as_user(ALICE, || errno(std::fs::metadata(mount.control("version"))));
    assert_eq!(refused, Errno::ACCESS);
    three_lines(evsfs_as(&mount, ALICE, &["disk", "list"]), 6, "EVSFS.denied");
}

/// A2: first encryption in the project, no agency yet.
fn a2_the_first_encryption() {
    let mount = project(false);
    let encrypted = ["disk", "create", "db", "--size", "1M", "--encrypted"];
    for uid in [BOTH, 0] {
        let [_, _, fix] = three_lines(evsfs_as(&mount, uid, &encrypted), 6, "EVS.2143");
        assert_eq!(fix, "fix: evsfs agency create");
    }
    for uid in [ALICE, BOB, OPERATOR] {
        let [_, _, fix] = three_lines(evsfs_as(&mount, uid, &encrypted), 6, "EVS.2055");
        assert!(fix.contains("ask the account administrator"), "{fix}");
        assert!(fix.contains("KMS Administrator"), "{fix}");
        let error = as_user(uid, || {
            let refused = mount.write_control("disks/create", "name=db size=1M");
            assert_eq!(errno(refused), Errno::ACCESS);
            std::fs::read_to_string(mount.control("error")).unwrap()
        });
        assert!(error.starts_with("EVS.2055 no-agency\n"), "{error}");
        three_lines(evsfs_as(&mount, uid, &["agency", "create"]), 6, "EVSFS.denied");
    }
    assert_eq!(mount.json(&["disk", "list"]), json!([]));
    assert_eq!(mount.json(&["key", "list"]), json!([]), "the default key was not made either");
    assert_eq!(std::fs::read_dir(mount.state_dir().join("disks")).unwrap().count(), 0);
    // What is not encrypted needs no agency.
    let plain = ["disk", "create", "plain", "--size", "1M", "--unencrypted"];
    evsfs_as(&mount, ALICE, &plain).ok();
    evsfs_as(&mount, ALICE, &["disk", "attach", "plain"]).ok();
    // Whoever is told to create it can.
    evsfs_as(&mount, BOTH, &["agency", "create"]).ok();
    evsfs_as(&mount, BOTH, &encrypted).ok();
}

/// A3: agency there, every evs-user may use encryption directly.
fn a3_with_the_agency() {
    let mount = project(false);
    evsfs_as(&mount, KEEPER, &["agency", "create"]).ok();
    for (uid, disk) in [(ALICE, "of-alice"), (BOB, "of-bob")] {
        evsfs_as(&mount, uid, &["disk", "create", disk, "--size", "1M", "--encrypted"]).ok();
        evsfs_as(&mount, uid, &["disk", "attach", disk]).ok();
        as_user(uid, || std::fs::write(mount.mountpoint().join(disk), [uid as u8; 512]).unwrap());
    }
    mount.kill();
    mount.start();
    let read = as_user(BOB, || std::fs::read(mount.mountpoint().join("of-bob")).unwrap());
    assert_eq!(read[..512], [BOB as u8; 512]);
}

/// A4: agency removed: new encryption and attaching of encrypted disks is refused; attached disks
/// go on; a restart leaves them out and says why.
fn a4_without_it_attached_disks_go_on() {
    let mount = project(true);
    for disk in ["runs", "rests"] {
        evsfs_as(&mount, ALICE, &["disk", "create", disk, "--size", "1M"]).ok();
    }
    evsfs_as(&mount, ALICE, &["disk", "attach", "runs"]).ok();
    evsfs_as(&mount, KEEPER, &["agency", "delete", "--yes"]).ok();
    let file = mount.mountpoint().join("runs");
    for uid in [ALICE, OPERATOR, 0] {
        three_lines(evsfs_as(&mount, uid, &["disk", "attach", "rests"]), 6, "EVS.2055");
        let create = ["disk", "create", "new", "--size", "1M", "--encrypted"];
        three_lines(evsfs_as(&mount, uid, &create), 6, "EVS.2055");
    }
    as_user(ALICE, || {
        use std::os::unix::fs::FileExt;
        let open = File::options().read(true).write(true).open(&file).unwrap();
        open.write_all_at(&[5; 4096], 4096).unwrap();
        open.sync_all().unwrap();
        open.read_exact_at(&mut [0; 4096], 512 << 10).unwrap();
    });
    mount.stop();
    mount.start();
    assert!(!file.exists());
    let reason = mount.read_control("disks/runs/error");
    assert!(reason.contains("agency"), "{reason}");
    evsfs_as(&mount, KEEPER, &["agency", "create"]).ok();
    evsfs_as(&mount, ALICE, &["disk", "attach", "runs"]).ok();
    let read = as_user(ALICE, || std::fs::read(&file).unwrap());
    assert_eq!(read[4096..8192], [5; 4096]);
}

/// A5: an attached file belongs to the disk's owner, mode 0600 or 0400, whoever attached it; an
/// evs-administrator may do everything with it.
fn a5_a_disk_belongs_to_its_creator() {
    let mount = project(true);
    let file = mount.mountpoint().join("db");
    evsfs_as(&mount, ALICE, &["disk", "create", "db", "--size", "1M"]).ok();
    evsfs_as(&mount, OPERATOR, &["disk", "attach", "db"]).ok();
    let shown = as_user(ALICE, || std::fs::metadata(&file).unwrap());
    assert_eq!((shown.uid(), shown.mode() & 0o7777), (ALICE, 0o600));
    as_user(ALICE, || std::fs::write(&file, [1; 512]).unwrap());
    as_user(OPERATOR, || assert_eq!(std::fs::read(&file).unwrap()[..512], [1; 512]));
    evsfs_as(&mount, OPERATOR, &["disk", "detach", "db"]).ok();
    evsfs_as(&mount, ALICE, &["disk", "attach", "db", "--read-only"]).ok();
    let shown = as_user(ALICE, || std::fs::metadata(&file).unwrap());
    assert_eq!((shown.uid(), shown.mode() & 0o7777), (ALICE, 0o400));
    let refused = as_user(ALICE, || File::options().write(true).open(&file));
    assert_eq!(errno(refused), Errno::ACCESS);
    assert_eq!(mount.json(&["disk", "show", "db"])["owner"], ALICE);
    evsfs_as(&mount, ALICE, &["disk", "detach", "db"]).ok();
    evsfs_as(&mount, OPERATOR, &["disk", "extend", "db", "--size", "2M"]).ok();
    evsfs_as(&mount, OPERATOR, &["disk", "delete", "db", "--yes"]).ok();
}

/// A7: foreign objects are absent from listings and lookups alike, also right after their owner
/// has looked at them and the kernel knows their names.
fn a7_foreign_disks_do_not_exist() {
    let mount = project(true);
    let file = mount.mountpoint().join("db");
    evsfs_as(&mount, ALICE, &["disk", "create", "db", "--size", "1M"]).ok();
    evsfs_as(&mount, ALICE, &["disk", "attach", "db"]).ok();
    let of_alice = as_user(ALICE, || {
        std::fs::write(&file, [7; 4096]).unwrap();
        File::open(&file).unwrap()
    });
    for uid in [BOB, KEEPER] {
        as_user(ALICE, || {
            assert_eq!(names_in(&mount.mountpoint()), ["db"]);
            assert_eq!(std::fs::read(&file).unwrap()[..4096], [7; 4096]);
            assert_eq!(std::fs::read(mount.control("disks/db/status")).unwrap(), b"in-use\n");
        });
        as_user(uid, || {
            assert_eq!(names_in(&mount.mountpoint()), Vec::<String>::new(), "{uid}");
            assert_eq!(names_in(&mount.control("disks")), ["create"], "{uid}");
            for path in ["disks/db", "disks/db/status", "disks/db/attach"] {
                assert_eq!(errno(std::fs::metadata(mount.control(path))), Errno::NOENT, "{uid}");
            }
            assert_eq!(errno(File::open(&file)), Errno::NOENT, "{uid}");
            assert_eq!(errno(std::fs::metadata(&file)), Errno::NOENT, "{uid}");
            assert_eq!(errno(mount.write_control("disks/db/detach", "force")), Errno::NOENT);
            for op in ["disk.show", "disk.attach", "disk.detach", "disk.delete"] {
                let answer = ask(&mount, &json!({"op": op, "name": "db"}));
                let missing = ask(&mount, &json!({"op": op, "name": "dc"}));
                assert_eq!(answer["error"]["code"], "EVS.1002", "{uid} {op}");
                // Not even by its wording does the answer tell a foreign disk from none.
                let told = missing.to_string().replace("dc", "db");
                assert_eq!(answer.to_string(), told, "{uid} {op}");
            }
            assert_eq!(ask(&mount, &json!({"op": "disk.list"})), json!({"ok": []}), "{uid}");
            let status = ask(&mount, &json!({"op": "mount.status"}));
            assert_eq!(status["ok"]["disks"], json!([]), "{uid}");
            assert_eq!(status["ok"]["keys"][0]["disks"], json!([]), "{uid}: {status}");
            let disks = std::fs::read_to_string(mount.control("keys/evs/default/disks")).unwrap();
            assert_eq!(disks, "", "{uid}");
        });
        for verb in ["show", "attach", "detach"] {
            three_lines(evsfs_as(&mount, uid, &["disk", verb, "db"]), 3, "EVS.1002");
        }
        three_lines(evsfs_as(&mount, uid, &["disk", "delete", "db", "--yes"]), 3, "EVS.1002");
    }
    // The administrators see it: whose role is for all disks, root, and the mount's owner.
    for uid in [OPERATOR, 0] {
        assert_eq!(as_user(uid, || names_in(&mount.mountpoint())), ["db"]);
        evsfs_as(&mount, uid, &["disk", "show", "db"]).ok();
    }
    drop(of_alice);
    evsfs_as(&mount, ALICE, &["disk", "detach", "db"]).ok();
}
