//! What is left of a data key when its disk was detached, or could not be attached.

use super::amount::Amount;
use super::keys::Keys;
use super::memory::hunt;
use super::rig::{Keeping, work_on};
use crate::support::{Mount, Needs, kernel_under_test, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "d7_after_each_of_many_detaches_no_data_key_is_anywhere",
            Needs::Root,
            d7_after_each_of_many_detaches_no_data_key_is_anywhere,
        ),
        trial(
            "d7_after_a_failed_attach_no_data_key_is_anywhere",
            Needs::Root,
            d7_after_a_failed_attach_no_data_key_is_anywhere,
        ),
        trial(
            "d8_after_a_forced_detach_no_data_key_is_anywhere",
            Needs::Root,
            d8_after_a_forced_detach_no_data_key_is_anywhere,
        ),
        trial(
            "while_a_disk_is_suspended_no_data_key_is_anywhere",
            Needs::Root,
            while_a_disk_is_suspended_no_data_key_is_anywhere,
        ),
        trial(
            "after_an_export_the_data_key_is_in_protected_memory_or_nowhere",
            Needs::Root,
            after_an_export_the_data_key_is_in_protected_memory_or_nowhere,
        ),
        trial(
            "k5_after_rotation_and_rewrap_no_data_key_is_anywhere",
            Needs::Root,
            k5_after_rotation_and_rewrap_no_data_key_is_anywhere,
        ),
        trial(
            "p4_after_copies_were_sealed_again_no_data_key_is_anywhere",
            Needs::Root,
            p4_after_copies_were_sealed_again_no_data_key_is_anywhere,
        ),
        trial(
            "k9_material_that_was_given_up_or_deleted_is_nowhere",
            Needs::Root,
            k9_material_that_was_given_up_or_deleted_is_nowhere,
        ),
    ]
}

/// A mount with a key and a disk under it, neither ever used.
#[track_caller]
fn detached(keeping: Keeping) -> (Mount, Keys) {
    let mount = keeping.mount(kernel_under_test());
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.evsfs(&["disk", "create", "db", "--size", "1M", "--key", "finance"]).ok();
    let keys = Keys::of(&mount);
    (mount, keys)
}

/// No piece of a data key is in any memory that can be read, protected or not; other keys, which are
/// in use, only in protected memory.
#[track_caller]
fn expect_no_data_key(mount: &Mount, keys: &Keys, disks: &[&str], when: &str) {
    hunt(mount.pid(), &keys.needles()).expect_no_leaks(when);
    for disk in disks {
        let finds = hunt(mount.pid(), &keys.needles_of(disk)).finds;
        let shown: Vec<String> = finds.iter().take(20).map(ToString::to_string).collect();
        assert!(finds.is_empty(), "{when}: {} pieces\n{}", finds.len(), shown.join("\n"));
    }
}

/// RULES D7: the DK and all its round keys are wiped. Where keys can be read, so that what is left
/// would be found; and where they are in secret memory, so that it would have to lie elsewhere.
fn d7_after_each_of_many_detaches_no_data_key_is_anywhere() {
    for keeping in Keeping::BOTH {
        let (mount, keys) = detached(keeping);
        for round in 0..Amount::of(10, 250) {
            mount.evsfs(&["disk", "attach", "db"]).ok();
            work_on(&mount, "db");
            if round == 0 && keeping == Keeping::Locked {
                let found = hunt(mount.pid(), &keys.needles_of("db"));
                assert!(found.has_found("round keys of data half"), "the hunter finds nothing");
            }
            mount.evsfs(&["disk", "detach", "db"]).ok();
            expect_no_data_key(&mount, &keys, &["db"], &format!("{keeping:?}, detach {round}"));
        }
    }
}

/// RULES D5: refused, nothing changes. The key is disabled, or the payload is not there when the
/// data key has been opened.
fn d7_after_a_failed_attach_no_data_key_is_anywhere() {
    let (mount, keys) = detached(Keeping::Locked);
    mount.evsfs(&["key", "disable", "finance", "--yes"]).ok();
    mount.evsfs(&["disk", "attach", "db"]).refused(5);
    expect_no_data_key(&mount, &keys, &["db"], "key disabled");
    mount.evsfs(&["key", "enable", "finance"]).ok();
    let (payload, aside) = (mount.payload("db"), mount.scratch().join("aside"));
    std::fs::rename(&payload, &aside).unwrap();
    assert_ne!(mount.evsfs(&["disk", "attach", "db"]).code, 0);
    expect_no_data_key(&mount, &keys, &["db"], "payload missing");
    std::fs::File::create(&payload).unwrap().set_len(4096).unwrap();
    assert_ne!(mount.evsfs(&["disk", "attach", "db"]).code, 0);
    expect_no_data_key(&mount, &keys, &["db"], "payload cut");
    std::fs::rename(&aside, &payload).unwrap();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    expect_no_data_key(&mount, &keys, &["db"], "detached");
}

/// RULES D8: the DK is gone when the verb returns, open files or not.
fn d8_after_a_forced_detach_no_data_key_is_anywhere() {
    let (mount, keys) = detached(Keeping::Locked);
    mount.evsfs(&["disk", "attach", "db"]).ok();
    work_on(&mount, "db");
    let open = std::fs::File::open(mount.mountpoint().join("db")).unwrap();
    mount.evsfs(&["disk", "detach", "db", "--force", "--yes"]).ok();
    expect_no_data_key(&mount, &keys, &["db"], "forced detach");
    assert!(std::os::unix::fs::FileExt::read_at(&open, &mut [0; 512], 0).is_err());
    expect_no_data_key(&mount, &keys, &["db"], "read after it");
}

/// The disk stays in the mount, and its data key does not stay in memory.
fn while_a_disk_is_suspended_no_data_key_is_anywhere() {
    let (mount, keys) = detached(Keeping::Locked);
    for round in 0..5 {
        mount.evsfs(&["disk", "attach", "db"]).ok();
        work_on(&mount, "db");
        mount.evsfs(&["disk", "suspend", "db"]).ok();
        expect_no_data_key(&mount, &keys, &["db"], &format!("suspended, {round}"));
        mount.evsfs(&["disk", "resume", "db"]).ok();
        work_on(&mount, "db");
        mount.evsfs(&["disk", "detach", "db"]).ok();
        expect_no_data_key(&mount, &keys, &["db"], &format!("detached, {round}"));
    }
}

/// The data key leaves by the exit door, through the text of an answer.
fn after_an_export_the_data_key_is_in_protected_memory_or_nowhere() {
    let (mount, keys) = detached(Keeping::Locked);
    let file = mount.scratch().join("exported");
    let file = file.to_str().unwrap();
    mount.evsfs(&["disk", "export-header", "db", "--format", "dk", "--output", file, "--yes"]).ok();
    assert!(std::fs::read(file).unwrap().len() >= 64);
    expect_no_data_key(&mount, &keys, &["db"], "exported");
}

/// RULES K5: rewrapping opens the data key and wraps it again.
fn k5_after_rotation_and_rewrap_no_data_key_is_anywhere() {
    let (mount, _) = detached(Keeping::Locked);
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    mount.evsfs(&["disk", "rewrap", "db"]).ok();
    expect_no_data_key(&mount, &Keys::of(&mount), &["db"], "rewrapped");
    mount.evsfs(&["disk", "attach", "db"]).ok();
    work_on(&mount, "db");
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    mount.evsfs(&["disk", "rewrap", "db"]).ok();
    let keys = Keys::of(&mount);
    hunt(mount.pid(), &keys.needles()).expect_no_leaks("rewrapped while attached");
    mount.evsfs(&["disk", "detach", "db"]).ok();
    expect_no_data_key(&mount, &keys, &["db"], "detached");
}

/// RULES P4: jobs open the data key of the source and that of the copy, in threads of their own.
fn p4_after_copies_were_sealed_again_no_data_key_is_anywhere() {
    let (mount, _) = detached(Keeping::Locked);
    mount.evsfs(&["disk", "attach", "db"]).ok();
    work_on(&mount, "db");
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    mount.evsfs(&["disk", "create", "copy", "--from", "backup:b", "--key", "finance"]).ok();
    mount.evsfs(&["image", "create", "i", "--disk", "db"]).ok();
    mount.evsfs(&["disk", "create", "again", "--from", "image:i"]).ok();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let (mut keys, disks) = (Keys::of(&mount), ["db", "copy", "again"]);
    keys.add_archives(&mount);
    expect_no_data_key(&mount, &keys, &disks, "after the jobs");
    let finds = hunt(mount.pid(), &keys.needles_of_archives()).finds;
    assert!(finds.is_empty(), "{} pieces of the image's key, {}", finds.len(), finds[0]);
}

/// RULES K9: material that was destroyed is not kept in memory either.
fn k9_material_that_was_given_up_or_deleted_is_nowhere() {
    let (mount, _) = detached(Keeping::Locked);
    let file = mount.scratch().join("material");
    std::fs::write(&file, super::material::random()).unwrap();
    mount.evsfs(&["key", "create", "own", "--external"]).ok();
    mount.evsfs(&["key", "import", "own", "--file", file.to_str().unwrap()]).ok();
    let mut keys = Keys::of(&mount);
    mount.evsfs(&["disk", "create", "ours", "--size", "1M", "--key", "own"]).ok();
    mount.evsfs(&["disk", "attach", "ours"]).ok();
    mount.evsfs(&["disk", "detach", "ours"]).ok();
    let id = mount.json(&["key", "show", "own"])["id"].as_str().unwrap().to_owned();
    keys.keep_material_of(&id);
    let needles = keys.needles_of_material();
    assert!(!hunt(mount.pid(), &needles).finds.is_empty(), "the hunter finds nothing");
    mount.evsfs(&["key", "delete-material", "own", "--yes"]).ok();
    let finds = hunt(mount.pid(), &needles).finds;
    let shown: Vec<String> = finds.iter().take(20).map(ToString::to_string).collect();
    assert!(finds.is_empty(), "{} pieces\n{}", finds.len(), shown.join("\n"));
}
