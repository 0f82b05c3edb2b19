//! What an import leaves that does not end: E7.

use crate::rig::{TOOLS, disks_of, left_in_state, noise, project, text};
use crate::support::{Mount, run, trial, wait_until};
use libtest_mimic::Trial;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::{Child, Command, Stdio};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("e7_an_import_that_is_killed_leaves_nothing", TOOLS, e7_killed),
        trial("e7_a_daemon_that_is_killed_leaves_nothing_of_an_import", TOOLS, e7_daemon_killed),
        trial("e7_an_import_is_given_up_by_hand", TOOLS, e7_given_up_by_hand),
    ]
}

/// An import that has begun and takes its time.
fn slow_import(mount: &Mount) -> Child {
    let raw = mount.scratch().join("raw");
    std::fs::write(&raw, noise(16 << 20, 6)).unwrap();
    let child = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", "inject=pwrite64:delay_enter=1000000"])
        .args([mount.program(), "--mount", text(&mount.mountpoint()), "disk", "import", "db"])
        .args(["--key", "finance", "--raw", text(&raw)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the import has begun", || disks_of(mount) == [("db".into(), "creating".into())]);
    child
}

/// E7: nothing, not even the name.
fn e7_killed() {
    let (mount, _outside) = project("");
    let mut child = slow_import(&mount);
    mount.evsfs(&["disk", "attach", "db"]).refused(4);
    let payload = mount.payload("db");
    wait_until("some of it is written", || payload.metadata().is_ok_and(|it| it.blocks() > 0));
    // strace leaves its child alone when it is killed itself.
    run("pkill", &["-9", "-P", &child.id().to_string()]).ok();
    child.wait().unwrap();
    wait_until("nothing is left", || disks_of(&mount).is_empty() && left_in_state(&mount) == 0);
    mount.evsfs(&["disk", "create", "db", "--size", "1M"]).ok();
}

/// E7: after the next start.
fn e7_daemon_killed() {
    let (mount, _outside) = project("");
    let mut child = slow_import(&mount);
    mount.kill();
    let ended = child.wait().unwrap();
    assert!(!ended.success());
    run("umount", &["-l", text(&mount.mountpoint())]).ok();
    mount.start();
    assert!(disks_of(&mount).is_empty());
    assert_eq!(left_in_state(&mount), 0);
}

/// E7: what was begun and is not written to is deleted as any disk; `data` is one writer's.
fn e7_given_up_by_hand() {
    let (mount, _outside) = project("");
    let begin = || {
        let line = r#"{"op":"disk.import","name":"db","size":"2M","encrypted":true}"#;
        let script = format!(
            "exec 3<>{}; printf '%s\\n' '{line}' >&3; cat <&3",
            mount.control("control").display()
        );
        run("bash", &["-c", &script]).ok()
    };
    assert!(begin().contains("\"creating\""));
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    assert!(disks_of(&mount).is_empty() && left_in_state(&mount) == 0);
    begin();
    let path = mount.control("disks/db/data");
    let data = File::options().read(true).write(true).open(&path).unwrap();
    assert_eq!(File::options().write(true).open(&path).unwrap_err().raw_os_error(), Some(16));
    data.write_all_at(&noise(5000, 2), 1000).unwrap();
    let mut found = vec![0; 5000];
    data.read_exact_at(&mut found, 1000).unwrap();
    assert_eq!(found, noise(5000, 2));
    mount.write_control("disks/db/finish", "\n").unwrap();
    assert!(data.write_at(b"late", 0).is_err());
    drop(data);
    assert_eq!(disks_of(&mount), [("db".to_owned(), "available".to_owned())]);
    begin();
    assert_eq!(left_in_state(&mount), 1, "the name was taken, and nothing was begun");
}
