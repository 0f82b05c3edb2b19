//! Backups of a disk in use, and of one whose copy finds no room.

use crate::rig::{directories, fill};
use crate::support::{LoopDevice, Mount, Needs, Setup, run, trial};
use libtest_mimic::Trial;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tempfile::TempDir;

pub fn trials() -> Vec<Trial> {
    let ext4 = Needs::RootAnd(&["mkfs.ext4", "e2fsck", "losetup"]);
    vec![
        trial("b1_ten_backups_of_a_busy_file_system_are_points_in_time", ext4, b1_busy),
        trial(
            "b6_a_backup_or_restore_that_finds_no_space_leaves_nothing",
            Needs::Root,
            b6_no_space,
        ),
    ]
}

const RECORD: usize = 4096;
const BACKUPS: usize = 10;

/// A file system on a loop device, unmounted when dropped.
struct Files {
    at: TempDir,
    _device: LoopDevice,
}

impl Files {
    fn of(file: &Path) -> Files {
        let device = LoopDevice::over(file, &[]);
        let at = tempfile::Builder::new().prefix("evsfs-test-").tempdir().unwrap();
        run("mount", &[device.path(), at.path().to_str().unwrap()]).ok();
        Files { at, _device: device }
    }

    fn log(&self) -> PathBuf {
        self.at.path().join("log")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        run("umount", &[self.at.path().to_str().unwrap()]);
    }
}

/// Appends numbered records, each durable before the next, until told to stop.
fn append(log: &Path, durable: &AtomicU64, stop: &AtomicBool) {
    let mut file = std::fs::File::create(log).unwrap();
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        file.write_all(&number.to_le_bytes().repeat(RECORD / 8)).unwrap();
        file.sync_data().unwrap();
        durable.store(number + 1, Ordering::SeqCst);
    }
}

/// RULES P3: a point in time also while the disk is attached and written to: each backup passes the
/// check of its file system, and holds at least what was durable before it and no gap.
fn b1_busy() {
    let mount = Setup::default().mount();
    let disk = mount.attached_disk("db", "128M", &["--encrypted"]);
    run("mkfs.ext4", &["-q", disk.to_str().unwrap()]).ok();
    let files = Files::of(&disk);
    let (durable, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let log = files.log();
    let points: Vec<u64> = std::thread::scope(|scope| {
        scope.spawn(|| append(&log, &durable, &stop));
        let take = |number: usize| {
            let before = durable.load(Ordering::SeqCst);
            mount.evsfs(&["backup", "create", "db", &format!("b{number}")]);
            before
        };
        let points = (0..BACKUPS).map(take).collect();
        stop.store(true, Ordering::Relaxed);
        points
    });
    drop(files);
    assert!(points[0] < points[BACKUPS - 1], "the writer went on");
    for (number, least) in points.into_iter().enumerate() {
        is_a_point_in_time(&mount, number, least);
    }
}

fn is_a_point_in_time(mount: &Mount, number: usize, least: u64) {
    let name = format!("r{number}");
    mount.evsfs(&["disk", "create", &name, "--from", &format!("backup:b{number}")]).ok();
    mount.evsfs(&["disk", "attach", &name]).ok();
    let disk = mount.mountpoint().join(&name);
    // The journal is replayed first, as after a power cut; nothing else may need repair.
    drop(Files::of(&disk));
    run("e2fsck", &["-fn", disk.to_str().unwrap()]).ok();
    let files = Files::of(&disk);
    let log = std::fs::read(files.log()).unwrap_or_default();
    let whole = log.chunks_exact(RECORD).zip(0_u64..);
    let good = whole.take_while(|(record, n)| **record == n.to_le_bytes().repeat(RECORD / 8));
    let good = good.count();
    assert!(good as u64 >= least, "b{number} holds {good} records of {least}");
    drop(files);
    mount.evsfs(&["disk", "detach", &name]).ok();
    mount.evsfs(&["disk", "delete", &name, "--yes"]).ok();
}

/// A small tmpfs, unmounted when dropped.
struct SmallMedium(TempDir);

impl Drop for SmallMedium {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.path().to_str().unwrap()]);
    }
}

/// RULES S2: disk full: the job fails with the reason, nothing is left, the source goes on.
fn b6_no_space() {
    let medium = SmallMedium(tempfile::Builder::new().prefix("evsfs-test-").tempdir().unwrap());
    let place = medium.0.path().to_str().unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=10M,mode=0700", "tmpfs", place]).ok();
    let setup = Setup { config: String::new(), state_dir: Some(medium.0.path().join("state")) };
    let mount = setup.mount();
    mount.attached_disk("small", "4M", &["--encrypted"]);
    (0..64).for_each(|n| write_at(&mount, "small", n));
    mount.evsfs(&["backup", "create", "small", "b"]).ok();
    std::fs::write(medium.0.path().join("filler"), vec![1; 1 << 20]).unwrap();
    let refusal = mount.evsfs(&["backup", "create", "small", "c", "--full"]).refused(9);
    assert!(refusal.contains("backups"), "{refusal}");
    mount.evsfs(&["disk", "create", "copy", "--from", "backup:b"]).refused(9);
    assert_eq!((directories(&mount, "backups").len(), directories(&mount, "disks").len()), (1, 1));
    fill(&mount, "small", 0, 9);
    mount.evsfs(&["backup", "verify", "b"]).ok();
    assert_eq!(mount.json(&["disk", "show", "small"])["status"], "in-use");
    drop(mount);
}

fn write_at(mount: &Mount, disk: &str, region: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(mount.mountpoint().join(disk)).unwrap();
    file.write_all_at(&[7; 65536], region * 65536).unwrap();
    file.sync_all().unwrap();
}
