//! `--backing`: RULES A6.

use crate::rig::{errno, evsfs_as, three_lines};
use crate::support::{LoopDevice, Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use serde_json::json;
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a6_only_an_administrator_chooses_a_backing", Needs::Root, a6_only_an_administrator),
        trial("a6_a_backing_lies_in_backing_dirs", Needs::Fuse, a6_a_backing_lies_in_backing_dirs),
        trial("a6_symbolic_links_are_not_followed", Needs::Fuse, a6_symbolic_links),
        trial("a6_existing_data_is_not_overwritten_unasked", Needs::Fuse, a6_existing_data),
        trial("a_directory_made_anew_since_the_start_says_why_it_is_shut", Needs::Root, made_anew),
        trial("a6_a_block_device_is_a_backing", Needs::Root, a6_a_block_device_is_a_backing),
        trial(
            "direct_backing_is_used_where_the_payload_allows_it",
            Needs::Root,
            direct_backing_is_used_where_the_payload_allows_it,
        ),
    ]
}

/// A mount whose disks may lie in `pool` beside it.
fn mount_with_pool(more: &str) -> (Mount, PathBuf, tempfile::TempDir) {
    let scratch = tempfile::tempdir().unwrap();
    let pool = scratch.path().canonicalize().unwrap().join("pool");
    std::fs::create_dir(&pool).unwrap();
    let config = format!("backing_dirs = [\"{}\"]\n{more}", pool.display());
    (Setup::with(&config).mount(), pool, scratch)
}

fn create<'a>(name: &'a str, backing: &'a Path) -> Vec<&'a str> {
    vec!["disk", "create", name, "--size", "1M", "--backing", backing.to_str().unwrap()]
}

/// A disk whose volume was replaced while the daemon ran could not be attached, "Permission denied",
/// by root, and all permissions were in order.
fn made_anew() {
    let (mount, pool, _scratch) = mount_with_pool("");
    if mount.json(&["status"])["sandbox"].as_str().is_none_or(|what| !what.contains("files")) {
        eprintln!("skipped: the kernel has no Landlock");
        return;
    }
    let payload = pool.join("payload");
    mount.evsfs(&create("db", &payload)).ok();
    std::fs::rename(&pool, pool.with_extension("old")).unwrap();
    std::fs::create_dir(&pool).unwrap();
    std::fs::copy(pool.with_extension("old").join("payload"), &payload).unwrap();
    for line in [vec!["disk", "attach", "db"], create("other", &pool.join("other"))] {
        let [_, why, fix] = three_lines(mount.evsfs(&line), 6, "EVSFS.denied");
        assert!(why.contains("sandbox") && why.contains("made since"), "{why}");
        assert!(fix.contains("evsfs umount, then evsfs mount"), "{fix}");
    }
    // The fix helps.
    mount.stop();
    mount.start();
    mount.evsfs(&["disk", "attach", "db"]).ok();
}

fn a6_only_an_administrator() {
    let users = "[mount]\nallow_other = true\n\
        [[user]]\nname = \"u\"\nuid = 1000\nroles = [\"evs-user\"]\n\
        [[user]]\nname = \"o\"\nuid = 1003\nroles = [\"evs-administrator\"]\n";
    let (mount, pool, _scratch) = mount_with_pool(users);
    let path = pool.join("payload");
    three_lines(evsfs_as(&mount, 1000, &create("db", &path)), 6, "EVSFS.denied");
    assert!(!path.exists());
    assert_eq!(mount.json(&["disk", "list"]), json!([]));
    evsfs_as(&mount, 1003, &create("db", &path)).ok();
    let meta = std::fs::metadata(&path).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((meta.len(), meta.mode() & 0o777), (1 << 20, 0o600));
}

fn a6_a_backing_lies_in_backing_dirs() {
    let (mount, pool, scratch) = mount_with_pool("");
    let outside = scratch.path().canonicalize().unwrap().join("outside");
    for (path, exit) in [
        (outside.clone(), 6),
        (pool.clone(), 6),
        (PathBuf::from("/etc/evsfs-test"), 6),
        (PathBuf::from("/dev/null"), 6),
        (pool.join("../outside"), 2),
        (pool.with_file_name("pool-beside").join("x"), 6),
    ] {
        let refused = mount.evsfs(&create("db", &path));
        assert_eq!(refused.code, exit, "{}: {refused:?}", path.display());
        assert_eq!(refused.stderr.lines().count(), 3);
    }
    assert!(!outside.exists());
    three_lines(mount.evsfs(&create("db", &pool.join("no/such/directory"))), 3, "EVSFS.not-found");
    assert_eq!(mount.json(&["disk", "list"]), json!([]));

    // A disk with a payload elsewhere lives like any other, and leaves the payload behind.
    let path = pool.join("payload");
    mount.evsfs(&create("db", &path)).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    let file = mount.mountpoint().join("db");
    std::fs::write(&file, [9; 4096]).unwrap();
    mount.kill();
    mount.start();
    assert_eq!(std::fs::read(&file).unwrap()[..4096], [9; 4096]);
    mount.evsfs(&["disk", "extend", "db", "--size", "2M"]).ok();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 << 20);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    assert!(path.exists());
}

fn a6_symbolic_links() {
    let (mount, pool, scratch) = mount_with_pool("");
    let outside = scratch.path().canonicalize().unwrap().join("outside");
    std::fs::write(&outside, vec![1; 1 << 20]).unwrap();
    let secrets = outside.with_file_name("secrets");
    std::fs::create_dir(&secrets).unwrap();
    std::os::unix::fs::symlink(&outside, pool.join("link")).unwrap();
    std::os::unix::fs::symlink(&secrets, pool.join("linked")).unwrap();
    std::os::unix::fs::symlink(outside.with_file_name("new"), pool.join("dangling")).unwrap();
    for path in ["link", "linked/new", "dangling"] {
        for more in [&[][..], &["--overwrite"]] {
            let path = pool.join(path);
            let mut words = create("db", &path);
            words.extend_from_slice(more);
            let refused = mount.evsfs(&words);
            assert!([2, 6, 10].contains(&refused.code), "{}: {refused:?}", path.display());
        }
    }
    assert_eq!(std::fs::read(&outside).unwrap(), vec![1; 1 << 20]);
    assert_eq!(std::fs::read_dir(&secrets).unwrap().count(), 0);
    assert!(!outside.with_file_name("new").exists());
    assert_eq!(mount.json(&["disk", "list"]), json!([]));

    // Nor is a link that takes the place of a payload later.
    let path = pool.join("payload");
    mount.evsfs(&create("db", &path)).ok();
    std::fs::rename(&path, pool.join("moved")).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    assert_eq!(mount.evsfs(&["disk", "attach", "db"]).code, 2);
    assert_eq!(std::fs::read(&outside).unwrap(), vec![1; 1 << 20]);
}

fn a6_existing_data() {
    let (mount, pool, _scratch) = mount_with_pool("");
    let path = pool.join("payload");
    std::fs::write(&path, vec![7; 2 << 20]).unwrap();
    let [_, _, fix] = three_lines(mount.evsfs(&create("db", &path)), 10, "EVSFS.exists");
    assert!(fix.contains("--overwrite"), "{fix}");
    let text = format!("name=db size=1M backing={}", path.display());
    assert_eq!(errno(mount.write_control("disks/create", &text)), Errno::EXIST);
    assert_eq!(std::fs::read(&path).unwrap(), vec![7; 2 << 20]);
    assert_eq!(mount.json(&["disk", "list"]), json!([]));

    let mut words = create("db", &path);
    words.push("--overwrite");
    mount.evsfs(&words).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    let content = std::fs::read(mount.mountpoint().join("db")).unwrap();
    assert_eq!(content, vec![0; 1 << 20], "nothing of what was there");
    assert_eq!(mount.evsfs(&["disk", "create", "x", "--size", "1M", "--overwrite"]).code, 2);
    let directory = pool.join("directory");
    std::fs::create_dir(&directory).unwrap();
    let mut words = create("other", &directory);
    words.push("--overwrite");
    assert_ne!(mount.evsfs(&words).code, 0);
    assert!(directory.is_dir());
}

fn a6_a_block_device_is_a_backing() {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    let device = LoopDevice::over(&image, &[]);
    let unnamed = Setup::default().mount();
    let words = ["disk", "create", "db", "--size", "8M", "--backing", device.path()];
    three_lines(unnamed.evsfs(&words), 6, "EVSFS.denied");
    drop(unnamed);

    let mount = Setup::with(&format!("backing_dirs = [\"{}\"]\n", device.path())).mount();
    let too_large = ["disk", "create", "db", "--size", "17M", "--backing", device.path()];
    three_lines(mount.evsfs(&too_large), 9, "EVSFS.no-space");
    mount.evsfs(&words).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    let file = mount.mountpoint().join("db");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 8 << 20);
    let data: Vec<u8> = (0..8 << 20).map(|at: u32| (at % 251) as u8).collect();
    std::fs::write(&file, &data).unwrap();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.kill();
    mount.start();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    assert!(std::fs::read(&file).unwrap() == data);
    // It grows into the device and not past it.
    mount.evsfs(&["disk", "extend", "db", "--size", "16M"]).ok();
    let grown = std::fs::read(&file).unwrap();
    assert!(grown[..8 << 20] == data && grown[8 << 20..].iter().all(|byte| *byte == 0));
    assert_eq!(mount.evsfs(&["disk", "extend", "db", "--size", "32M"]).code, 9);
    assert_eq!(mount.json(&["disk", "show", "db"])["size"], 16 << 20);
    // Another disk over the same device is refused, also by force while it is in use.
    let again = ["disk", "create", "dc", "--size", "8M", "--backing", device.path()];
    let refused = mount.evsfs(&again);
    assert!([4, 10].contains(&refused.code), "{refused:?}");
    let mut by_force = again.to_vec();
    by_force.push("--overwrite");
    assert_eq!(mount.evsfs(&by_force).code, 4);
    assert!(std::fs::read(&file).unwrap()[..8 << 20] == data);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    drop(mount);
    drop(device);
}

/// A block device has direct I/O, a file in memory has none and is served all the same.
fn direct_backing_is_used_where_the_payload_allows_it() {
    let scratch = tempfile::tempdir().unwrap();
    let medium = scratch.path().join("medium");
    std::fs::File::create(&medium).unwrap().set_len(4 << 20).unwrap();
    let device = LoopDevice::over(&medium, &[]);
    let in_memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let setup = Setup {
        config: format!("backing_dirs = [\"{}\"]\n[mount]\ndirect_backing = true\n", device.path()),
        state_dir: Some(in_memory.path().join("state")),
    };
    let mount = setup.mount();
    mount.evsfs(&create("on-device", Path::new(device.path()))).ok();
    mount.evsfs(&["disk", "attach", "on-device"]).ok();
    let file = mount.attached_disk("in-memory", "1M", &[]);
    for name in ["on-device", "in-memory"] {
        let path = mount.mountpoint().join(name);
        std::fs::write(&path, [9; 5000]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[..5001], [[9; 5000].as_slice(), &[0]].concat());
    }
    assert!(opens_directly(mount.pid(), Path::new(device.path())));
    assert!(!opens_directly(mount.pid(), &mount.payload("in-memory")));
    assert!(file.exists());
    mount.stop();
}

/// Whether a process has a file open with O_DIRECT (proc_pid_fdinfo(5): flags in octal).
fn opens_directly(pid: u32, path: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let number = std::fs::read_dir(process.join("fd"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .find(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == path));
    let number = number.unwrap_or_else(|| panic!("{} is not open", path.display())).file_name();
    let info = std::fs::read_to_string(process.join("fdinfo").join(number)).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
    rustix::fs::OFlags::from_bits_retain(flags).contains(rustix::fs::OFlags::DIRECT)
}
