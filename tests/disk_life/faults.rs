//! Errors of the backing: S2.

use crate::rig::{Kind, errno, numbered_block, open_rw, pattern, read_at, status_of, write_at};
use crate::support::{LoopDevice, Mount, Needs, Setup, run, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "s2_a_full_backing_reaches_the_writer_and_the_daemon_goes_on",
            Needs::Root,
            s2_a_full_backing_reaches_the_writer_and_the_daemon_goes_on,
        ),
        trial(
            "s2_a_failed_fsync_is_reported_to_every_open_file",
            Needs::Root,
            s2_a_failed_fsync_is_reported_to_every_open_file,
        ),
        trial(
            "s2_a_payload_cut_short_under_a_disk_gives_eio",
            Needs::Fuse,
            s2_a_payload_cut_short_under_a_disk_gives_eio,
        ),
    ]
}

/// A small tmpfs, unmounted when dropped.
struct SmallMedium(PathBuf);

impl SmallMedium {
    fn new(directory: &Path, size: &str) -> SmallMedium {
        std::fs::create_dir_all(directory).unwrap();
        let options = format!("size={size},mode=0700");
        run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", directory.to_str().unwrap()]).ok();
        SmallMedium(directory.to_owned())
    }
}

impl Drop for SmallMedium {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

/// S2: ENOSPC of the backing reaches the writer; what was there stays; space that is given back
/// can be written again; verbs work all the while.
fn s2_a_full_backing_reaches_the_writer_and_the_daemon_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    let medium = SmallMedium::new(&scratch.path().join("medium"), "12M");
    let state_dir = medium.0.join("state");
    let mount = Setup { config: String::new(), state_dir: Some(state_dir) }.mount();
    for (kind, name) in Kind::BOTH.into_iter().zip(["sealed", "plain"]) {
        let file = mount.attached_disk(name, "64M", kind.options());
        write_at(&file, 0, &numbered_block(1));
        let open = open_rw(&file);
        let full = (1..64).find_map(|at| open.write_all_at(&pattern(1 << 20), at << 20).err());
        assert_eq!(errno::<()>(Err(full.unwrap())), Errno::NOSPC, "{kind:?}");
        assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
        assert_eq!(status_of(&mount, name), "in-use");
        let another = mount.evsfs(&["disk", "create", "big", "--size", "1M"]);
        assert!(another.code == 0 || another.code == 9, "{another:?}");
        mount.evsfs(&["disk", "delete", "big", "--yes"]);

        let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&open, punch, 1 << 20, 63 << 20).unwrap();
        open.write_all_at(&pattern(1 << 20), 40 << 20).unwrap();
        open.sync_all().unwrap();
        assert_eq!(read_at(&file, 40 << 20, 1 << 20), pattern(1 << 20));
        drop(open);
        mount.evsfs(&["disk", "detach", name]).ok();
        mount.evsfs(&["disk", "delete", name, "--yes"]).ok();
    }
    drop(mount);
}

/// S2: EIO of a block device is reported by fsync, at least once to every file that was open.
fn s2_a_failed_fsync_is_reported_to_every_open_file() {
    let scratch = tempfile::tempdir().unwrap();
    let medium = SmallMedium::new(&scratch.path().join("medium"), "8M");
    let image = medium.0.join("image");
    std::fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
    // A sparse image on a full medium: the device takes writes and loses them at writeback.
    let device = LoopDevice::over(&image, &[]);
    let mount = Setup::with(&format!("backing_dirs = [\"{}\"]\n", device.path())).mount();
    let file = mount.attached_disk("db", "32M", &["--unencrypted", "--backing", device.path()]);
    let (first, second) = (open_rw(&file), open_rw(&file));
    write_at(&file, 0, &numbered_block(1));
    first.sync_all().unwrap();
    second.sync_all().unwrap();

    std::fs::write(medium.0.join("filler"), vec![1; 8 << 20]).unwrap_err();
    let written = first.write_all_at(&pattern(4 << 20), 8 << 20);
    let reports = [first.sync_all(), second.sync_all()];
    for report in reports {
        assert_eq!(errno(report), Errno::IO, "the write said {written:?}");
    }
    // The daemon goes on: what can be read is read, verbs are answered.
    assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
    assert_eq!(status_of(&mount, "db"), "in-use");

    std::fs::remove_file(medium.0.join("filler")).unwrap();
    write_at(&file, 4096, &numbered_block(2));
    let third = open_rw(&file);
    third.sync_all().unwrap();
    drop((first, second, third));
    mount.evsfs(&["disk", "detach", "db"]).ok();
    drop(mount);
    drop(device);
}

/// S2: reading where the payload has been cut off underneath gives EIO, not zeros.
fn s2_a_payload_cut_short_under_a_disk_gives_eio() {
    let mount = Mount::new();
    let file = mount.attached_disk("db", "8M", Kind::USUAL.options());
    let other = mount.attached_disk("other", "8M", Kind::USUAL.options());
    write_at(&file, 0, &numbered_block(1));
    write_at(&file, 4 << 20, &numbered_block(2));
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    let payload = std::fs::File::options().write(true).open(mount.payload("db")).unwrap();
    payload.set_len(1 << 20).unwrap();
    let open = open_rw(&file);
    assert_eq!(errno(open.read_exact_at(&mut [0; 4096], 4 << 20)), Errno::IO);
    assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
    write_at(&other, 0, &numbered_block(3));
    assert_eq!(read_at(&other, 0, 4096), numbered_block(3));
}
