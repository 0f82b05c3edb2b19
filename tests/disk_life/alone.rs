//! One daemon on a state directory, one attachment on a payload: S3.

use crate::rig::{Kind, attach, create, has_codes, numbered_block, open_rw, read_at, write_at};
use crate::support::{Mount, Needs, Setup, run, trial};
use libtest_mimic::Trial;
use rustix::fs::FlockOperation;
use std::os::unix::fs::FileExt;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "s3_a_second_daemon_on_a_state_directory_is_refused",
            Needs::Fuse,
            s3_a_second_daemon_on_a_state_directory_is_refused,
        ),
        trial(
            "s3_the_mount_of_a_dead_daemon_is_no_hindrance",
            Needs::Fuse,
            s3_the_mount_of_a_dead_daemon_is_no_hindrance,
        ),
        trial("s3_a_payload_is_attached_once", Needs::Fuse, s3_a_payload_is_attached_once),
        trial(
            "s3_two_disks_cannot_share_a_backing",
            Needs::Fuse,
            s3_two_disks_cannot_share_a_backing,
        ),
    ]
}

/// S3: one daemon works on a state directory; a second is refused, wherever it would mount, and
/// so is the offline check.
fn s3_a_second_daemon_on_a_state_directory_is_refused() {
    let mount = Mount::new();
    let file = mount.attached_disk("db", "8M", Kind::USUAL.options());
    assert!(mount.try_start().refused(4).contains("mounted"));
    let elsewhere = mount.scratch().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let config = mount.config_path();
    let config = config.to_str().unwrap();
    let second = mount.evsfs_plain(&["mount", "-c", config, elsewhere.to_str().unwrap()]);
    let text = second.refused(4);
    assert!(text.contains(mount.state_dir().to_str().unwrap()), "{text}");
    assert_eq!(run("mountpoint", &["-q", elsewhere.to_str().unwrap()]).code, 32);
    let foreground = ["mount", "-f", "-c", config, elsewhere.to_str().unwrap()];
    mount.evsfs_plain(&foreground).refused(4);
    mount.evsfs_plain(&["check", "-c", config]).refused(4);
    // The first has not noticed.
    write_at(&file, 0, &numbered_block(1));
    assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
}

/// S3: what a dead one left is no hindrance: its mount is cleared by the next `mount`, also while
/// somebody still has a dead file open, and by `umount`.
fn s3_the_mount_of_a_dead_daemon_is_no_hindrance() {
    let mount = Mount::new();
    let file = mount.attached_disk("db", "8M", Kind::USUAL.options());
    let open = open_rw(&file);
    open.write_all_at(&numbered_block(1), 0).unwrap();
    mount.kill();
    mount.evsfs(&["disk", "list"]).refused(11);
    mount.start();
    assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
    assert!(open.read_exact_at(&mut [0; 4096], 4 << 20).is_err(), "a file of the dead mount");
    drop(open);
    mount.kill();
    mount.stop();
    mount.start();
    assert!(file.exists());
    let mountpoint = mount.mountpoint();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert_eq!(mounts.matches(mountpoint.to_str().unwrap()).count(), 1, "one mount, not a pile");
}

/// S3: a payload that somebody else holds is not attached.
fn s3_a_payload_is_attached_once() {
    let mount = Mount::new();
    create(&mount, "db", "8M", Kind::USUAL.options());
    let payload = open_rw(&mount.payload("db"));
    rustix::fs::flock(&payload, FlockOperation::NonBlockingLockExclusive).unwrap();
    let text = mount.evsfs(&["disk", "attach", "db"]).refused(4);
    assert!(text.contains("payload"), "{text}");
    drop(payload);
    attach(&mount, "db");
    let payload = open_rw(&mount.payload("db"));
    rustix::fs::flock(&payload, FlockOperation::NonBlockingLockExclusive).unwrap_err();
    mount.kill();
    rustix::fs::flock(&payload, FlockOperation::NonBlockingLockExclusive).unwrap();
}

/// S3: a second disk over the same backing is refused while the first is attached, under whatever
/// name it is reached.
fn s3_two_disks_cannot_share_a_backing() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("pool");
    std::fs::create_dir(&directory).unwrap();
    let mount = Setup::with(&format!("backing_dirs = [\"{}\"]\n", directory.display())).mount();
    let payload = directory.join("payload");
    let first = mount.attached_disk(
        "first",
        "8M",
        &["--unencrypted", "--backing", payload.to_str().unwrap()],
    );
    write_at(&first, 0, &numbered_block(1));
    let hard = directory.join("hard");
    std::fs::hard_link(&payload, &hard).unwrap();
    for path in [&payload, &hard] {
        for overwrite in ["no", "yes"] {
            let request = format!(
                "name=second size=8M encrypted=no backing={} overwrite={overwrite}",
                path.display()
            );
            let refused = mount.write_control("disks/create", &request);
            let code = crate::rig::errno(refused);
            let expected = match overwrite {
                "no" => rustix::io::Errno::EXIST,
                _ => rustix::io::Errno::BUSY,
            };
            assert_eq!(code, expected, "{request}");
        }
    }
    has_codes(mount.evsfs(&["disk", "show", "second"]), 3, "EVS.1002");
    assert_eq!(read_at(&first, 0, 4096), numbered_block(1));
}
