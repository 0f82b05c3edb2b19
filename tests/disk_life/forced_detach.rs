//! Forced detach under open files: D8.

use crate::rig::{
    attach, create, ends_within, errno, force_detach, numbered_block, open_rw, open_with, pattern,
    read_at, status_of, usual_disk, within, write_at,
};
use crate::support::{LoopDevice, Mount, Needs, run, trial, wait_until};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// "At once", for a machine with other things to do.
const SOON: Duration = Duration::from_secs(2);

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "d8_io_through_open_files_fails_after_a_forced_detach",
            Needs::Fuse,
            d8_io_through_open_files_fails_after_a_forced_detach,
        ),
        trial(
            "d8_busy_readers_and_writers_end_at_once",
            Needs::Fuse,
            d8_busy_readers_and_writers_end_at_once,
        ),
        trial(
            "d8_direct_io_fails_after_a_forced_detach",
            Needs::Fuse,
            d8_direct_io_fails_after_a_forced_detach,
        ),
        trial("d8_a_mapping_ends_in_sigbus", Needs::Fuse, d8_a_mapping_ends_in_sigbus),
        trial(
            "d8_a_loop_device_reports_errors_and_lets_go",
            Needs::Root,
            d8_a_loop_device_reports_errors_and_lets_go,
        ),
        trial(
            "d8_a_mounted_filesystem_does_not_hang",
            Needs::Root,
            d8_a_mounted_filesystem_does_not_hang,
        ),
        trial(
            "d8_old_files_stay_dead_after_another_attach",
            Needs::Fuse,
            d8_old_files_stay_dead_after_another_attach,
        ),
    ]
}

fn is_gone(code: Errno) -> bool {
    code == Errno::NODEV || code == Errno::IO
}

/// D8: later I/O through files still open fails with ENODEV or EIO.
fn d8_io_through_open_files_fails_after_a_forced_detach() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    write_at(&file, 0, &pattern(64 << 10));
    let open = Arc::new(open_rw(&file));
    open.read_exact_at(&mut [0; 64 << 10], 0).unwrap();
    force_detach(&mount, "db");
    assert_eq!(status_of(&mount, "db"), "available");
    assert!(!file.exists());
    for (what, operation) in operations() {
        let file = open.clone();
        let code = within(SOON, what, move || errno(operation(&file)));
        assert!(is_gone(code), "{what}: {code:?}");
    }
    // Closing what was open goes well, and the payload kept what had been written.
    drop(open);
    attach(&mount, "db");
    assert_eq!(read_at(&file, 0, 64 << 10), pattern(64 << 10));
}

type Operation = fn(&std::fs::File) -> std::io::Result<()>;

fn operations() -> [(&'static str, Operation); 5] {
    [
        ("reading what was cached", |file| file.read_exact_at(&mut [0; 4096], 0)),
        ("reading what was not", |file| file.read_exact_at(&mut [0; 4096], 1 << 20)),
        ("writing", |file| file.write_all_at(&[1; 4096], 0)),
        ("writing a part of a page", |file| file.write_all_at(&[1; 7], 3 << 20)),
        ("punching", |file| {
            let mode =
                rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
            Ok(rustix::fs::fallocate(file, mode, 0, 4096)?)
        }),
    ]
}

/// D8: processes that are in the middle of reading, writing and syncing end at once.
fn d8_busy_readers_and_writers_end_at_once() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    let (sender, receiver) = std::sync::mpsc::channel();
    for worker in 0..4_u64 {
        let (file, sender) = (file.clone(), sender.clone());
        std::thread::spawn(move || {
            let open = open_rw(&file);
            let mut round = 0;
            let failed = loop {
                let at = (worker << 20) + round % 64 * 4096;
                round += 1;
                let done = match worker {
                    0 | 1 => open
                        .write_all_at(&numbered_block(round), at)
                        .and_then(|()| if worker == 0 { open.sync_all() } else { Ok(()) }),
                    _ => open.read_exact_at(&mut [0; 4096], at),
                };
                if let Err(error) = done {
                    break Errno::from_io_error(&error).unwrap();
                }
                if round == 20 {
                    sender.send(None).unwrap();
                }
            };
            sender.send(Some(failed)).unwrap();
        });
    }
    for _ in 0..4 {
        assert_eq!(receiver.recv_timeout(Duration::from_secs(10)).unwrap(), None);
    }
    let detached = mount.control("disks/db/detach");
    within(Duration::from_secs(5), "the forced detach", move || {
        std::fs::write(detached, "force").unwrap();
    });
    for _ in 0..4 {
        let code = receiver.recv_timeout(SOON).expect("no worker hangs").unwrap();
        assert!(is_gone(code), "{code:?}");
    }
}

/// D8: O_DIRECT is no way around.
fn d8_direct_io_fails_after_a_forced_detach() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    let mut writer = Command::new("dd")
        .args(["if=/dev/zero", "bs=64k", "oflag=direct", "conv=notrunc", "status=none"])
        .args(["oflag=seek_bytes", "count=1000000"])
        .arg(format!("of={}", file.display()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The disk's end would also end dd: what is to end it here is the detach.
    let open = Arc::new(open_with(&file, OFlags::DIRECT));
    let _ = ends_within(Duration::from_secs(10), "dd to the end of the disk", &mut writer);
    force_detach(&mount, "db");
    let code = within(SOON, "a direct read", move || {
        let mut buffer = vec![0_u8; 8192];
        let start = buffer.as_ptr().align_offset(4096);
        errno(open.read_exact_at(&mut buffer[start..start + 4096], 0))
    });
    assert!(is_gone(code), "{code:?}");
}

/// D8: a process that touches a mapping of the file gets SIGBUS, as for any device that has gone.
fn d8_a_mapping_ends_in_sigbus() {
    if run("sh", &["-c", "command -v xfs_io"]).code != 0 {
        eprintln!("skipped: d8_a_mapping_ends_in_sigbus: no xfs_io to map with");
        return;
    }
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    write_at(&file, 0, &pattern(64 << 10));
    let mut mapper = Command::new("xfs_io")
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut commands = mapper.stdin.take().unwrap();
    commands.write_all(b"mmap -rw 0 64k\nmread 0 64k\n").unwrap();
    // Mapped, and its pages are there.
    let smaps = format!("/proc/{}/smaps", mapper.id());
    wait_until("the file is mapped", || {
        let maps = std::fs::read_to_string(&smaps).unwrap();
        let mut ours = maps.lines().skip_while(|line| !line.ends_with("/mnt/db"));
        ours.any(|line| line.starts_with("Rss:") && line.ends_with(" 64 kB"))
    });
    force_detach(&mount, "db");
    commands.write_all(b"mread 0 64k\nquit\n").unwrap();
    drop(commands);
    let code = ends_within(SOON, "touching the mapping", &mut mapper);
    assert_eq!(code, 128 + 7, "the mapping still shows something");
}

/// D8: a loop device over the file reports I/O errors and can be removed.
fn d8_a_loop_device_reports_errors_and_lets_go() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    for options in [&["--direct-io=off"][..], &["--direct-io=on"]] {
        let device = LoopDevice::over(&file, options);
        force_detach(&mount, "db");
        let device_path = device.path().to_owned();
        let failed = within(Duration::from_secs(10), "reading the loop device", move || {
            run("dd", &[&format!("if={device_path}"), "of=/dev/null", "bs=4k", "iflag=direct"])
        });
        assert!(failed.code != 0 && failed.stderr.contains("rror"), "{failed:?}");
        within(Duration::from_secs(10), "removing the loop device", move || drop(device));
        attach(&mount, "db");
    }
}

/// D8: a filesystem that is mounted from the disk fails, and can be unmounted.
fn d8_a_mounted_filesystem_does_not_hang() {
    let mount = Mount::new();
    let file = mount.attached_disk("db", "32M", crate::rig::Kind::USUAL.options());
    run("mkfs.ext4", &["-q", "-F", file.to_str().unwrap()]).ok();
    let device = LoopDevice::over(&file, &[]);
    let target = mount.scratch().join("ext4");
    std::fs::create_dir(&target).unwrap();
    let target = target.to_str().unwrap().to_owned();
    run("mount", &[device.path(), &target]).ok();
    std::fs::write(format!("{target}/before"), pattern(1 << 20)).unwrap();
    force_detach(&mount, "db");
    let at = target.clone();
    let synced =
        within(Duration::from_secs(10), "writing and syncing on the filesystem", move || {
            std::fs::File::create(format!("{at}/after")).and_then(|mut file| {
                file.write_all(&pattern(1 << 20)).and_then(|()| file.sync_all())
            })
        });
    assert!(synced.is_err());
    within(Duration::from_secs(20), "unmounting the filesystem", move || run("umount", &[&target]))
        .ok();
    within(Duration::from_secs(10), "removing the loop device", move || drop(device));
}

/// D8: the key is gone for the old files, also when the disk is attached again.
fn d8_old_files_stay_dead_after_another_attach() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    write_at(&file, 0, &numbered_block(1));
    let old = open_rw(&file);
    force_detach(&mount, "db");
    attach(&mount, "db");
    assert!(is_gone(errno(old.read_exact_at(&mut [0; 4096], 0))));
    assert!(is_gone(errno(old.write_all_at(&numbered_block(2), 0))));
    assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
    // An old file that is still open is no reason to refuse this detach.
    crate::rig::detach(&mount, "db");
    drop(old);
    create(&mount, "other", "8M", crate::rig::Kind::USUAL.options());
}
