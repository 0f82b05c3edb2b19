//! File systems on loop devices of disks, under load, then checked.

use crate::amount::Amount;
use crate::report;
use crate::support::files::{Numbers, content};
use crate::support::{LoopDevice, Mount, Mounted, Needs, run, trial};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct FileSystem {
    name: &'static str,
    make: &'static [&'static str],
    check: &'static [&'static str],
    size: &'static str,
}

const FILE_SYSTEMS: [(FileSystem, Needs); 3] = [
    (
        FileSystem {
            name: "ext4",
            make: &["mkfs.ext4", "-q"],
            check: &["e2fsck", "-f", "-n"],
            size: "64M",
        },
        Needs::RootAnd(&["mkfs.ext4", "e2fsck"]),
    ),
    (
        FileSystem {
            name: "xfs",
            make: &["mkfs.xfs", "-q"],
            check: &["xfs_repair", "-n"],
            size: "320M",
        },
        Needs::RootAnd(&["mkfs.xfs", "xfs_repair"]),
    ),
    (
        FileSystem {
            name: "btrfs",
            make: &["mkfs.btrfs", "-q"],
            check: &["btrfs", "check", "--check-data-csum"],
            size: "160M",
        },
        Needs::RootAnd(&["mkfs.btrfs", "btrfs"]),
    ),
];

pub fn trials() -> Vec<Trial> {
    let one = |(system, needs): (FileSystem, Needs)| {
        let name = format!("a_file_system_under_load_is_clean::{}", system.name);
        trial(&name, needs, move || under_load(&system))
    };
    FILE_SYSTEMS.into_iter().map(one).collect()
}

/// Four threads make, change, rename, cut and delete files. The file system is checked, and has every
/// file after a detach and a new attachment.
fn under_load(system: &FileSystem) {
    if !is_known(system.name) {
        eprintln!("skipped: this kernel has no {}", system.name);
        return;
    }
    let mount = Mount::new();
    let disk = mount.attached_disk("db", system.size, &[]);
    let target = mount.scratch().join("fs");
    let steps = Amount::of(300, 10_000);
    let device = LoopDevice::over(&disk, &["--direct-io=on"]);
    program(system.make, &device);
    let mounted = Mounted::at(&device, "rw", &target);
    let expected: Vec<Files> = std::thread::scope(|scope| {
        let work = |number| {
            let directory = target.join(format!("worker-{number}"));
            move || load(number, &directory, steps)
        };
        let workers: Vec<_> = (0..WORKERS).map(|number| scope.spawn(work(number))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    drop(mounted);
    program(system.check, &device);
    drop(device);
    crate::detach::eventually_detached(&mount, "db");
    mount.evsfs(&["disk", "attach", "db"]).ok();
    let device = LoopDevice::over(&disk, &[]);
    let mounted = Mounted::at(&device, "rw", &target);
    let mut files = 0;
    for (path, bytes) in expected.into_iter().flatten() {
        assert!(std::fs::read(&path).unwrap() == bytes, "{path:?} is another");
        files += 1;
    }
    run("fstrim", &[target.to_str().unwrap()]).ok();
    drop(mounted);
    program(system.check, &device);
    let steps = steps * usize::try_from(WORKERS).unwrap();
    report(&format!("{}: {steps} steps, {files} files as written, checked clean", system.name));
}

fn is_known(name: &str) -> bool {
    // A kernel with all built in, or a container without the modules, has no use for it.
    let _ = Command::new("modprobe").arg(name).stderr(Stdio::null()).status();
    let known = std::fs::read_to_string("/proc/filesystems").unwrap();
    known.lines().any(|line| line.ends_with(&format!("\t{name}")))
}

fn program(words: &[&str], device: &LoopDevice) {
    run(words[0], &[&words[1..], &[device.path()]].concat()).ok();
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

const WORKERS: u64 = 4;

/// Random steps of one worker in its own directory; gives what its files must hold.
fn load(number: u64, directory: &Path, steps: usize) -> Files {
    std::fs::create_dir(directory).unwrap();
    let mut numbers = Numbers::new(number + 1);
    let mut files = Files::new();
    for step in 0..steps {
        let path = directory.join(format!("file-{}", numbers.below(40)));
        match numbers.below(10) {
            0..4 => {
                let bytes = content(numbers.next(), numbers.below(64 << 10));
                std::fs::write(&path, &bytes).unwrap();
                files.insert(path, bytes);
            }
            4..6 => {
                let Some(bytes) = files.get_mut(&path) else { continue };
                let file = File::options().write(true).open(&path).unwrap();
                let at = numbers.below(bytes.len() + 1);
                let more = content(numbers.next(), numbers.below(8192));
                file.write_all_at(&more, at as u64).unwrap();
                let end = at + more.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[at..end].copy_from_slice(&more);
                if step % 5 == 0 {
                    file.sync_all().unwrap();
                }
            }
            6 => {
                let Some(bytes) = files.get_mut(&path) else { continue };
                bytes.truncate(numbers.below(bytes.len() + 1));
                let file = File::options().write(true).open(&path).unwrap();
                file.set_len(bytes.len() as u64).unwrap();
            }
            7 => {
                let Some(bytes) = files.remove(&path) else { continue };
                let other = directory.join(format!("file-{}", numbers.below(40)));
                std::fs::rename(&path, &other).unwrap();
                files.insert(other, bytes);
            }
            8 => {
                if files.remove(&path).is_some() {
                    std::fs::remove_file(&path).unwrap();
                }
            }
            _ => {
                let Some(bytes) = files.get(&path) else { continue };
                assert!(std::fs::read(&path).unwrap() == *bytes, "{path:?} at step {step}");
            }
        }
    }
    files
}
