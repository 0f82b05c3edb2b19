//! What a detach leaves behind: D7.

use crate::rig::{
    Kind, attach, create, detach, errno, has_codes, numbered_block, open_rw, pattern, read_at,
    status_of, usual_disk, write_at,
};
use crate::support::{LoopDevice, Mount, Needs, run, trial, wait_until};
use libtest_mimic::Trial;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "d7_detach_is_refused_while_the_file_is_open",
            Needs::Fuse,
            d7_detach_is_refused_while_the_file_is_open,
        ),
        trial(
            "d7_detach_is_refused_while_a_loop_device_uses_the_file",
            Needs::Root,
            d7_detach_is_refused_while_a_loop_device_uses_the_file,
        ),
        trial("d7_detach_flushes_the_data", Needs::Fuse, d7_detach_flushes_the_data),
        trial(
            "d7_the_kernel_keeps_no_page_of_a_detached_disk",
            Needs::Fuse,
            d7_the_kernel_keeps_no_page_of_a_detached_disk,
        ),
        trial(
            "d7_the_plaintext_leaves_the_page_cache",
            Needs::Root,
            d7_the_plaintext_leaves_the_page_cache,
        ),
        trial(
            "d7_a_new_disk_of_the_same_name_shows_nothing_of_the_old_one",
            Needs::Fuse,
            d7_a_new_disk_of_the_same_name_shows_nothing_of_the_old_one,
        ),
    ]
}

/// D7: detach is refused while the file is open (EBUSY, EVS.1046), and done once it is closed.
fn d7_detach_is_refused_while_the_file_is_open() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    for open in [File::open(&file).unwrap(), open_rw(&file)] {
        assert_eq!(errno(mount.write_control("disks/db/detach", "\n")), Errno::BUSY);
        let error = mount.read_control("error");
        assert!(error.starts_with("EVS.1046 in-use\n"), "{error}");
        let text = has_codes(mount.evsfs(&["disk", "detach", "db"]), 4, "EVS.1046");
        assert!(text.contains("--force"), "{text}");
        assert_eq!(status_of(&mount, "db"), "in-use");
        // The refusal has not hurt those who have it open, nor those who come later.
        open.read_exact_at(&mut [0; 4096], 0).unwrap();
        open_rw(&file).write_all_at(&numbered_block(1), 4096).unwrap();
    }
    detach(&mount, "db");
    assert_eq!(status_of(&mount, "db"), "available");
    assert_eq!(errno(File::open(&file)), Errno::NOENT);
    assert_eq!(std::fs::read_dir(mount.mountpoint()).unwrap().count(), 0);
    assert_eq!(mount.read_control("disks/db/attached"), "no");
    attach(&mount, "db");
    assert_eq!(read_at(&file, 4096, 4096), numbered_block(1));
}

/// D7: a loop device holds the file open as a program does.
fn d7_detach_is_refused_while_a_loop_device_uses_the_file() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    let device = LoopDevice::over(&file, &[]);
    has_codes(mount.evsfs(&["disk", "detach", "db"]), 4, "EVS.1046");
    run("dd", &["if=/dev/zero", &format!("of={}", device.path()), "bs=64k", "count=4"]).ok();
    drop(device);
    detach(&mount, "db");
}

/// D7: what was written and not synced is in the payload when detach returns.
fn d7_detach_flushes_the_data() {
    let mount = Mount::new();
    for (kind, name) in Kind::BOTH.into_iter().zip(["sealed", "plain"]) {
        let file = mount.attached_disk(name, "8M", kind.options());
        let data = pattern(3 << 20);
        write_at(&file, 1 << 20, &data);
        detach(&mount, name);
        let payload = std::fs::read(mount.payload(name)).unwrap();
        let sealed = &payload[1 << 20..4 << 20];
        assert!(sealed.chunks(4096).all(|sector| sector.iter().any(|byte| *byte != 0)));
        assert_eq!(sealed == data, kind == Kind::Unencrypted);
        attach(&mount, name);
        assert_eq!(read_at(&file, 1 << 20, data.len()), data);
    }
}

/// D7: the kernel's plaintext is dropped: after another attach the file shows what the payload
/// holds by then, and no page from before.
fn d7_the_kernel_keeps_no_page_of_a_detached_disk() {
    let mount = Mount::new();
    let file = mount.attached_disk("plain", "8M", &["--unencrypted"]);
    write_at(&file, 0, &numbered_block(1));
    assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
    detach(&mount, "plain");
    write_at(&mount.payload("plain"), 0, &numbered_block(2));
    attach(&mount, "plain");
    assert_eq!(read_at(&file, 0, 4096), numbered_block(2));
}

/// D7: the kernel's plaintext is dropped, although somebody keeps the file's inode: pages that a
/// reader in a memory group of its own has brought in are gone from the group after the detach.
fn d7_the_plaintext_leaves_the_page_cache() {
    let Some(group) = MemoryGroup::new() else {
        eprintln!("skipped: d7_the_plaintext_leaves_the_page_cache: no memory control group");
        return;
    };
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    write_at(&file, 0, &pattern(4096));
    detach(&mount, "db");
    attach(&mount, "db");
    // Holds the inode without having the file open.
    let inode = rustix::fs::open(&file, OFlags::PATH, Mode::empty()).unwrap();
    let read =
        format!("echo $$ > {}/cgroup.procs && exec cat {}", group.0.display(), file.display());
    assert_eq!(run("sh", &["-c", &format!("{read} | wc -c")]).ok().trim(), "8388608");
    wait_until("the pages are counted", || group.page_cache() > 7 << 20);
    detach(&mount, "db");
    wait_until("the pages are gone", || group.page_cache() < 1 << 20);
    drop(inode);
}

/// A memory control group, of either version, removed when dropped.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new() -> Option<MemoryGroup> {
        let name = format!("evsfs-test-{}", std::process::id());
        ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].into_iter().find_map(|root| {
            let group = MemoryGroup(Path::new(root).join(&name));
            std::fs::create_dir(&group.0).ok()?;
            group.0.join("memory.stat").exists().then_some(group)
        })
    }

    /// Bytes of the page cache that its processes have brought in.
    fn page_cache(&self) -> u64 {
        let stat = std::fs::read_to_string(self.0.join("memory.stat")).unwrap();
        let value = |line: &str| {
            let (name, bytes) = line.split_once(' ')?;
            ["cache", "file"].contains(&name).then(|| bytes.parse().unwrap())
        };
        stat.lines().find_map(value).unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// D7: nothing of a disk can be read through a later one of its name.
fn d7_a_new_disk_of_the_same_name_shows_nothing_of_the_old_one() {
    let mount = Mount::new();
    for kind in Kind::BOTH {
        let file = mount.attached_disk("db", "8M", kind.options());
        write_at(&file, 0, &pattern(8 << 20));
        // Into the page cache once more, by reading.
        assert_eq!(read_at(&file, 0, 8 << 20), pattern(8 << 20));
        detach(&mount, "db");
        mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
        create(&mount, "db", "8M", kind.options());
        attach(&mount, "db");
        let fresh = read_at(&file, 0, 8 << 20);
        assert!(fresh.iter().all(|byte| *byte == 0), "{kind:?}");
        detach(&mount, "db");
        mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    }
}
