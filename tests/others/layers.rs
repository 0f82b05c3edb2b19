//! Layers of storage over disks: partitions, containers, RAID, volumes.

use crate::copies::ext4;
use crate::support::{LoopDevice, Mount, Needs, Output, run, trial};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};

const IN_CONTAINER: &str = "a_container_uses_a_disks_files_as_a_volume";

pub fn trials() -> Vec<Trial> {
    let programs: &[&str] = &["mkfs.ext4", "sfdisk", "partx"];
    vec![
        trial(
            "losetup_partscan_shows_the_partitions_of_a_disk",
            Needs::RootAnd(programs),
            partitions,
        ),
        trial(
            "a_bind_mount_shows_a_disks_files_in_another_mount_namespace",
            Needs::RootAnd(&["mkfs.ext4", "unshare"]),
            bind_mount,
        ),
        if_there(
            IN_CONTAINER,
            containers_run(IN_CONTAINER)
                .then_some(())
                .ok_or("no docker or podman that runs containers, or no busybox"),
            container,
        ),
        if_there(
            "mdadm_mirrors_two_disks",
            has_line("/proc/mdstat", "Personalities").then_some(()).ok_or("the kernel has no md"),
            mirror,
        ),
        if_there(
            "lvm_makes_a_volume_of_two_disks",
            has_line("/proc/misc", "device-mapper")
                .then_some(())
                .ok_or("the kernel has no device-mapper"),
            volume,
        ),
    ]
}

/// A trial that needs something of the kernel or of a daemon; without it, ignored aloud.
fn if_there(name: &str, there: Result<(), &str>, body: impl FnOnce() + Send + 'static) -> Trial {
    match there {
        Ok(()) => trial(name, Needs::RootAnd(&["mkfs.ext4"]), body),
        Err(why) => {
            eprintln!("skipped: {name}: {why}");
            Trial::test(name, || Ok(())).with_ignored_flag(true)
        }
    }
}

fn has_line(file: &str, word: &str) -> bool {
    std::fs::read_to_string(file).unwrap_or_default().contains(word)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A loop device with the partitions of a disk, also where the kernel reads no tables itself.
fn partitioned(disk: &Path, options: &[&str]) -> LoopDevice {
    let device = LoopDevice::over(disk, &[&["--partscan"], options].concat());
    let name = device.path().trim_start_matches("/dev/");
    if !Path::new(&format!("/sys/block/{name}/{name}p1")).exists() {
        eprintln!("this kernel knows no GPT: partx tells it of the partitions");
        run("partx", &["--add", device.path()]).ok();
    }
    device
}

/// A device node of a partition, in case nobody makes them in /dev.
fn partition(mount: &Mount, device: &str, number: u32) -> PathBuf {
    let name = format!("{}p{number}", device.trim_start_matches("/dev/"));
    let node = mount.scratch().join(&name);
    let parent = device.trim_start_matches("/dev/");
    let numbers = std::fs::read_to_string(format!("/sys/block/{parent}/{name}/dev"));
    let numbers = numbers.unwrap_or_else(|_| panic!("{device} has no partition {number}"));
    let (major, minor) = numbers.trim().split_once(':').unwrap();
    if !node.exists() {
        run("mknod", &[text(&node), "b", major, minor]).ok();
    }
    node
}

fn partitions() {
    let mount = Mount::new();
    let disk = mount.attached_disk("db", "64M", &["--encrypted"]);
    let table = "printf 'label: gpt\\nsize=32M\\nsize=30M\\n' | sfdisk -q $0";
    run("sh", &["-c", table, text(&disk)]).ok();
    let files = mount.scratch().join("files");
    std::fs::create_dir(&files).unwrap();
    {
        let device = partitioned(&disk, &[]);
        let second = partition(&mount, device.path(), 2);
        run("mkfs.ext4", &["-q", text(&second)]).ok();
        run("mount", &[text(&second), text(&files)]).ok();
        let written = std::fs::write(files.join("note"), "on the second partition");
        run("umount", &[text(&files)]).ok();
        written.unwrap();
    }
    // The same after the disk was away, without a write to it.
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "attach", "db", "--read-only"]).ok();
    let device = partitioned(&disk, &["--read-only"]);
    let listed = run("sfdisk", &["-q", "-l", "-o", "size", device.path()]).ok();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let second = partition(&mount, device.path(), 2);
    run("mount", &["-o", "ro", text(&second), text(&files)]).ok();
    let note = std::fs::read_to_string(files.join("note"));
    run("umount", &[text(&files)]).ok();
    assert_eq!(note.unwrap(), "on the second partition");
}

/// What container engines do with a volume, without one.
fn bind_mount() {
    let mount = Mount::new();
    let (_device, disk) = ext4(&mount, "db");
    std::fs::write(disk.directory().join("in"), "from the host\n").unwrap();
    let inside = mount.scratch().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let script = "mount --bind $0 $1 && mount -o remount,bind,nosuid,nodev $1 && cat $1/in \
         && echo from inside > $1/out";
    let unshare = ["--mount", "--propagation", "private", "sh", "-c", script];
    let all = [&unshare[..], &[text(disk.directory()), text(&inside)]].concat();
    assert_eq!(run("unshare", &all).ok(), "from the host\n");
    assert_eq!(std::fs::read_to_string(disk.directory().join("out")).unwrap(), "from inside\n");
    assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 0, "the namespace has leaked");
}

/// A command that runs containers here, and an image with busybox in it; removed when dropped.
struct Engine {
    run: &'static str,
    image: String,
}

impl Engine {
    /// The first that can run anything at all.
    fn find() -> Option<Engine> {
        if !Path::new("/bin/busybox").exists() {
            return None;
        }
        let engines = ["docker", "podman", "podman --runtime runc"].into_iter();
        let mut usable = engines.filter_map(|run| {
            let engine = Engine { run, image: format!("evsfs-test-{}", std::process::id()) };
            let made = format!("tar -C /bin -c busybox | {run} import - {}", engine.image);
            let is_there = run_shell(&made).code == 0 && engine.runs("", "true").code == 0;
            is_there.then_some(engine)
        });
        usable.next()
    }

    /// Runs a script in a container.
    fn runs(&self, options: &str, script: &str) -> Output {
        // Limits that need no rights of those who may not raise theirs.
        let limits = "--ulimit nofile=1024:1024 --ulimit nproc=1000:1000";
        let Engine { run, image } = self;
        run_shell(&format!(
            "timeout 60 {run} run --rm --network none {limits} {options} {image} \
             /busybox sh -c '{script}'"
        ))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        run_shell(&format!("{} rmi -f {}", self.run, self.image));
    }
}

fn run_shell(script: &str) -> Output {
    run("sh", &["-c", script])
}

/// Whether a container can be run; not looked at by a process that runs another trial.
fn containers_run(name: &str) -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    let is_of_another =
        arguments.iter().any(|a| a == "--exact") && !arguments.iter().any(|a| a == name);
    !is_of_another && Engine::find().is_some()
}

fn container() {
    let mount = Mount::new();
    let (_device, disk) = ext4(&mount, "db");
    std::fs::write(disk.directory().join("in"), "from the host\n").unwrap();
    let engine = Engine::find().unwrap();
    let volume = format!("-v {}:/data", text(disk.directory()));
    let script = "/busybox cat /data/in && echo from inside > /data/out";
    assert_eq!(engine.runs(&volume, script).ok(), "from the host\n");
    assert_eq!(std::fs::read_to_string(disk.directory().join("out")).unwrap(), "from inside\n");
}

/// Two disks, each under a loop device.
fn two_devices(mount: &Mount) -> [LoopDevice; 2] {
    ["one", "two"].map(|name| {
        let disk = mount.attached_disk(name, "64M", &["--encrypted"]);
        LoopDevice::over(&disk, &[])
    })
}

/// Makes a file system on a device, uses it, and unmounts it.
fn use_as_file_system(mount: &Mount, device: &str) {
    let files = mount.scratch().join("files");
    std::fs::create_dir(&files).unwrap();
    run("mkfs.ext4", &["-q", device]).ok();
    run("mount", &[device, text(&files)]).ok();
    let written = std::fs::write(files.join("note"), vec![7; 1 << 20]);
    run("umount", &[text(&files)]).ok();
    written.unwrap();
    run("e2fsck", &["-fn", device]).ok();
}

fn mirror() {
    let mount = Mount::new();
    let devices = two_devices(&mount);
    let array = format!("/dev/md/evsfs-test-{}", std::process::id());
    let [one, two] = [devices[0].path(), devices[1].path()];
    let create = ["--create", &array, "--run", "--level=1", "--raid-devices=2", "--metadata=1.2"];
    run("mdadm", &[&create[..], &[one, two]].concat()).ok();
    let used = std::panic::catch_unwind(|| use_as_file_system(&mount, &array));
    run("mdadm", &["--stop", &array]).ok();
    used.unwrap();
}

fn volume() {
    let mount = Mount::new();
    let devices = two_devices(&mount);
    let group = format!("evsfs_test_{}", std::process::id());
    let [one, two] = [devices[0].path(), devices[1].path()];
    run("vgcreate", &["-q", &group, one, two]).ok();
    let used = std::panic::catch_unwind(|| {
        run("lvcreate", &["-q", "-y", "-n", "files", "-l", "100%FREE", &group]).ok();
        use_as_file_system(&mount, &format!("/dev/{group}/files"));
    });
    run("vgremove", &["-q", "-y", &group]).ok();
    used.unwrap();
}
