//! What changed since the last backup is remembered across detaches and restarts, and never wrongly.

use crate::rig::{content, fill, flip, restored};
use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("an_incremental_backup_reads_what_changed_also_across_a_detach", Needs::Fuse, detach),
        trial(
            "an_incremental_backup_reads_what_changed_also_across_a_restart",
            Needs::Fuse,
            restart,
        ),
        trial("a_detached_disk_remembers_its_changes_too", Needs::Fuse, detached),
        trial("after_a_crash_an_incremental_backup_compares_everything", Needs::Fuse, killed),
        trial("changes_that_were_edited_or_lost_are_not_believed", Needs::Fuse, edited),
        trial("changes_put_back_from_a_copy_are_not_believed", Needs::Fuse, put_back),
        trial("changes_are_not_believed_when_others_wrote_to_the_payload", Needs::Fuse, touched),
        trial("changes_since_a_deleted_backup_are_not_used", Needs::Fuse, deleted_backup),
        trial("a_disk_takes_what_is_kept_of_its_changes_with_it", Needs::Fuse, deleted_disk),
        trial("check_finds_damaged_changes_and_repair_forgets_them", Needs::Fuse, checked),
    ]
}

const REGION: u64 = 65536;
/// Regions that are written of the disk of 16 MiB, one in each.
const WRITTEN: u64 = 16;

fn with_backup() -> Mount {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "16M", &["--encrypted"]);
    (0..WRITTEN).for_each(|mib| fill(&mount, "db", mib, 7));
    assert_eq!(back_up(&mount, "full"), WRITTEN * REGION);
    mount
}

/// Makes a backup and gives the bytes its job has looked at, which were known to be that many.
fn back_up(mount: &Mount, name: &str) -> u64 {
    mount.evsfs(&["backup", "create", "db", name]).ok();
    let jobs = mount.json(&["job", "list"]);
    let subject = format!("db as {name}");
    let job = jobs.as_array().unwrap().iter().find(|job| job["subject"] == *subject).unwrap();
    assert!(job["done"] == 0 || job["total"] == job["done"], "{job}");
    job["done"].as_u64().unwrap()
}

/// The backup restores to what is on the disk now.
fn is_true(mount: &Mount, backup: &str) {
    let now = content(mount, "db");
    assert!(restored(mount, backup, &format!("of-{backup}"), &[]) == now, "{backup}");
}

fn detach_and_attach(mount: &Mount) {
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
}

fn kept(mount: &Mount) -> [PathBuf; 2] {
    let place = mount.payload("db");
    ["changes", "changes.toml"].map(|name| place.with_file_name(name))
}

fn detach() {
    let mount = with_backup();
    fill(&mount, "db", 3, 8);
    detach_and_attach(&mount);
    assert!(kept(&mount).iter().all(|file| !file.exists()), "they are gone before a write");
    fill(&mount, "db", 5, 8);
    mount.evsfs(&["disk", "detach", "db", "--force", "--yes"]).ok();
    mount.evsfs(&["disk", "attach", "db", "--read-only"]).ok();
    detach_and_attach(&mount);
    assert_eq!(back_up(&mount, "next"), 2 * REGION);
    is_true(&mount, "next");
    detach_and_attach(&mount);
    assert_eq!(back_up(&mount, "none"), 0);
    is_true(&mount, "none");
}

fn restart() {
    let mount = with_backup();
    fill(&mount, "db", 3, 8);
    mount.stop();
    assert!(kept_at_rest(&mount));
    mount.start();
    fill(&mount, "db", 4, 8);
    mount.stop();
    mount.start();
    assert_eq!(back_up(&mount, "next"), 2 * REGION);
    is_true(&mount, "next");
}

fn kept_at_rest(mount: &Mount) -> bool {
    let disks = mount.state_dir().join("disks");
    let mut disks = std::fs::read_dir(disks).unwrap();
    disks.any(|disk| disk.unwrap().path().join("changes.toml").exists())
}

/// A backup of a detached disk uses what is kept, and leaves what the next one can use.
fn detached() {
    let mount = with_backup();
    fill(&mount, "db", 3, 8);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    assert_eq!(back_up(&mount, "next"), REGION);
    assert_eq!(back_up(&mount, "none"), 0);
    mount.evsfs(&["disk", "attach", "db"]).ok();
    fill(&mount, "db", 6, 8);
    assert_eq!(back_up(&mount, "last"), REGION);
    is_true(&mount, "last");
}

fn killed() {
    let mount = with_backup();
    fill(&mount, "db", 3, 8);
    detach_and_attach(&mount);
    fill(&mount, "db", 5, 9);
    mount.kill();
    mount.start();
    assert_eq!(back_up(&mount, "next"), WRITTEN * REGION);
    is_true(&mount, "next");
    // From here on changes are noted again.
    fill(&mount, "db", 5, 1);
    assert_eq!(back_up(&mount, "after"), REGION);
    is_true(&mount, "after");
}

fn edited() {
    let mount = with_backup();
    let mut backups = 0;
    let mut after = |harm: &dyn Fn(&Mount)| {
        backups += 1;
        fill(&mount, "db", 3, 100 + backups);
        mount.evsfs(&["disk", "detach", "db"]).ok();
        harm(&mount);
        mount.evsfs(&["disk", "attach", "db"]).ok();
        fill(&mount, "db", 9, 100 + backups);
        let name = format!("b{backups}");
        assert_eq!(back_up(&mount, &name), WRITTEN * REGION, "{name}");
        is_true(&mount, &name);
    };
    let [document, record] = [0, 1].map(|which| move |mount: &Mount| kept(mount)[which].clone());
    after(&|mount| flip(&document(mount), 40));
    after(&|mount| std::fs::write(document(mount), b"").unwrap());
    after(&|mount| std::fs::remove_file(document(mount)).unwrap());
    after(&|mount| flip(&record(mount), 40));
    after(&|mount| std::fs::remove_file(record(mount)).unwrap());
    // One that reads well, and tells of nothing.
    after(&|mount| {
        let nothing = evsfs::disk::ChangedRegions::none().to_bytes();
        std::fs::write(document(mount), nothing).unwrap();
    });
}

fn put_back() {
    let mount = with_backup();
    fill(&mount, "db", 3, 8);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let earlier = kept(&mount).map(|file| std::fs::read(file).unwrap());
    let files = kept(&mount);
    let put_back = || {
        for (file, bytes) in files.iter().zip(&earlier) {
            std::fs::write(file, bytes).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(file, mode).unwrap();
        }
    };
    // In place of newer ones.
    mount.evsfs(&["disk", "attach", "db"]).ok();
    fill(&mount, "db", 5, 8);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    put_back();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    assert_eq!(back_up(&mount, "first"), WRITTEN * REGION);
    is_true(&mount, "first");
    // After they were taken, and a crash.
    fill(&mount, "db", 6, 8);
    mount.kill();
    put_back();
    mount.start();
    assert_eq!(back_up(&mount, "second"), WRITTEN * REGION);
    is_true(&mount, "second");
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
}

/// INTERFACE 6: others can open the payload, and then write to it too. They cannot set its time of
/// change.
fn touched() {
    let mount = with_backup();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let payload = mount.payload("db");
    let before = std::fs::metadata(&payload).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&payload).unwrap();
    file.write_all_at(&[0; 4096], 4 << 20).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    drop(file);
    assert_eq!(back_up(&mount, "detached"), WRITTEN * REGION);
    let file = std::fs::OpenOptions::new().write(true).open(&payload).unwrap();
    file.write_all_at(&[0; 4096], 6 << 20).unwrap();
    drop(file);
    mount.evsfs(&["disk", "attach", "db"]).ok();
    assert_eq!(back_up(&mount, "attached"), WRITTEN * REGION);
    is_true(&mount, "attached");
    assert_eq!(content(&mount, "db")[6 << 20..][..4096], [0; 4096]);
}

fn deleted_backup() {
    let mount = with_backup();
    fill(&mount, "db", 3, 8);
    back_up(&mount, "second");
    fill(&mount, "db", 4, 8);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["backup", "delete", "second", "--yes"]).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    assert_eq!(back_up(&mount, "third"), WRITTEN * REGION);
    is_true(&mount, "third");
}

fn deleted_disk() {
    let mount = with_backup();
    let directory = mount.payload("db").parent().unwrap().to_owned();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    assert!(directory.join("changes.toml").exists());
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    assert!(!directory.exists());
}

fn checked() {
    let mount = with_backup();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let [document, record] = kept(&mount);
    mount.stop();
    let config = mount.config_path();
    let check = |repair: &[&str]| {
        mount.evsfs_plain(&[&["check", "-c", config.to_str().unwrap()], repair].concat())
    };
    check(&[]).ok();
    for file in [&document, &record] {
        let whole = std::fs::read(file).unwrap();
        flip(file, 30);
        let found = check(&[]);
        assert!(found.code == 7 && found.stdout.contains("changes.toml"), "{found:?}");
        std::fs::write(file, whole).unwrap();
        check(&[]).ok();
    }
    flip(&document, 30);
    check(&["--repair"]);
    check(&[]).ok();
    assert!(!document.exists() && !record.exists());
    mount.start();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    assert_eq!(back_up(&mount, "next"), WRITTEN * REGION);
}
