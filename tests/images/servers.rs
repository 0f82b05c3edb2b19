//! Servers.

use crate::rig::{import, left_in, names_of, shown, text};
use crate::support::{Mount, Needs, run, trial, wait_until};
use libtest_mimic::Trial;
use serde_json::json;

const TOOLS: Needs = Needs::RootAnd(&["mke2fs"]);
const DISKS: [&str; 4] =
    ["--data-disk", "name=a,size=1M,encrypted=yes", "--data-disk", "name=b,size=2M,encrypted=no"];

pub fn trials() -> Vec<Trial> {
    vec![
        trial("v1_a_server_is_made_with_its_disks_attached", TOOLS, v1_a_server_is_made),
        trial("v2_a_server_that_is_refused_leaves_nothing", TOOLS, v2_refused),
        trial("v2_a_server_whose_making_is_killed_leaves_all_or_nothing", TOOLS, v2_killed),
        trial("v2_a_server_whose_making_is_cancelled_leaves_nothing", TOOLS, v2_cancelled),
        trial("v3_a_system_disk_goes_with_its_server_only", TOOLS, v3_a_system_disk),
        trial("v4_deleting_takes_the_system_disk_and_on_request_the_others", TOOLS, v4_deleting),
        trial("v4_an_open_disk_keeps_its_server_whole", TOOLS, v4_an_open_disk),
        trial("v5_after_a_restart_all_disks_are_attached", TOOLS, v5_after_a_restart),
        trial("v6_the_line_for_qemu_names_all_disks", TOOLS, v6_the_line_for_qemu),
    ]
}

fn mount_with_image() -> Mount {
    let mount = Mount::new();
    import(&mount, "deb", &["--encrypted"]);
    mount
}

#[track_caller]
fn create(mount: &Mount, name: &str, options: &[&str]) {
    let mut arguments = vec!["server", "create", name, "--image", "deb"];
    arguments.extend_from_slice(options);
    mount.evsfs(&arguments).ok();
}

/// V1.
fn v1_a_server_is_made() {
    let mount = mount_with_image();
    create(&mount, "web", &DISKS);
    let server = mount.json(&["server", "show", "web"]);
    assert_eq!(server["system_disk"], "web-system");
    assert_eq!(server["data_disks"], json!(["a", "b"]));
    assert_eq!((&server["attached"], &server["encrypted"]), (&json!(true), &json!(true)));
    for disk in ["web-system", "a", "b"] {
        assert!(mount.mountpoint().join(disk).exists(), "{disk}");
        assert_eq!(shown(&mount, "disk", disk, "server"), "web");
    }
    assert_eq!(mount.read_control("servers/web/data-disks"), "a\nb");
    assert_eq!(mount.read_control("disks/a/server"), "web");
    mount
        .write_control("servers/create", "name=two image=deb data-disks=\"name=c,size=1M\"")
        .unwrap();
    wait_until("it is there", || {
        names_of(&mount, "server").contains(&"two".to_owned())
            && mount.read_control("servers/two/status") == "active"
    });
    assert!(mount.mountpoint().join("c").exists());
}

#[track_caller]
fn nothing_is_left(mount: &Mount) {
    assert_eq!(names_of(mount, "server"), [""; 0]);
    assert_eq!(names_of(mount, "disk"), [""; 0]);
    assert_eq!((left_in(mount, "disks").len(), left_in(mount, "servers").len()), (0, 0));
}

/// V2: a bad disk among good ones, whatever is wrong with it.
fn v2_refused() {
    let mount = mount_with_image();
    mount.evsfs(&["key", "create", "off"]).ok();
    mount.evsfs(&["key", "disable", "off"]).ok();
    for (wrong, code) in [
        ("name=a,size=1M", 10),
        ("name=x,size=1", 2),
        ("name=x,size=1M,key=off,encrypted=yes", 5),
        ("name=x,size=1M,key=none,encrypted=yes", 3),
        ("name=x,size=1M,encrypted=no,key=off", 2),
        ("name=x,size=1M,colour=red", 2),
        ("name=web-system,size=1M", 10),
        ("nonsense", 2),
    ] {
        let mut arguments = vec!["server", "create", "web", "--image", "deb"];
        arguments.extend_from_slice(&DISKS);
        arguments.extend_from_slice(&["--data-disk", wrong]);
        mount.evsfs(&arguments).refused(code);
        nothing_is_left(&mount);
    }
    create(&mount, "web", &DISKS);
    let again = mount.evsfs(&["server", "create", "web", "--image", "deb"]);
    again.refused(10);
}

/// V2, RULES P1: killed as soon as the server's record, or its first, second or third disk is there,
/// or when the job says it is done.
fn v2_killed() {
    let mount = mount_with_image();
    for disks in 0..=4 {
        let mut arguments = vec!["server", "create", "web", "--image", "deb", "--no-wait"];
        arguments.extend_from_slice(&DISKS);
        let pid = mount.pid();
        let job = mount.evsfs(&arguments).ok().trim().to_owned();
        match disks {
            0 => wait_until("it has begun", || !left_in(&mount, "servers").is_empty()),
            4 => wait_until("it is done", || mount.json(&["job", "show", &job])["state"] == "done"),
            _ => wait_until("a disk is there", || left_in(&mount, "disks").len() >= disks),
        }
        run("kill", &["-9", &pid.to_string()]).ok();
        wait_until("the daemon is gone", || !crate::support::is_running(pid));
        run("umount", &["-l", text(&mount.mountpoint())]);
        mount.start();
        match names_of(&mount, "server").len() {
            0 => nothing_is_left(&mount),
            _ => {
                let server = mount.json(&["server", "show", "web"]);
                assert_eq!(server["data_disks"], json!(["a", "b"]));
                assert_eq!(server["attached"], true);
                mount.evsfs(&["server", "delete", "web", "--with-data-disks", "--yes"]).ok();
                nothing_is_left(&mount);
            }
        }
        assert!(disks < 4 || left_in(&mount, "servers").is_empty());
    }
    create(&mount, "web", &DISKS);
}

/// V2.
fn v2_cancelled() {
    let mount = mount_with_image();
    let mut arguments = vec!["server", "create", "web", "--image", "deb", "--no-wait"];
    arguments.extend_from_slice(&["--limit", "64K"]);
    arguments.extend_from_slice(&DISKS);
    let job = mount.evsfs(&arguments).ok().trim().to_owned();
    wait_until("it has begun", || !left_in(&mount, "servers").is_empty());
    assert_eq!(shown(&mount, "server", "web", "status"), "creating");
    mount.evsfs(&["server", "delete", "web", "--yes"]).refused(4);
    mount.evsfs(&["job", "cancel", &job]).ok();
    wait_until("it ends", || mount.json(&["job", "show", &job])["state"] == "cancelled");
    nothing_is_left(&mount);
}

/// V3: EPERM, EVS.1046; data disks are disks like others.
fn v3_a_system_disk() {
    let mount = mount_with_image();
    create(&mount, "web", &DISKS);
    for arguments in [
        &["disk", "detach", "web-system"][..],
        &["disk", "detach", "web-system", "--force", "--yes"],
        &["disk", "delete", "web-system", "--yes"],
    ] {
        let refusal = mount.evsfs(arguments).refused(6);
        assert!(
            refusal.contains("EVS.1046") && refusal.contains("evsfs server delete web"),
            "{refusal}"
        );
    }
    let error = mount.write_control("disks/web-system/detach", "\n").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(1));
    assert!(mount.mountpoint().join("web-system").exists());
    mount.evsfs(&["disk", "detach", "a"]).ok();
    assert_eq!(shown(&mount, "server", "web", "attached"), false);
    mount.evsfs(&["disk", "delete", "a", "--yes"]).ok();
    assert_eq!(shown(&mount, "server", "web", "data_disks"), json!(["b"]));
}

/// V4.
fn v4_deleting() {
    let mount = mount_with_image();
    create(&mount, "web", &DISKS);
    mount.evsfs(&["server", "delete", "web", "--yes"]).ok();
    assert_eq!(names_of(&mount, "server"), [""; 0]);
    assert_eq!(names_of(&mount, "disk"), ["a", "b"]);
    for disk in ["a", "b"] {
        assert_eq!(shown(&mount, "disk", disk, "status"), "available");
        assert_eq!(shown(&mount, "disk", disk, "server"), json!(null));
        mount.evsfs(&["disk", "delete", disk, "--yes"]).ok();
    }
    create(&mount, "web", &DISKS);
    mount.evsfs(&["server", "delete", "web", "--with-data-disks", "--yes"]).ok();
    nothing_is_left(&mount);
}

/// V4: EVS.1046, and every disk is attached as before.
fn v4_an_open_disk() {
    let mount = mount_with_image();
    create(&mount, "web", &DISKS);
    let open = std::fs::File::open(mount.mountpoint().join("b")).unwrap();
    let refusal = mount.evsfs(&["server", "delete", "web", "--yes"]).refused(4);
    assert!(refusal.contains("EVS.1046"), "{refusal}");
    assert_eq!(shown(&mount, "server", "web", "attached"), true);
    assert_eq!(shown(&mount, "server", "web", "status"), "active");
    drop(open);
    mount.evsfs(&["server", "delete", "web", "--with-data-disks", "--yes"]).ok();
}

/// V5.
fn v5_after_a_restart() {
    let mount = mount_with_image();
    create(&mount, "web", &DISKS);
    mount.stop();
    mount.start();
    assert_eq!(shown(&mount, "server", "web", "attached"), true);
    mount.kill();
    run("umount", &["-l", text(&mount.mountpoint())]);
    mount.start();
    assert_eq!(shown(&mount, "server", "web", "attached"), true);
    mount.evsfs(&["disk", "detach", "web-system"]).refused(6);
}

/// V6.
fn v6_the_line_for_qemu() {
    let mount = mount_with_image();
    create(&mount, "web", &DISKS);
    let line = mount.evsfs(&["server", "show", "web", "--qemu"]).ok();
    assert!(line.starts_with("qemu-system-x86_64 "), "{line}");
    let place = mount.mountpoint();
    let at = |disk: &str| {
        let drive = format!(
            "-drive file={},format=raw,if=virtio,cache=none,discard=unmap",
            text(&place.join(disk))
        );
        line.find(&drive).unwrap_or_else(|| panic!("{drive} is not in {line}"))
    };
    assert!(at("web-system") < at("a") && at("a") < at("b"));
}
