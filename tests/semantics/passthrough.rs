//! Files that the kernel reads by itself: F18.

use crate::support::files::{
    assert_same, content, errno, open, open_rw, read, read_aligned, write,
};
use crate::support::{Mapping, Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "f18_the_kernel_reads_a_read_only_disk_by_itself",
            Needs::Passthrough,
            f18_the_kernel_reads_a_read_only_disk_by_itself,
        ),
        trial(
            "f18_other_disks_are_served_as_without",
            Needs::Passthrough,
            f18_other_disks_are_served_as_without,
        ),
        trial(
            "f18_a_payload_longer_than_its_disk_shows_the_disk_only",
            Needs::Passthrough,
            f18_a_payload_longer_than_its_disk_shows_the_disk_only,
        ),
        trial(
            "f18_a_forced_detach_lets_the_payload_be_attached_again",
            Needs::Passthrough,
            f18_a_forced_detach_lets_the_payload_be_attached_again,
        ),
    ]
}

const SIZE: usize = 2 << 20;

fn passing_mount() -> Mount {
    Setup::with("[mount]\npassthrough = true\n").mount()
}

fn passing_mount_in_memory() -> Mount {
    let state_dir = format!("/dev/shm/evsfs-test-passthrough-{}", std::process::id()).into();
    Setup { state_dir: Some(state_dir), ..Setup::with("[mount]\npassthrough = true\n") }.mount()
}

/// An unencrypted disk with content, attached read-only.
fn read_only_disk(mount: &Mount) -> (PathBuf, Vec<u8>) {
    let path = mount.attached_disk("db", &SIZE.to_string(), &["--unencrypted"]);
    let expected = content(18, SIZE);
    write(&open_rw(&path, OFlags::empty()), 0, &expected);
    assert_eq!(counter(mount, "passthrough-opens"), 0);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "attach", "db", "--read-only"]).ok();
    (path, expected)
}

fn open_to_read(path: &Path) -> std::fs::File {
    open(path, OFlags::RDONLY).unwrap()
}

fn counter(mount: &Mount, name: &str) -> u64 {
    let counters = mount.read_control("disks/db/io");
    let line = counters.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {counters}")).parse().unwrap()
}

fn f18_the_kernel_reads_a_read_only_disk_by_itself() {
    [passing_mount(), passing_mount_in_memory()].into_iter().for_each(reads_by_itself);
}

fn reads_by_itself(mount: Mount) {
    let (path, expected) = read_only_disk(&mount);
    let (one, other) = (open_to_read(&path), open_to_read(&path));
    let direct = open(&path, OFlags::RDONLY | OFlags::DIRECT).unwrap();
    assert_same("one", &read(&one, 0, SIZE), &expected);
    assert_same("unaligned", &read(&other, 777, 100_001), &expected[777..100_778]);
    assert_same("direct", &read_aligned(&direct, 4096, 8192), &expected[4096..12_288]);
    assert_same("mapped", &Mapping::private(&one, SIZE).read(0, SIZE), &expected);
    assert_eq!((counter(&mount, "passthrough-opens"), counter(&mount, "reads")), (3, 0));
    assert_eq!(one.read_at(&mut [0; 10], SIZE as u64).unwrap(), 0);
    assert_eq!(one.read_at(&mut [0; 10], SIZE as u64 - 4).unwrap(), 4);
    assert_eq!(errno(open(&path, OFlags::RDWR)), Errno::ACCESS);
    // D7 holds: as long as one file is open, the disk is in use.
    drop((one, direct));
    mount.evsfs(&["disk", "detach", "db"]).refused(4);
    assert_same("after the others closed", &read(&other, 0, SIZE), &expected);
    drop(other);
    mount.evsfs(&["disk", "detach", "db"]).ok();
}

fn f18_other_disks_are_served_as_without() {
    let mount = passing_mount();
    for (kind, options) in [("--encrypted", &["--read-only"][..]), ("--unencrypted", &[])] {
        let path = mount.attached_disk("db", "1M", &[kind]);
        write(&open_rw(&path, OFlags::empty()), 0, &content(1, 4096));
        mount.evsfs(&["disk", "detach", "db"]).ok();
        mount.evsfs(&[&["disk", "attach", "db"], options].concat()).ok();
        let file = open_to_read(&path);
        assert_same(kind, &read(&file, 0, 4096), &content(1, 4096));
        assert_eq!(counter(&mount, "passthrough-opens"), 0);
        assert!(counter(&mount, "read-bytes") >= 4096);
        drop(file);
        mount.evsfs(&["disk", "detach", "db"]).ok();
        mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    }
}

fn f18_a_payload_longer_than_its_disk_shows_the_disk_only() {
    let mount = passing_mount();
    let (path, expected) = read_only_disk(&mount);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let payload = std::fs::OpenOptions::new().append(true).open(mount.payload("db")).unwrap();
    std::io::Write::write_all(&mut &payload, &[0xAA; 4096]).unwrap();
    mount.evsfs(&["disk", "attach", "db", "--read-only"]).ok();
    assert_same("all of it", &std::fs::read(&path).unwrap(), &expected);
    assert_eq!(counter(&mount, "passthrough-opens"), 0);
}

/// The file that is still open goes on reading (docs/SEMANTICS.md), and holds nothing up.
fn f18_a_forced_detach_lets_the_payload_be_attached_again() {
    let mount = passing_mount();
    let (path, expected) = read_only_disk(&mount);
    let file = open_to_read(&path);
    assert_same("before", &read(&file, 0, SIZE), &expected);
    mount.evsfs(&["disk", "detach", "db", "--force", "--yes"]).ok();
    assert!(!path.exists());
    mount.evsfs(&["disk", "attach", "db"]).ok();
    write(&open_rw(&path, OFlags::empty()), 0, &[9; 512]);
    assert_eq!(read(&open_to_read(&path), 0, 512), [9; 512]);
    drop(file);
    mount.evsfs(&["disk", "detach", "db"]).ok();
}
