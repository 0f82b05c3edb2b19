//! The life of an image: busy disks, interruptions, keys, other users.

use crate::rig::{import, left_in, names_of, raw_image, shown, text};
use crate::support::{Mount, Needs, Setup, USERS, as_user, run, trial, wait_until};
use libtest_mimic::Trial;
use std::io::Write;
use std::os::unix::fs::FileExt;

const TOOLS: Needs = Needs::RootAnd(&["mke2fs"]);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("i1_an_image_of_a_busy_disk_is_one_point_in_time", Needs::Fuse, i1_a_busy_disk),
        trial("i1_an_image_of_a_disk_needs_no_key", Needs::Fuse, i1_needs_no_key),
        trial("i4_an_import_that_is_not_finished_leaves_nothing", TOOLS, i4_not_finished),
        trial("i4_a_job_that_is_cancelled_or_killed_leaves_nothing", TOOLS, i4_cancelled_or_killed),
        trial("i7_the_key_of_the_image_must_be_enabled", TOOLS, i7_the_key_must_be_enabled),
        trial("i8_foreign_images_do_not_exist", TOOLS, i8_foreign_images_do_not_exist),
        trial("i8_an_image_that_is_read_stays", TOOLS, i8_an_image_that_is_read_stays),
        trial("keys_show_the_images_under_them", TOOLS, keys_show_the_images_under_them),
    ]
}

/// I1: whatever is written meanwhile, each image holds what was there at one moment.
fn i1_a_busy_disk() {
    let mount = Mount::new();
    let path = mount.attached_disk("db", "4M", &["--encrypted"]);
    let disk = std::fs::File::options().write(true).open(&path).unwrap();
    // Block 0 is written before block 1, always with the same number: an image holds (n, n) or
    // (n + 1, n).
    let write = |number: u64| {
        disk.write_all_at(&number.to_le_bytes(), 0).unwrap();
        disk.write_all_at(&number.to_le_bytes(), 3 << 20).unwrap();
    };
    write(1);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 2.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                write(number);
            }
        });
        for image in ["one", "two", "three"] {
            mount.evsfs(&["image", "create", image, "--disk", "db"]).ok();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(shown(&mount, "disk", "db", "status"), "in-use");
    for image in ["one", "two", "three"] {
        mount.evsfs(&["disk", "create", image, "--from", &format!("image:{image}")]).ok();
        mount.evsfs(&["disk", "attach", image]).ok();
        let bytes = std::fs::read(mount.mountpoint().join(image)).unwrap();
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let (first, last) = (number(0), number(3 << 20));
        assert!(first == last || first == last + 1, "{first} {last}");
    }
}

/// I1: the KMS is not asked, so a disabled key is no hindrance.
fn i1_needs_no_key() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.evsfs(&["disk", "create", "db", "--size", "1M", "--key", "finance"]).ok();
    mount.evsfs(&["key", "disable", "finance"]).ok();
    mount.evsfs(&["image", "create", "i", "--disk", "db"]).ok();
    assert_eq!(shown(&mount, "image", "i", "key_state"), "disabled");
}

/// I4: closed without `finish`; the program killed; the daemon killed; deleted.
fn i4_not_finished() {
    let mount = Mount::new();
    let begin = |name: &str| {
        mount
            .write_control("images/create", &format!("name={name} size=2M encrypted=yes"))
            .unwrap();
        assert_eq!(mount.read_control(&format!("images/{name}/status")), "importing");
    };
    let open = |name: &str| {
        let path = mount.control(&format!("images/{name}/data"));
        std::fs::File::options().write(true).open(path)
    };
    begin("closed");
    let mut data = open("closed").unwrap();
    assert_eq!(open("closed").unwrap_err().raw_os_error(), Some(16), "EBUSY: one writer");
    data.write_all(b"half").unwrap();
    mount.evsfs(&["disk", "create", "d", "--from", "image:closed"]).refused(4);
    drop(data);
    wait_until("it is given up", || names_of(&mount, "image").is_empty());
    begin("deleted");
    mount.evsfs(&["image", "delete", "deleted", "--yes"]).ok();
    assert_eq!(left_in(&mount, "images").len(), 0);
    begin("killed");
    open("killed").unwrap().write_all(b"half").unwrap_or(());
    begin("killed-2");
    mount.kill();
    run("umount", &["-l", text(&mount.mountpoint())]);
    mount.start();
    assert_eq!(names_of(&mount, "image"), [""; 0]);
    assert_eq!(left_in(&mount, "images").len(), 0);
}

/// I4: neither image nor disk, and the job says so.
fn i4_cancelled_or_killed() {
    let mount = Mount::new();
    import(&mount, "a", &[]);
    let slow = ["--limit", "64K", "--no-wait"];
    let begin = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend_from_slice(&slow);
        mount.evsfs(&all).ok().trim().to_owned()
    };
    let running = |job: &str| {
        wait_until("it runs", || mount.json(&["job", "show", job])["state"] == "running");
    };
    let copy = begin(&["image", "copy", "a", "b", "--encrypted"]);
    running(&copy);
    mount.evsfs(&["job", "cancel", &copy]).ok();
    wait_until("it ends", || mount.json(&["job", "show", &copy])["state"] == "cancelled");
    let disk = begin(&["disk", "create", "d", "--from", "image:a"]);
    running(&disk);
    assert_eq!(shown(&mount, "disk", "d", "status"), "creating");
    mount.evsfs(&["image", "delete", "a", "--yes"]).refused(4);
    mount.evsfs(&["job", "cancel", &disk]).ok();
    wait_until("it ends", || mount.json(&["job", "show", &disk])["state"] == "cancelled");
    assert_eq!(names_of(&mount, "disk"), [""; 0]);
    let jobs =
        [begin(&["image", "copy", "a", "b"]), begin(&["disk", "create", "d", "--from", "image:a"])];
    running(&jobs[0]);
    mount.kill();
    run("umount", &["-l", text(&mount.mountpoint())]);
    mount.start();
    for job in &jobs {
        assert_eq!(mount.json(&["job", "show", job])["state"], "failed");
    }
    assert_eq!(names_of(&mount, "image"), ["a"]);
    assert_eq!((left_in(&mount, "images").len(), left_in(&mount, "disks").len()), (1, 0));
    mount.evsfs(&["disk", "create", "d", "--from", "image:a"]).ok();
}

/// I7, RULES P4: EVS.2040 with the code of the KMS.
fn i7_the_key_must_be_enabled() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    import(&mount, "a", &["--encrypted", "--key", "finance"]);
    mount.evsfs(&["key", "disable", "finance"]).ok();
    for arguments in [
        &["disk", "create", "d", "--from", "image:a"][..],
        &["image", "copy", "a", "b"][..],
        &["server", "create", "s", "--image", "a"][..],
    ] {
        let refusal = mount.evsfs(arguments).refused(5);
        assert!(refusal.contains("(EVS.2040, KMS.0209)"), "{refusal}");
    }
    mount.evsfs(&["key", "enable", "finance"]).ok();
    mount.evsfs(&["disk", "create", "d", "--from", "image:a"]).ok();
}

/// I8, RULES A5 to A7: Alice's images are hers; files are opened with the caller's rights.
fn i8_foreign_images_do_not_exist() {
    let mount = Setup::with(USERS).mount();
    let raw = raw_image(&mount);
    run("chmod", &["0600", text(&raw)]).ok();
    let at = ["--mount", text(&mount.mountpoint())].map(str::to_owned);
    let evsfs_as = |uid: u32, arguments: &[&str]| {
        let mut all: Vec<&str> = at.iter().map(String::as_str).collect();
        all.extend_from_slice(arguments);
        mount.as_uid(uid, mount.program(), &all)
    };
    evsfs_as(1000, &["image", "import", "a", text(&raw)]).refused(1);
    run("chown", &["1000", text(&raw)]).ok();
    evsfs_as(1000, &["image", "import", "a", text(&raw)]).ok();
    evsfs_as(1000, &["server", "create", "s", "--image", "a"]).ok();
    for arguments in [
        &["image", "show", "a"][..],
        &["image", "export", "a", "/tmp/evsfs-test-never"],
        &["image", "copy", "a", "b"],
        &["image", "delete", "a", "--yes"],
        &["disk", "create", "d", "--from", "image:a"],
        &["server", "create", "t", "--image", "a"],
        &["server", "show", "s"],
        &["server", "delete", "s", "--yes"],
    ] {
        evsfs_as(1001, arguments).refused(3);
    }
    assert_eq!(evsfs_as(1001, &["image", "list", "--json"]).ok(), "[]\n");
    assert_eq!(evsfs_as(1001, &["server", "list", "--json"]).ok(), "[]\n");
    let path = mount.control("images/a/data");
    as_user(1001, || assert!(!path.exists()));
    as_user(1000, || assert!(std::fs::File::open(&path).is_ok()));
    mount.evsfs(&["image", "show", "a"]).ok();
}

/// I8: EVS.1046 while somebody has its data open.
fn i8_an_image_that_is_read_stays() {
    let mount = Mount::new();
    import(&mount, "a", &[]);
    let data = std::fs::File::open(mount.control("images/a/data")).unwrap();
    let refusal = mount.evsfs(&["image", "delete", "a", "--yes"]).refused(4);
    assert!(refusal.contains("EVS.1046"), "{refusal}");
    drop(data);
    wait_until("it is let go", || mount.evsfs(&["image", "delete", "a", "--yes"]).code == 0);
    assert_eq!(left_in(&mount, "images").len(), 0);
}

/// Whoever disables a key is told of its images.
fn keys_show_the_images_under_them() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    import(&mount, "a", &["--encrypted", "--key", "finance"]);
    import(&mount, "b", &[]);
    let key = mount.json(&["key", "show", "finance"]);
    assert_eq!(key["images"], serde_json::json!(["a"]));
    assert_eq!(key["foreign_images"], 0);
    let version = &key["versions"][0];
    assert_eq!((&version["images"], &version["disks"]), (&1.into(), &0.into()));
    assert_eq!(mount.read_control("keys/finance/images"), "a");
}
