//! Memory: under pressure, where the kernel wants pages back that only the daemon can write; and over
//! many attachments, where nothing may be left behind.

use crate::amount::Amount;
use crate::report;
use crate::support::files::{assert_same, content, open_rw, read, write};
use crate::support::{LoopDevice, Mount, Mounted, Needs, run, skipped, trial};
use libtest_mimic::Trial;
use rustix::fs::{Access, OFlags};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the writers and the pages that they have written may have together.
const ROOM: u64 = 64 << 20;
/// A round's bytes: several times that.
const WRITTEN: u64 = 160 << 20;
/// Far more than a round takes, and less than a deadlock.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn trials() -> Vec<Trial> {
    const TOOLS: Needs = Needs::RootAnd(&["mkfs.ext4", "dd", "timeout"]);
    let name = "loop_writeback_under_memory_pressure_comes_to_an_end";
    let pressure = match Version::to_be_used() {
        Some(_) => trial(name, TOOLS, loop_writeback_under_memory_pressure),
        None => skipped(name, "no memory control group can be made"),
    };
    let cycles = trial(
        "memory_and_descriptors_stay_flat_over_many_attachments",
        Needs::Fuse,
        memory_and_descriptors_stay_flat,
    );
    vec![pressure, cycles]
}

/// A version of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// The one by which this process can make groups that have memory.
    fn to_be_used() -> Option<Version> {
        let can_be_used = |version: &Version| {
            let root = Path::new(version.root());
            let has_memory = match version {
                Version::One => root.join(version.limit()).exists(),
                Version::Two => std::fs::read_to_string(root.join("cgroup.subtree_control"))
                    .is_ok_and(|has| has.split_whitespace().any(|it| it == "memory")),
            };
            has_memory && rustix::fs::access(root, Access::WRITE_OK).is_ok()
        };
        [Version::Two, Version::One].into_iter().find(can_be_used)
    }

    /// Where groups are made.
    fn root(self) -> &'static str {
        match self {
            Version::One => "/sys/fs/cgroup/memory",
            Version::Two => "/sys/fs/cgroup",
        }
    }

    fn limit(self) -> &'static str {
        match self {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        }
    }

    fn no_limit(self) -> &'static str {
        match self {
            Version::One => "-1",
            Version::Two => "max",
        }
    }
}

/// A control group with a limit of memory, removed when dropped.
struct MemoryGroup {
    version: Version,
    path: PathBuf,
}

impl MemoryGroup {
    #[track_caller]
    fn with(room: u64) -> MemoryGroup {
        let version = Version::to_be_used().unwrap();
        let path = Path::new(version.root()).join(format!("evsfs-test-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let group = MemoryGroup { version, path };
        group.limit(&room.to_string()).unwrap();
        group
    }

    fn limit(&self, limit: &str) -> std::io::Result<()> {
        std::fs::write(self.path.join(self.version.limit()), limit)
    }

    fn members(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// How often something was waited for because the limit was reached.
    #[track_caller]
    fn times_at_the_limit(&self) -> u64 {
        let read = |name: &str| std::fs::read_to_string(self.path.join(name)).unwrap();
        let count = match self.version {
            Version::One => read("memory.failcnt"),
            Version::Two => {
                let events = read("memory.events");
                events.lines().find_map(|line| line.strip_prefix("max ")).unwrap().to_owned()
            }
        };
        count.trim().parse().unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Who is stuck at the limit goes on. Its processes have ended or will, which the group may
        // notice a little later.
        let _ = self.limit(self.version.no_limit());
        for _ in 0..100 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("{} could not be removed", self.path.display());
    }
}

/// Two writers fill files on ext4 on a loop device over a disk. They have room for a fraction of what is
/// written: they wait for writeback, which waits for the daemon.
fn loop_writeback_under_memory_pressure() {
    let rounds = Amount::of(1, 20);
    let group = MemoryGroup::with(ROOM);
    let mount = Mount::new();
    let disk = mount.attached_disk("db", "512M", &["--encrypted"]);
    let target = mount.scratch().join("fs");
    let device = LoopDevice::over(&disk, &[]);
    run("mkfs.ext4", &["-q", device.path()]).ok();
    let mounted = Mounted::at(&device, "rw", &target);
    // In a group of version 1 a page fault of the daemon would wait for pages that the daemon itself has
    // to write (docs/RELIABILITY.md, "What is not covered"); services have groups of their own.
    if group.version == Version::Two {
        std::fs::write(group.members(), mount.pid().to_string()).unwrap();
    }
    let begun = Instant::now();
    for round in 0..rounds {
        let file = |number| target.join(format!("file-{number}"));
        let writers = [0, 1].map(|number| {
            let script = "echo $$ > \"$1\" && exec timeout -s KILL \"$2\" dd if=/dev/urandom of=\"$3\" \
                          bs=256K count=\"$4\" iflag=fullblock conv=fsync status=none";
            let (members, patience) = (group.members(), PATIENCE.as_secs().to_string());
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(members).arg(patience).arg(file(number));
            command.arg((WRITTEN / 2 / (256 << 10)).to_string()).spawn().unwrap()
        });
        for mut writer in writers {
            let status = writer.wait().unwrap();
            assert!(status.success(), "round {round}: a writer ended with {status}");
        }
        // Read by this process, which has the memory for it, once from the cache and once anew.
        let digest = |number| run("sha256sum", &[file(number).to_str().unwrap()]).ok();
        let written = [digest(0), digest(1)];
        std::fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
        assert_eq!([digest(0), digest(1)], written, "round {round}");
    }
    let waits = group.times_at_the_limit();
    assert!(waits > 0, "there was no pressure");
    drop(mounted);
    run("e2fsck", &["-f", "-n", device.path()]).ok();
    drop(device);
    mount.stop();
    report(&format!(
        "memory pressure: {rounds} rounds of {} MiB with room for {} MiB, {waits} times at the limit, \
         in {:.1} s",
        WRITTEN >> 20,
        ROOM >> 20,
        begun.elapsed().as_secs_f64()
    ));
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    resident_kib: u64,
    locked_kib: u64,
    threads: u64,
    descriptors: usize,
    mappings: usize,
}

impl Held {
    #[track_caller]
    fn by(pid: u32) -> Held {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let status = std::fs::read_to_string(proc.join("status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
        };
        Held {
            resident_kib: number("VmRSS"),
            locked_kib: number("VmLck"),
            threads: number("Threads"),
            descriptors: std::fs::read_dir(proc.join("fd")).unwrap().count(),
            mappings: std::fs::read_to_string(proc.join("maps")).unwrap().lines().count(),
        }
    }
}

/// A disk is attached, written, read and detached again and again; after a tenth of it, when all pools
/// are filled, the daemon holds no more than then.
fn memory_and_descriptors_stay_flat() {
    let cycles = Amount::of(300, 10_000);
    let mount = Mount::new();
    mount.attached_disk("db", "1M", &["--encrypted"]);
    crate::detach::eventually_detached(&mount, "db");
    let mut first = None;
    for cycle in 0..cycles {
        mount.write_control("disks/db/attach", "rw").unwrap();
        let file = open_rw(&mount.mountpoint().join("db"), OFlags::empty());
        let at = cycle % 256 * 4096;
        write(&file, at, &content(cycle, 4096));
        assert_same("a sector", &read(&file, at, 4096), &content(cycle, 4096));
        drop(file);
        crate::detach::eventually_detached(&mount, "db");
        if cycle == cycles / 10 {
            first = Some(Held::by(mount.pid()));
        }
    }
    let (first, last) = (first.unwrap(), Held::by(mount.pid()));
    report(&format!("{cycles} attachments: {first:?}, then {last:?}"));
    assert_eq!(last.descriptors, first.descriptors, "descriptors");
    // Threads of the kernel's requests in the background come and go.
    assert!(last.threads <= first.threads + 2, "threads: {} to {}", first.threads, last.threads);
    assert_eq!(last.locked_kib, first.locked_kib, "locked memory");
    assert!(
        last.mappings <= first.mappings + 8,
        "mappings: {} to {}",
        first.mappings,
        last.mappings
    );
    let most = first.resident_kib + 4096;
    assert!(last.resident_kib <= most, "KiB: {} to {}", first.resident_kib, last.resident_kib);
}
