//! What keeps a mount from being made: nothing is mounted then.

use crate::rig::three_lines;
use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a_mountpoint_that_is_none_is_refused", Needs::Fuse, a_mountpoint_that_is_none),
        trial("a_state_directory_others_can_read_is_refused", Needs::Fuse, others_can_read),
        trial(
            "every_class_of_configuration_mistake_is_refused",
            Needs::Fuse,
            every_class_of_mistake,
        ),
        trial("a_mount_in_the_foreground_ends_with_its_signal", Needs::Fuse, in_the_foreground),
        trial("a_mount_can_be_forced_away_from_under_open_files", Needs::Fuse, forced_away),
        trial("an_idle_daemon_uses_no_processor_time", Needs::Fuse, idle),
    ]
}

#[track_caller]
fn nothing_is_mounted(mount: &Mount) {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!table.contains(mount.scratch().to_str().unwrap()), "{table}");
}

fn a_mountpoint_that_is_none() {
    let mount = Setup::default().prepare();
    let mountpoint = mount.mountpoint();
    std::fs::remove_dir(&mountpoint).unwrap();
    let [_, why, fix] = three_lines(mount.try_start(), 3, "EVSFS.not-found");
    assert!(why.contains(mountpoint.to_str().unwrap()), "{why}");
    assert_eq!(fix, format!("fix: mkdir -p {}", mountpoint.display()));
    std::fs::write(&mountpoint, "a file").unwrap();
    three_lines(mount.try_start(), 2, "EVSFS.invalid");
    std::fs::remove_file(&mountpoint).unwrap();
    std::fs::create_dir(&mountpoint).unwrap();
    mount.start();
    three_lines(mount.try_start(), 4, "EVSFS.in-use");
}

/// "The state directory (0700, files 0600, refused if looser)".
fn others_can_read() {
    let mount = Mount::new();
    mount.stop();
    let state = mount.state_dir().to_owned();
    let set = |path: &str, mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(state.join(path), permissions).unwrap();
    };
    for mode in [0o755, 0o750, 0o701, 0o770, 0o777] {
        set("", mode);
        let [_, why, fix] = three_lines(mount.try_start(), 6, "EVSFS.denied");
        assert!(why.contains(&format!("{mode:04o}")), "{why}");
        assert_eq!(fix, format!("fix: chmod 0700 {}", state.display()));
        nothing_is_mounted(&mount);
        set("", 0o700);
    }
    for file in ["hsm/root.key", "project.toml"] {
        set(file, 0o640);
        let refused = mount.try_start();
        assert!([6, 7].contains(&refused.code), "{file}: {refused:?}");
        assert!(
            refused.stderr.contains(file) && refused.stderr.contains("fix: chmod"),
            "{refused:?}"
        );
        nothing_is_mounted(&mount);
        set(file, 0o600);
    }
    std::fs::rename(&state, state.with_extension("away")).unwrap();
    let [_, _, fix] = three_lines(mount.try_start(), 3, "EVSFS.not-found");
    assert!(fix.contains("evsfs init"), "{fix}");
    assert!(!state.exists(), "a refused mount makes no state directory");
    std::fs::rename(state.with_extension("away"), &state).unwrap();
    mount.start();
}

/// "refused at start with the file, the key and the reason; nothing mounted."
fn every_class_of_mistake() {
    let mount = Setup::default().prepare();
    let config = mount.config_path();
    let state = mount.state_dir().display();
    // The two keys that must be there, alone: the file may have a [mount] table already.
    let sound =
        format!("mountpoint = \"{}\"\nstate_dir = \"{state}\"\n", mount.mountpoint().display());
    for (key, text) in [
        ("mount.threds", format!("{sound}[mount]\nthreds = 4\n")),
        ("mount.threads", format!("{sound}[mount]\nthreads = \"4\"\n")),
        ("mount.cache", format!("{sound}[mount]\ncache = \"some\"\n")),
        ("defaults.sector_size", format!("{sound}[defaults]\nsector_size = 1024\n")),
        (
            "state_dir",
            format!("mountpoint = \"{}\"\nstate_dir = \"state\"\n", mount.mountpoint().display()),
        ),
        ("mountpoint", format!("mountpoint = \"{state}/mnt\"\nstate_dir = \"{state}\"\n")),
        ("state_dir", format!("mountpoint = \"{}\"\n", mount.mountpoint().display())),
        ("user[0].roles", format!("{sound}[[user]]\nname = \"a\"\nuid = 1\nroles = [\"root\"]\n")),
        ("line 3", format!("{sound}region = \"local\n")),
    ] {
        std::fs::write(&config, text).unwrap();
        let [_, why, _] = three_lines(mount.try_start(), 2, "EVSFS.invalid");
        assert!(why.contains(config.to_str().unwrap()) && why.contains(key), "{key}: {why}");
        nothing_is_mounted(&mount);
    }
    for (code, setting, text) in [
        (2, "passphrase", format!("{sound}[kms]\npassphrase = true\n")),
        (
            8,
            "/m.so",
            format!(
                "{sound}[kms]\nhsm = \"pkcs11\"\nmodule = \"/m.so\"\ntoken = \"t\"\npin_file = \"/p\"\n"
            ),
        ),
    ] {
        std::fs::write(&config, text).unwrap();
        let refused = mount.try_start();
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.stderr.contains(setting), "{refused:?}");
        nothing_is_mounted(&mount);
    }
    std::fs::remove_file(&config).unwrap();
    three_lines(mount.try_start(), 3, "EVSFS.not-found");
    std::fs::write(&config, &sound).unwrap();
    let words = ["mount", "-c", config.to_str().unwrap(), "-o", "allow_othr"];
    three_lines(mount.evsfs_plain(&words), 2, "EVSFS.invalid");
    nothing_is_mounted(&mount);
    mount.start();
}

fn in_the_foreground() {
    use std::io::{BufRead, BufReader};
    let mount = Setup::default().prepare();
    let mut daemon = std::process::Command::new(mount.program())
        .args(["mount", "-f", "-c", mount.config_path().to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("mounted ") && line.contains(&daemon.id().to_string()), "{line}");
    assert_eq!(mount.pid(), daemon.id());
    crate::support::run("kill", &["-TERM", &daemon.id().to_string()]).ok();
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    nothing_is_mounted(&mount);
}

/// `umount` leaves open files alone; `umount --force` does not, and does not wait for them.
fn forced_away() {
    let mount = Mount::new();
    let file = mount.attached_disk("db", "1M", &[]);
    let open = std::fs::File::options().write(true).open(&file).unwrap();
    let mountpoint = mount.mountpoint();
    let mountpoint = mountpoint.to_str().unwrap();
    let [_, _, fix] = three_lines(mount.evsfs_plain(&["umount", mountpoint]), 4, "EVSFS.in-use");
    assert!(fix.contains("--force"), "{fix}");
    {
        use std::os::unix::fs::FileExt;
        open.write_all_at(&[3; 512], 0).unwrap();
        let begun = std::time::Instant::now();
        mount.evsfs_plain(&["umount", mountpoint, "--force"]).ok();
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
        nothing_is_mounted(&mount);
        assert!(open.write_all_at(&[4; 512], 0).is_err());
    }
    mount.start();
    assert_eq!(std::fs::read(&file).unwrap()[..512], [3; 512]);
}

/// Ten attached disks that nobody uses cost nothing: 2 s of idleness take less than 2 ms of work,
/// which leaves room for a clock that is looked at now and then.
fn idle() {
    let mount = Mount::new();
    for number in 0..10 {
        mount.attached_disk(&format!("d{number}"), "1M", &[]);
    }
    let pid = mount.pid();
    let before = time_on_processors(pid);
    std::thread::sleep(Duration::from_secs(2));
    let worked = time_on_processors(pid) - before;
    assert!(worked < Duration::from_millis(2), "{worked:?}");
}

/// What all threads of a process have run so far (proc_pid_schedstat(5), in nanoseconds).
fn time_on_processors(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let times = threads.map(|thread| -> u64 {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        stat.split(' ').next().unwrap().parse().unwrap()
    });
    Duration::from_nanos(times.sum())
}
