//! The control directory by hand (INTERFACE section 1).

use crate::rig::{errno, names_in};
use crate::support::{Mount, Needs, Setup, run, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("the_control_directory_is_found_and_not_listed", Needs::Fuse, found_and_not_listed),
        trial("every_control_file_has_its_mode", Needs::Fuse, every_control_file_has_its_mode),
        trial("value_files_hold_one_value_and_a_newline", Needs::Fuse, value_files),
        trial("a_disk_lives_by_writes_alone", Needs::Fuse, a_disk_lives_by_writes_alone),
        trial("a_key_lives_by_writes_alone", Needs::Fuse, a_key_lives_by_writes_alone),
        trial("a_shell_is_a_command_line", Needs::Fuse, a_shell_is_a_command_line),
        trial("error_holds_the_last_refusal_of_its_caller", Needs::Root, error_holds_the_last),
        trial("objects_called_like_verbs_hide_no_verb", Needs::Fuse, objects_called_like_verbs),
    ]
}

const DISK_VALUES: [&str; 16] = [
    "id",
    "status",
    "size",
    "encrypted",
    "key",
    "key-state",
    "key-version",
    "sector-size",
    "owner",
    "created",
    "attached",
    "read-only",
    "source",
    "server",
    "error",
    "io",
];
const DISK_VERBS: [&str; 9] = [
    "attach",
    "detach",
    "suspend",
    "resume",
    "extend",
    "rewrap",
    "finish",
    "materialize",
    "delete",
];
/// Neither read nor written but while a disk is imported.
const DISK_DATA: &str = "data";
const KEY_VALUES: [&str; 18] = [
    "id",
    "state",
    "origin",
    "created",
    "deletion-date",
    "version",
    "versions",
    "rotation-date",
    "expiry-date",
    "description",
    "deletion-waits-until",
    "disks",
    "attached-disks",
    "foreign-disks",
    "backups",
    "foreign-backups",
    "images",
    "foreign-images",
];
const KEY_VERBS: [&str; 8] = [
    "enable",
    "disable",
    "schedule-deletion",
    "cancel-deletion",
    "confirm-deletion",
    "rotate",
    "import",
    "delete-material",
];
const KEY_BOTH: [&str; 2] = ["rotation", "import-parameters"];

/// "found by name, not listed in MOUNT".
fn found_and_not_listed() {
    let mount = Mount::new();
    mount.attached_disk("db", "1M", &[]);
    assert_eq!(names_in(&mount.mountpoint()), ["db"]);
    for directory in [".evs", ".evs/disks", ".evs/keys", ".evs/keys/evs"] {
        let meta = std::fs::metadata(mount.mountpoint().join(directory)).unwrap();
        assert!(meta.is_dir(), "{directory}");
        assert_eq!(meta.permissions().mode() & 0o222, 0, "{directory}");
    }
    let names = names_in(&mount.control(""));
    for name in [
        "agency",
        "control",
        "default-encryption",
        "disks",
        "error",
        "events",
        "help",
        "images",
        "jobs",
        "keys",
        "servers",
        "version",
    ] {
        assert!(names.iter().any(|listed| listed == name), "{name} in {names:?}");
    }
    // A tool that walks the mount meets disks only.
    let found = run("find", &[mount.mountpoint().to_str().unwrap(), "-type", "f"]).ok();
    assert_eq!(found.lines().count(), 1, "{found}");
    // A tool that walks the control directory meets no error.
    let walked = run("ls", &["-lR", mount.control("").to_str().unwrap()]);
    assert_eq!((walked.code, walked.stderr.as_str()), (0, ""));
    assert_eq!(errno(std::fs::metadata(mount.control("nothing"))), Errno::NOENT);
    assert_eq!(errno(std::fs::File::create(mount.control("new"))), Errno::PERM);
}

/// "Verb files are mode 0200 for those who may use them": values 0400, verbs 0200, both 0600.
fn every_control_file_has_its_mode() {
    let mount = Mount::new();
    mount.attached_disk("db", "1M", &[]);
    mount.evsfs(&["key", "create", "finance"]).ok();
    let mode = |file: &str| std::fs::metadata(mount.control(file)).unwrap().permissions().mode();
    let is = |file: &str, expected: u32| {
        assert_eq!(mode(file) & 0o7777, expected, "{file}");
        let (read, write) = (std::fs::File::open(mount.control(file)), std::fs::File::options());
        assert_eq!(read.is_ok(), expected & 0o400 != 0, "reading {file}");
        let written = write.clone().write(true).open(mount.control(file));
        assert_eq!(written.is_ok(), expected & 0o200 != 0, "writing {file}");
    };
    for file in ["help", "version", "error"] {
        is(file, 0o400);
    }
    for file in ["control", "agency", "default-encryption"] {
        is(file, 0o600);
    }
    for file in ["disks/create", "keys/create"] {
        is(file, 0o200);
    }
    for disk in DISK_VALUES {
        is(&format!("disks/db/{disk}"), 0o400);
    }
    for verb in DISK_VERBS {
        is(&format!("disks/db/{verb}"), 0o200);
    }
    is(&format!("disks/db/{DISK_DATA}"), 0);
    for key in ["keys/finance", "keys/evs/default"] {
        for value in KEY_VALUES {
            is(&format!("{key}/{value}"), 0o400);
        }
        for verb in KEY_VERBS {
            is(&format!("{key}/{verb}"), 0o200);
        }
        for both in KEY_BOTH {
            is(&format!("{key}/{both}"), 0o600);
        }
    }
    // Nothing is there that is not in these lists.
    let mut all: Vec<&str> = DISK_VALUES.into_iter().chain(DISK_VERBS).chain([DISK_DATA]).collect();
    all.sort_unstable();
    assert_eq!(names_in(&mount.control("disks/db")), all);
    let mut all: Vec<&str> = KEY_VALUES.into_iter().chain(KEY_VERBS).chain(KEY_BOTH).collect();
    all.sort_unstable();
    assert_eq!(names_in(&mount.control("keys/finance")), all);
}

/// "One value per file, ASCII, ends in a newline."
fn value_files() {
    let mount = Mount::new();
    mount.attached_disk("db", "1M", &[]);
    let raw = |file: &str| std::fs::read_to_string(mount.control(file)).unwrap();
    for file in DISK_VALUES.iter().filter(|file| **file != "io") {
        let text = raw(&format!("disks/db/{file}"));
        assert!(text.ends_with('\n') && text.is_ascii(), "{file}: {text:?}");
        assert_eq!(text.lines().count(), 1, "{file}: {text:?}");
    }
    for (file, value) in [
        ("status", "in-use"),
        ("size", "1048576"),
        ("encrypted", "yes"),
        ("key", "evs/default"),
        ("key-state", "enabled"),
        ("key-version", "1"),
        ("sector-size", "4096"),
        ("owner", "0"),
        ("attached", "yes"),
        ("read-only", "no"),
        ("source", ""),
        ("server", ""),
        ("error", ""),
    ] {
        assert_eq!(raw(&format!("disks/db/{file}")), format!("{value}\n"), "{file}");
    }
    for file in KEY_VALUES.iter().filter(|file| !["disks", "backups", "images"].contains(file)) {
        let text = raw(&format!("keys/evs/default/{file}"));
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{file}: {text:?}");
    }
    assert_eq!(raw("keys/evs/default/disks"), "db\n");
    assert_eq!(raw("keys/evs/default/images"), "");
    assert_eq!(raw("keys/evs/default/backups"), "");
    assert_eq!(raw("agency"), "EVSAccessKMS\n");
    assert_eq!(raw("version"), concat!(env!("CARGO_PKG_VERSION"), "\n"));
    assert!(raw("help").lines().count() <= 56 && raw("help").contains("echo rw"));
    assert_eq!(raw("error"), "");

    std::fs::write(mount.mountpoint().join("db"), [7; 4096]).unwrap();
    let io = raw("disks/db/io");
    assert!(io.contains("written-bytes: 4096\n"), "{io}");
    // A value is read anew from its start, also through a file that stays open, byte by byte.
    let status = std::fs::File::open(mount.control("disks/db/status")).unwrap();
    let by_bytes = || -> String {
        let mut byte = [0];
        (0..)
            .map_while(|at| (status.read_at(&mut byte, at).unwrap() == 1).then(|| byte[0] as char))
            .collect()
    };
    assert_eq!(by_bytes(), "in-use\n");
    mount.write_control("disks/db/detach", "\n").unwrap();
    assert_eq!(by_bytes(), "available\n");
}

fn a_disk_lives_by_writes_alone() {
    let mount = Setup::default().prepare();
    mount.start();
    let file = mount.mountpoint().join("db");
    assert_eq!(std::fs::read(mount.control("agency")).unwrap(), b"");
    mount.write_control("agency", "create\n").unwrap();
    mount.write_control("keys/create", "alias=finance description=\"all of it\"\n").unwrap();
    mount.write_control("disks/create", "name=db size=1MiB encrypted=yes key=finance\n").unwrap();
    for (text, mode) in
        [("rw", 0o600), ("ro", 0o400), ("rw\n", 0o600), ("ro\n", 0o400), ("\n", 0o600)]
    {
        mount.write_control("disks/db/attach", text).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, mode, "{text:?}");
        mount.write_control("disks/db/detach", "\n").unwrap();
        assert!(!file.exists());
    }
    mount.write_control("disks/db/extend", "2M").unwrap();
    mount.write_control("disks/db/attach", "rw").unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 2 << 20);
    let open = std::fs::File::open(&file).unwrap();
    mount.write_control("disks/db/detach", "force\n").unwrap();
    drop(open);
    for wrong in ["", "\n", "other", "db x"] {
        if wrong.is_empty() {
            continue;
        }
        assert_eq!(errno(mount.write_control("disks/db/delete", wrong)), Errno::INVAL, "{wrong:?}");
    }
    mount.write_control("disks/db/delete", "db\n").unwrap();
    assert_eq!(names_in(&mount.control("disks")), ["create"]);
    mount
        .write_control("disks/create", "name=plain  size=1048576 encrypted=no sector-size=512")
        .unwrap();
    assert_eq!(mount.read_control("disks/plain/sector-size"), "512");
    assert_eq!(mount.read_control("disks/plain/encrypted"), "no");
    mount.write_control("agency", "delete").unwrap();
    assert_eq!(mount.read_control("agency"), "");
}

fn a_key_lives_by_writes_alone() {
    let mount = Mount::new();
    mount.write_control("keys/create", "alias=finance").unwrap();
    mount.write_control("keys/create", "alias=mine origin=external").unwrap();
    assert_eq!(mount.read_control("keys/mine/state"), "pending-import");
    let state = || mount.read_control("keys/finance/state");
    mount.write_control("keys/finance/disable", "\n").unwrap();
    assert_eq!(state(), "disabled");
    mount.write_control("keys/finance/enable", "\n").unwrap();
    assert_eq!(state(), "enabled");
    mount.write_control("keys/finance/schedule-deletion", "30\n").unwrap();
    assert_eq!(state(), "pending-deletion");
    let date: jiff::Timestamp = mount.read_control("keys/finance/deletion-date").parse().unwrap();
    let days = (date.as_second() - jiff::Timestamp::now().as_second()) as f64 / 86_400.0;
    assert!((29.9..30.1).contains(&days), "{days}");
    mount.write_control("keys/finance/cancel-deletion", "\n").unwrap();
    assert_eq!(state(), "disabled");
    assert_eq!(mount.read_control("keys/finance/deletion-date"), "");
    assert_eq!(errno(mount.write_control("keys/finance/enable", "yes")), Errno::INVAL);
    for days in ["x", "-7", "7.5", "6", "1097", "99999999999999999999"] {
        let refused = errno(mount.write_control("keys/finance/schedule-deletion", days));
        assert!([Errno::INVAL, Errno::RANGE].contains(&refused), "{days}: {refused:?}");
    }
    assert_eq!(state(), "disabled");
}

/// The examples of `help`, by a shell.
fn a_shell_is_a_command_line() {
    let mount = Mount::new();
    let script = "set -e; cd \"$1\"
        echo 'alias=finance' > .evs/keys/create
        echo 'name=db size=10G encrypted=yes key=finance' > .evs/disks/create
        echo rw > .evs/disks/db/attach && ls -l db
        echo > .evs/disks/db/detach
        printf db > .evs/disks/db/delete
        if echo rw 2>/dev/null > .evs/disks/db/attach; then exit 9; fi
        if echo 'name=db' > .evs/disks/create; then exit 9; fi
        cat .evs/error";
    let shell = run("sh", &["-c", script, "sh", mount.mountpoint().to_str().unwrap()]);
    assert!(shell.stderr.contains("echo"), "the shell says that a write failed: {shell:?}");
    let said = shell.ok();
    assert!(said.contains("-rw------- 1 root root 10737418240"), "{said}");
    assert!(said.contains("\"size\" is missing"), "{said}");
}

/// "the caller's last refused operation: code, text, remedy".
fn error_holds_the_last() {
    let mount = Setup::with(
        "[mount]\nallow_other = true\n[[user]]\nname = \"a\"\nuid = 1000\nroles = [\"evs-user\"]\n",
    )
    .mount();
    assert_eq!(mount.read_control("error"), "");
    errno(mount.write_control("disks/create", "name=db size=1K"));
    let mine = mount.read_control("error");
    let lines: Vec<&str> = mine.lines().collect();
    assert_eq!(lines.len(), 3, "{mine}");
    assert_eq!(lines[0], "EVS.1010 out-of-range");
    assert_eq!(lines[1], "size 1K is less than 1M");
    assert!(lines[2].starts_with("fix: use a size"), "{mine}");
    // Refusals that `control` answered are told there too; successes change nothing.
    crate::rig::ask(&mount, &serde_json::json!({"op": "disk.show", "name": "nobody"}));
    assert!(mount.read_control("error").starts_with("EVS.1002 not-found\n"));
    mount.write_control("disks/create", "name=db size=1M").unwrap();
    assert!(mount.read_control("error").starts_with("EVS.1002 not-found\n"));
    // Another caller has an `error` of its own.
    let theirs = crate::rig::as_user(1000, || {
        let before = std::fs::read_to_string(mount.control("error")).unwrap();
        errno(mount.write_control("disks/create", "name=x size=1M sector-size=7"));
        (before, std::fs::read_to_string(mount.control("error")).unwrap())
    });
    assert_eq!(theirs.0, "");
    assert!(theirs.1.contains("sector size"), "{}", theirs.1);
    assert!(mount.read_control("error").starts_with("EVS.1002 not-found\n"));
}

/// Disks and keys may be called `create` or `evs`; the files of those names stay what they are.
fn objects_called_like_verbs() {
    let mount = Mount::new();
    mount.evsfs(&["disk", "create", "create", "--size", "1M"]).ok();
    mount.evsfs(&["key", "create", "create"]).ok();
    mount.evsfs(&["key", "create", "evs"]).ok();
    mount.write_control("disks/create", "name=db size=1M").unwrap();
    mount.write_control("keys/create", "alias=finance").unwrap();
    let once = |directory: &str, name: &str| {
        let names = names_in(&mount.control(directory));
        assert_eq!(names.iter().filter(|listed| *listed == name).count(), 1, "{names:?}");
    };
    once("disks", "create");
    once("keys", "create");
    once("keys", "evs");
    mount.evsfs(&["disk", "attach", "create"]).ok();
    assert!(mount.mountpoint().join("create").is_file());
    mount.evsfs(&["disk", "detach", "create"]).ok();
    mount.evsfs(&["disk", "delete", "create", "--yes"]).ok();
}
