//! Suspended disks: D14 and D15.

use crate::rig::{
    attach, create, detach, ends_within, has_codes, open_rw, pattern, read_at, status_of,
    usual_disk, within, write_at,
};
use crate::support::{LoopDevice, Mount, Needs, Setup, run, trial, wait_until};
use libtest_mimic::Trial;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For what must happen, on a machine with other things to do.
const SOON: Duration = Duration::from_secs(60);
/// For what must not happen.
const A_WHILE: Duration = Duration::from_millis(400);

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "d14_requests_wait_and_hold_up_no_other_disk",
            Needs::Fuse,
            d14_requests_wait_and_hold_up_no_other_disk,
        ),
        trial(
            "d14_what_the_kernel_had_cached_is_dropped",
            Needs::Fuse,
            d14_what_the_kernel_had_cached_is_dropped,
        ),
        trial(
            "d14_looking_syncing_and_closing_do_not_wait",
            Needs::Fuse,
            d14_looking_syncing_and_closing_do_not_wait,
        ),
        trial(
            "d14_a_process_that_waits_can_be_killed",
            Needs::Fuse,
            d14_a_process_that_waits_can_be_killed,
        ),
        trial("d14_a_forced_detach_ends_the_wait", Needs::Fuse, d14_a_forced_detach_ends_the_wait),
        trial(
            "d14_a_forced_unmount_ends_the_wait",
            Needs::Fuse,
            d14_a_forced_unmount_ends_the_wait,
        ),
        trial(
            "d14_a_restart_attaches_what_was_suspended",
            Needs::Fuse,
            d14_a_restart_attaches_what_was_suspended,
        ),
        trial("d15_resuming_takes_an_enabled_key", Needs::Fuse, d15_resuming_takes_an_enabled_key),
        trial(
            "d15_a_file_system_goes_on_after_it",
            Needs::Root,
            d15_a_file_system_goes_on_after_it,
        ),
        trial(
            "d15_writers_lose_nothing_across_many_suspensions",
            Needs::Fuse,
            d15_writers_lose_nothing_across_many_suspensions,
        ),
        trial(
            "d15_a_mapping_that_was_written_is_kept",
            Needs::Fuse,
            d15_a_mapping_that_was_written_is_kept,
        ),
        trial(
            "d15_verbs_obey_the_status_and_the_encryption",
            Needs::Fuse,
            d15_verbs_obey_the_status_and_the_encryption,
        ),
        trial(
            "d15_all_disks_are_suspended_and_resumed_together",
            Needs::Fuse,
            d15_all_disks_are_suspended_and_resumed_together,
        ),
    ]
}

fn suspend(mount: &Mount, name: &str) {
    let said = mount.evsfs(&["disk", "suspend", name]).ok();
    assert_eq!(said, format!("disk \"{name}\" is suspended\n"));
    assert_eq!(status_of(mount, name), "suspended");
}

fn resume(mount: &Mount, name: &str) {
    let said = mount.evsfs(&["disk", "resume", name]).ok();
    assert_eq!(said, format!("disk \"{name}\" is in-use\n"));
}

/// A `dd` that reads a block of 4 KiB, or writes one of zeros.
fn dd(file: &Path, block: usize, how: &str) -> Child {
    let file = file.to_str().unwrap();
    let (from, to, at) = match how {
        "write" => ("/dev/zero", file, format!("seek={block}")),
        _ => (file, "/dev/null", format!("skip={block}")),
    };
    let flag = match how {
        "write" => "oflag=direct",
        "read-direct" => "iflag=direct",
        _ => "iflag=fullblock",
    };
    let (from, to) = (format!("if={from}"), format!("of={to}"));
    Command::new("dd")
        .args([&from, &to, &at, "bs=4096", "count=1", "conv=notrunc", flag])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[track_caller]
fn goes_on_waiting(child: &mut Child) {
    let deadline = Instant::now() + A_WHILE;
    while Instant::now() < deadline {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it did not wait: {ended:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// D14: more requests than there are threads of any sort wait, and another disk goes on.
fn d14_requests_wait_and_hold_up_no_other_disk() {
    let mount = Setup::with("[mount]\nthreads = 2\n").mount();
    let (file, other) = (usual_disk(&mount, "db"), usual_disk(&mount, "other"));
    write_at(&file, 0, &pattern(1 << 20));
    suspend(&mount, "db");
    let mut waiting: Vec<Child> = Vec::new();
    for block in 0..10 {
        waiting.push(dd(&file, block, "read"));
        waiting.push(dd(&file, block, "read-direct"));
        waiting.push(dd(&file, 100 + block, "write"));
    }
    let punch = ["-p", "-o", "512K", "-l", "4K", file.to_str().unwrap()];
    waiting.push(Command::new("fallocate").args(punch).spawn().unwrap());
    goes_on_waiting(&mut waiting[0]);
    within(SOON, "the other disk", move || {
        write_at(&other, 0, &pattern(100_000));
        open_rw(&other).sync_all().unwrap();
        assert_eq!(read_at(&other, 0, 100_000), pattern(100_000));
    });
    mount.evsfs(&["disk", "detach", "other"]).ok();
    for child in &mut waiting {
        assert!(child.try_wait().unwrap().is_none(), "one did not wait");
    }
    resume(&mount, "db");
    for child in &mut waiting {
        assert_eq!(ends_within(SOON, "a request after the resume", child), 0);
    }
    let mut expected = pattern(1 << 20);
    expected[100 * 4096..110 * 4096].fill(0);
    expected[512 << 10..516 << 10].fill(0);
    assert_eq!(read_at(&file, 0, 1 << 20), expected);
}

/// D14: pages that were read before are not there for who reads without the key.
fn d14_what_the_kernel_had_cached_is_dropped() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    write_at(&file, 0, &pattern(4 << 20));
    let reader = open_rw(&file);
    reader.read_exact_at(&mut vec![0; 4 << 20], 0).unwrap();
    suspend(&mount, "db");
    let mut children = [0, 100, 1023].map(|block| dd(&file, block, "read"));
    children.iter_mut().for_each(goes_on_waiting);
    resume(&mount, "db");
    for child in &mut children {
        assert_eq!(ends_within(SOON, "reading", child), 0);
    }
}

/// D14: what needs no key is answered, and nobody who ends is kept.
fn d14_looking_syncing_and_closing_do_not_wait() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    let open = open_rw(&file);
    open.write_all_at(&pattern(70_000), 0).unwrap();
    suspend(&mount, "db");
    let shown = mount.json(&["disk", "show", "db"]);
    assert_eq!((&shown["status"], &shown["attached"]), (&"suspended".into(), &true.into()));
    within(SOON, "looking, syncing and closing", move || {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(&file).unwrap();
        assert!(found.len() == 8 << 20 && found.blocks() >= 136, "{found:?}");
        open.sync_all().unwrap();
        assert_eq!(rustix::fs::seek(&open, rustix::fs::SeekFrom::Hole(0)).unwrap(), 73_728);
        drop(open);
        drop(open_rw(&file));
    });
    detach(&mount, "db");
    assert_eq!(status_of(&mount, "db"), "available");
}

/// D14: what ends a process ends its wait; a signal that is handled does not.
fn d14_a_process_that_waits_can_be_killed() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    suspend(&mount, "db");
    for (how, signal, code) in
        [("read", "KILL", 137), ("read-direct", "KILL", 137), ("write", "TERM", 143)]
    {
        let mut child = dd(&file, 3, how);
        goes_on_waiting(&mut child);
        // dd prints statistics and goes on.
        run("kill", &["-USR1", &child.id().to_string()]).ok();
        goes_on_waiting(&mut child);
        run("kill", &[&format!("-{signal}"), &child.id().to_string()]).ok();
        assert_eq!(ends_within(SOON, how, &mut child), code);
    }
    detach(&mount, "db");
}

/// D14: a forced detach fails all requests that wait.
fn d14_a_forced_detach_ends_the_wait() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    write_at(&file, 0, &pattern(8192));
    suspend(&mount, "db");
    let mut children = ["read", "read-direct", "write"].map(|how| dd(&file, 1, how));
    children.iter_mut().for_each(goes_on_waiting);
    has_codes(mount.evsfs(&["disk", "detach", "db"]), 4, "EVS.1046");
    assert_eq!(status_of(&mount, "db"), "suspended");
    mount.evsfs(&["disk", "detach", "db", "--force", "--yes"]).ok();
    for child in &mut children {
        assert_eq!(ends_within(SOON, "a request after the detach", child), 1);
    }
    assert_eq!(status_of(&mount, "db"), "available");
    attach(&mount, "db");
    assert_eq!(read_at(&file, 0, 8192), pattern(8192));
}

/// D14: so does an unmount.
fn d14_a_forced_unmount_ends_the_wait() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    suspend(&mount, "db");
    let mut children = ["read", "write"].map(|how| dd(&file, 1, how));
    children.iter_mut().for_each(goes_on_waiting);
    mount.evsfs(&["umount", "--force"]).ok();
    for child in &mut children {
        assert_eq!(ends_within(SOON, "a request after the unmount", child), 1);
    }
}

/// D14 and D9: how the daemon ends makes no difference, and the key is asked for at the start.
fn d14_a_restart_attaches_what_was_suspended() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let file = mount.attached_disk("db", "8M", &["--encrypted", "--key", "finance"]);
    write_at(&file, 0, &pattern(5000));
    suspend(&mount, "db");
    mount.kill();
    mount.start();
    assert_eq!(status_of(&mount, "db"), "in-use");
    assert_eq!(read_at(&file, 0, 5000), pattern(5000));
    suspend(&mount, "db");
    mount.stop();
    mount.start();
    assert_eq!(status_of(&mount, "db"), "in-use");
    suspend(&mount, "db");
    mount.evsfs(&["key", "disable", "finance", "--yes"]).ok();
    mount.stop();
    mount.start();
    assert_eq!(status_of(&mount, "db"), "available");
    assert!(mount.read_control("disks/db/error").contains("not attached again"));
}

/// D15: the KMS is asked, and the audit log tells.
fn d15_resuming_takes_an_enabled_key() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let file = mount.attached_disk("db", "8M", &["--encrypted", "--key", "finance"]);
    write_at(&file, 0, &pattern(5000));
    let opened = |mount: &Mount| {
        let audit = mount.json(&["audit", "show"]);
        let entries = audit.as_array().unwrap().iter();
        entries.filter(|entry| entry["event"] == "decryptDatakey").count()
    };
    let before = opened(&mount);
    suspend(&mount, "db");
    assert_eq!(opened(&mount), before);
    let mut child = dd(&file, 0, "read");
    for (key, cause) in [
        (&["key", "disable", "finance", "--yes"][..], "EVS.2040, KMS.0209"),
        (&["key", "schedule-deletion", "finance", "--days", "7", "--yes"], "EVS.2040, KMS.0210"),
    ] {
        mount.evsfs(key).ok();
        let text = has_codes(mount.evsfs(&["disk", "resume", "db"]), 5, cause);
        assert!(text.starts_with("evsfs: disk \"db\" was not resumed\n"), "{text}");
        assert_eq!(status_of(&mount, "db"), "suspended");
    }
    goes_on_waiting(&mut child);
    mount.evsfs(&["key", "cancel-deletion", "finance"]).ok();
    mount.evsfs(&["key", "enable", "finance"]).ok();
    let refused = opened(&mount);
    mount.write_control("disks/db/resume", "\n").unwrap();
    assert_eq!(ends_within(SOON, "the reader", &mut child), 0);
    assert_eq!(opened(&mount), refused + 1);
    assert_eq!(read_at(&file, 0, 5000), pattern(5000));
}

/// D15: a file system on a loop device over it waits and goes on.
fn d15_a_file_system_goes_on_after_it() {
    let mount = Mount::new();
    let file = mount.attached_disk("db", "32M", &["--encrypted"]);
    let device = LoopDevice::over(&file, &[]);
    run("mkfs.ext4", &["-q", device.path()]).ok();
    let files = mount.scratch().join("files");
    std::fs::create_dir(&files).unwrap();
    run("mount", &[device.path(), files.to_str().unwrap()]).ok();
    std::fs::write(files.join("before"), pattern(300_000)).unwrap();
    suspend(&mount, "db");
    let to = files.join("during");
    let writer = std::thread::spawn(move || {
        std::fs::write(&to, pattern(3_000_000)).unwrap();
        open_rw(&to).sync_all().unwrap();
    });
    std::thread::sleep(A_WHILE);
    assert!(!writer.is_finished(), "it did not wait");
    resume(&mount, "db");
    within(SOON, "the writer", move || writer.join().unwrap());
    run("umount", &[files.to_str().unwrap()]).ok();
    run("e2fsck", &["-fn", device.path()]).ok();
    run("mount", &["-o", "ro", device.path(), files.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read(files.join("before")).unwrap(), pattern(300_000));
    assert_eq!(std::fs::read(files.join("during")).unwrap(), pattern(3_000_000));
    run("umount", &[files.to_str().unwrap()]).ok();
}

/// D15: under load, through the page cache and past it.
fn d15_writers_lose_nothing_across_many_suspensions() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    let deadline = Instant::now() + SOON;
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3_u64)
            .map(|writer| {
                let (file, is_over) = (&file, &is_over);
                scope.spawn(move || {
                    let open = open_rw(file);
                    let mut round = 0_u64;
                    while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                        round += 1;
                        let at = writer * 4_000 + round % 3 * (1 << 20);
                        open.write_all_at(&round.to_le_bytes().repeat(400), at).unwrap();
                        let mut back = vec![0; 3200];
                        open.read_exact_at(&mut back, at).unwrap();
                        assert_eq!(back, round.to_le_bytes().repeat(400));
                    }
                    round
                })
            })
            .collect();
        for _ in 0..8 {
            suspend(&mount, "db");
            std::thread::sleep(Duration::from_millis(20));
            resume(&mount, "db");
            assert!(Instant::now() < deadline, "a verb hangs");
        }
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        for (writer, rounds) in writers.into_iter().map(|writer| writer.join().unwrap()).enumerate()
        {
            let at = writer as u64 * 4_000 + rounds % 3 * (1 << 20);
            assert_eq!(read_at(&file, at, 3200), rounds.to_le_bytes().repeat(400));
        }
    });
}

/// D15: dirty pages of a mapping are written before the key goes, or wait for it.
fn d15_a_mapping_that_was_written_is_kept() {
    use crate::support::Mapping;
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    let open = open_rw(&file);
    let mut mapping = Mapping::shared(&open, 64 << 10);
    mapping.write(0, &pattern(64 << 10));
    suspend(&mount, "db");
    resume(&mount, "db");
    drop(mapping);
    drop(open);
    mount.kill();
    mount.start();
    assert_eq!(read_at(&file, 0, 64 << 10), pattern(64 << 10));
}

/// D1, D14, D15: what a suspended disk allows.
fn d15_verbs_obey_the_status_and_the_encryption() {
    let mount = Mount::new();
    usual_disk(&mount, "db");
    mount.attached_disk("plain", "8M", &["--unencrypted"]);
    create(&mount, "idle", "8M", &["--encrypted"]);
    let refused = mount.evsfs(&["disk", "suspend", "plain"]).refused(2);
    assert!(refused.contains("is not encrypted"), "{refused}");
    has_codes(mount.evsfs(&["disk", "suspend", "idle"]), 4, "EVS.1046");
    has_codes(mount.evsfs(&["disk", "resume", "idle"]), 4, "EVS.1046");
    has_codes(mount.evsfs(&["disk", "resume", "db"]), 4, "EVS.1046");
    mount.write_control("disks/db/suspend", "\n").unwrap();
    for verb in [
        &["disk", "suspend", "db"][..],
        &["disk", "attach", "db"],
        &["disk", "extend", "db", "--size", "16M"],
        &["backup", "create", "db", "monday"],
        &["image", "create", "golden", "--disk", "db"],
        &["disk", "delete", "db", "--yes"],
    ] {
        let text = has_codes(mount.evsfs(verb), 4, "EVS.1046");
        assert!(text.contains("suspended"), "{text}");
    }
    mount.evsfs(&["key", "rotation", "evs/default", "on"]).ok();
    mount.evsfs(&["disk", "rewrap", "db"]).ok();
    assert_eq!(status_of(&mount, "db"), "suspended");
    let row = mount.evsfs(&["disk", "list"]).ok();
    assert!(row.lines().any(|line| line.contains("db") && line.contains("suspended")), "{row}");
}

/// D15: `--all`, as the machine goes to sleep and wakes up.
fn d15_all_disks_are_suspended_and_resumed_together() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    for name in ["a", "b"] {
        mount.attached_disk(name, "8M", &["--encrypted", "--key", "finance"]);
    }
    usual_disk(&mount, "c");
    mount.attached_disk("plain", "8M", &["--unencrypted"]);
    create(&mount, "idle", "8M", &["--encrypted"]);
    let names = |answer: &serde_json::Value| {
        let disks = answer.as_array().unwrap().iter();
        disks.map(|disk| disk["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let suspended = mount.json(&["disk", "suspend", "--all"]);
    assert_eq!(names(&suspended), ["a", "b", "c"]);
    assert!(suspended.as_array().unwrap().iter().all(|disk| disk["status"] == "suspended"));
    assert_eq!(mount.evsfs(&["disk", "suspend", "--all"]).ok(), "no disk to suspend\n");
    assert_eq!(status_of(&mount, "plain"), "in-use");
    // One that is refused keeps no other from it.
    mount.evsfs(&["key", "disable", "finance", "--yes"]).ok();
    let text = has_codes(mount.evsfs(&["disk", "resume", "--all"]), 5, "EVS.2040, KMS.0209");
    assert!(text.starts_with("evsfs: not every disk was resumed\n"), "{text}");
    assert_eq!(status_of(&mount, "c"), "in-use");
    mount.evsfs(&["key", "enable", "finance"]).ok();
    assert_eq!(names(&mount.json(&["disk", "resume", "--all"])), ["a", "b"]);
    wait_until("all are in use", || {
        ["a", "b", "c"].iter().all(|name| status_of(&mount, name) == "in-use")
    });
}
