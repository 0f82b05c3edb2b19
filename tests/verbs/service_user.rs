//! A daemon that root starts and that is another user (`mount.user`, docs/SECURITY.md).

use crate::support::{Mount, Needs, Setup, files, is_running, run, trial, wait_until};
use libtest_mimic::Trial;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// A user that every system has, of another number than its group.
const NAME: &str = "games";
const UID: u32 = 5;
const GID: u32 = 60;
const ALICE: u32 = 1000;
const STRANGER: u32 = 65534;
const ONLY_ROOT_AND_THE_USER: &str = "[mount]\nuser = \"games\"\n";
const ALL: &str = r#"
[mount]
user = "games"
allow_other = true
passthrough = true
[[user]]
name = "alice"
uid = 1000
roles = ["evs-user"]
"#;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_daemon_that_root_starts_becomes_the_user_of_the_configuration_and_keeps_nothing_of_root",
            Needs::Root,
            a_daemon_that_root_starts_becomes_the_user_of_the_configuration_and_keeps_nothing_of_root,
        ),
        trial(
            "disks_of_a_daemon_that_is_another_user_live_through_stop_kill_and_signal",
            Needs::Root,
            disks_of_a_daemon_that_is_another_user_live_through_stop_kill_and_signal,
        ),
        trial(
            "root_and_its_user_enter_a_mount_that_is_not_for_others",
            Needs::Root,
            root_and_its_user_enter_a_mount_that_is_not_for_others,
        ),
        trial(
            "a_state_directory_of_root_is_refused_with_the_chown_that_helps",
            Needs::Root,
            a_state_directory_of_root_is_refused_with_the_chown_that_helps,
        ),
        trial(
            "a_payload_that_only_root_may_open_is_refused_and_the_daemon_goes_on",
            Needs::Root,
            a_payload_that_only_root_may_open_is_refused_and_the_daemon_goes_on,
        ),
        trial(
            "a_user_that_is_none_or_that_nobody_can_become_is_refused_before_anything_is_made",
            Needs::Root,
            a_user_that_is_none_or_that_nobody_can_become_is_refused_before_anything_is_made,
        ),
        trial(
            "root_works_offline_on_a_state_directory_of_the_user_and_leaves_nothing_of_its_own",
            Needs::Root,
            root_works_offline_on_a_state_directory_of_the_user_and_leaves_nothing_of_its_own,
        ),
        trial(
            "without_a_sandbox_the_daemon_is_the_user_too_and_can_be_stopped",
            Needs::Root,
            without_a_sandbox_the_daemon_is_the_user_too_and_can_be_stopped,
        ),
    ]
}

/// Lines of /proc/PID/status of all threads of a process.
fn of_every_thread(pid: u32, name: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let statuses = threads.map(|thread| {
        std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap_or_default()
    });
    let value = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().to_owned())
    };
    statuses.filter_map(value).collect()
}

#[track_caller]
fn assert_is_the_user_alone(pid: u32) {
    let nothing = "0000000000000000".to_owned();
    for (name, expected) in [
        ("Uid:", format!("{UID}\t{UID}\t{UID}\t{UID}")),
        ("Gid:", format!("{GID}\t{GID}\t{GID}\t{GID}")),
        ("Groups:", GID.to_string()),
        ("CapInh:", nothing.clone()),
        ("CapPrm:", nothing.clone()),
        ("CapEff:", nothing.clone()),
        ("CapAmb:", nothing),
        ("NoNewPrivs:", "1".to_owned()),
    ] {
        let found = of_every_thread(pid, name);
        assert!(found.len() > 3, "{name} of {} threads", found.len());
        assert!(found.iter().all(|value| *value == expected), "{name} {found:?}");
    }
}

/// Files and directories below `directory` that do not belong to the user.
fn foreign(directory: &Path) -> Vec<String> {
    let not = ["!", "-user", NAME, "-o", "!", "-group", "games"];
    let found = run("find", &[&[directory.to_str().unwrap()], &not[..]].concat()).ok();
    found.lines().map(str::to_owned).collect()
}

fn a_daemon_that_root_starts_becomes_the_user_of_the_configuration_and_keeps_nothing_of_root() {
    let mount = Setup::with(ALL).prepare();
    // What would be far too little. The hard limit takes a capability to raise, which root does not
    // have everywhere.
    let config = mount.config_path();
    let start = format!("ulimit -S -l 64; {} mount -c {}", mount.program(), config.display());
    run("sh", &["-c", &start]).ok();
    mount.evsfs(&["agency", "create"]).ok();
    for n in 0..40 {
        mount.attached_disk(&format!("d{n}"), "1M", &[]);
    }
    let pid = mount.pid();
    assert_is_the_user_alone(pid);
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let locked = limits.lines().find(|line| line.starts_with("Max locked memory")).unwrap();
    let limit: Vec<&str> = locked.split_whitespace().skip(3).take(2).collect();
    assert!(limit[0] == limit[1] && limit[0] != "65536", "{locked}");
    // Not dumpable: what only the user itself may look at is root's.
    let files = std::fs::metadata(format!("/proc/{pid}/environ")).unwrap();
    assert_eq!(files.uid(), 0);
    let look = mount.as_uid(UID, "cat", &[&format!("/proc/{pid}/maps")]);
    assert!(look.stderr.contains("Permission denied"), "{look:?}");

    // All that it has made is the user's.
    assert_eq!(foreign(mount.state_dir()), Vec::<String>::new());
    let log = std::fs::read_to_string(mount.state_dir().join("daemon.log")).unwrap();
    assert!(log.contains("event=root-given-up uid=5 gid=60"), "{log}");
    // The process that unmounts is the only one of root's, and has nothing but the daemon's pipes.
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(children).unwrap();
    let [child] = children.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{children}") };
    assert_eq!(of_every_thread(child.parse().unwrap(), "Uid:"), ["0\t0\t0\t0"]);
    // As far as the kernel reads ahead only root may say.
    let device = std::fs::metadata(mount.mountpoint()).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let ahead = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
    assert_eq!(std::fs::read_to_string(ahead).unwrap().trim(), "1024");
    mount.stop();
    assert!(!is_running(pid));
}

fn disks_of_a_daemon_that_is_another_user_live_through_stop_kill_and_signal() {
    let mount = Setup::with(ALL).mount();
    let of_root = mount.attached_disk("of-root", "4M", &[]);
    assert_eq!(std::fs::metadata(&of_root).unwrap().uid(), 0);
    let data = files::content(7, 1 << 20);
    std::fs::write(&of_root, &data).unwrap();
    let mountpoint = mount.mountpoint();
    let mountpoint = mountpoint.to_str().unwrap();
    let alice = |arguments: &[&str]| {
        let all = [&["--mount", mountpoint], arguments].concat();
        mount.as_uid(ALICE, mount.program(), &all)
    };
    alice(&["disk", "create", "of-alice", "--size", "4M"]).ok();
    alice(&["disk", "attach", "of-alice"]).ok();
    let of_alice = mount.mountpoint().join("of-alice");
    assert_eq!(std::fs::metadata(&of_alice).unwrap().uid(), ALICE);
    let write = "printf hers | dd conv=notrunc status=none of=\"$0\"; head -c 4 \"$0\"";
    let path = of_alice.to_str().unwrap();
    assert_eq!(mount.as_uid(ALICE, "sh", &["-c", write, path]).ok(), "hers");
    for uid in [ALICE, STRANGER] {
        let other = mount.as_uid(uid, "head", &["-c", "4", of_root.to_str().unwrap()]);
        assert_ne!(other.code, 0, "{uid} reads a disk of root's");
    }
    // The mount is the user's, who is its account administrator as root is.
    assert_eq!(std::fs::metadata(mountpoint).unwrap().uid(), UID);
    let status = ["--mount", mountpoint, "disk", "list"];
    assert!(mount.as_uid(UID, mount.program(), &status).ok().contains("of-alice"));
    // What takes root is done without.
    mount.evsfs(&["disk", "create", "plain", "--size", "4M", "--unencrypted"]).ok();
    mount.evsfs(&["disk", "attach", "plain", "--read-only"]).ok();
    assert_eq!(std::fs::read(mount.mountpoint().join("plain")).unwrap().len(), 4 << 20);
    let io = mount.read_control("disks/plain/io");
    assert!(io.contains("passthrough-opens: 0"), "{io}");

    let is_whole = || {
        assert_eq!(std::fs::read(&of_root).unwrap()[..data.len()], data);
        assert_eq!(mount.as_uid(ALICE, "head", &["-c", "4", path]).ok(), "hers");
        assert_is_the_user_alone(mount.pid());
    };
    mount.stop();
    mount.start();
    is_whole();
    // What a daemon leaves that was killed, root takes away.
    mount.kill();
    mount.start();
    is_whole();
    // A signal makes it unmount, for which it has not kept the right.
    let pid = mount.pid();
    run("kill", &[&pid.to_string()]).ok();
    wait_until("the daemon is gone", || !is_running(pid));
    assert_ne!(run("mountpoint", &["-q", mountpoint]).code, 0);
    mount.start();
    // And so does `--force` with an open file.
    let open = std::fs::File::open(&of_root).unwrap();
    let pid = mount.pid();
    mount.evsfs_plain(&["umount", mountpoint, "--force"]).ok();
    drop(open);
    wait_until("the daemon is gone", || !is_running(pid));
    assert_ne!(run("mountpoint", &["-q", mountpoint]).code, 0);
    mount.start();
    is_whole();
}

fn root_and_its_user_enter_a_mount_that_is_not_for_others() {
    let mount = Setup::with(ONLY_ROOT_AND_THE_USER).mount();
    let file = mount.attached_disk("db", "4M", &[]);
    std::fs::write(&file, b"data").unwrap();
    let mountpoint = mount.mountpoint();
    let mountpoint = mountpoint.to_str().unwrap();
    mount.as_uid(UID, "ls", &["-l", mountpoint]).ok();
    for place in [mountpoint.to_owned(), format!("{mountpoint}/.evs")] {
        let refused = mount.as_uid(ALICE, "ls", &[&place]);
        assert!(refused.stderr.contains("Permission denied"), "{refused:?}");
    }
    let refused = mount.as_uid(ALICE, "cat", &[file.to_str().unwrap()]);
    assert_ne!(refused.code, 0);
    mount.stop();
    mount.start();
    assert_eq!(std::fs::read(&file).unwrap()[..4], *b"data");
}

fn a_state_directory_of_root_is_refused_with_the_chown_that_helps() {
    let mount = Setup::with("[mount]\njobs = 3\n").mount();
    let file = mount.attached_disk("db", "4M", &[]);
    std::fs::write(&file, b"data").unwrap();
    mount.stop();
    let config = std::fs::read_to_string(mount.config_path()).unwrap();
    let config = config.replace("jobs = 3", "user = \"games\"");
    std::fs::write(mount.config_path(), config).unwrap();
    let state = mount.state_dir().to_str().unwrap();
    let fix = format!("fix: chown -R games {state}");
    let configuration = mount.config_path();
    let configuration = configuration.to_str().unwrap();
    let refusals = [
        mount.try_start().refused(6),
        mount.evsfs_plain(&["check", "-c", configuration]).refused(6),
        mount.evsfs_plain(&["init", "-c", configuration]).refused(6),
    ];
    for refusal in refusals {
        assert!(refusal.contains(&fix), "{refusal}");
        assert!(refusal.contains(&format!("state directory {state} belongs to uid 0, not")));
    }
    let doctor = mount.evsfs_plain(&["doctor", "-c", configuration]);
    assert!(doctor.stdout.contains(&fix), "{}", doctor.stdout);
    run("chown", &["-R", "games:", state]).ok();
    mount.start();
    assert_is_the_user_alone(mount.pid());
    assert_eq!(std::fs::read(&file).unwrap()[..4], *b"data");
    // One record that root has put back from a copy by itself is named.
    mount.stop();
    let record = mount.state_dir().join("project.toml");
    chown(&record, Some(0), Some(0)).unwrap();
    let refusal = mount.try_start();
    assert_ne!(refusal.code, 0);
    assert!(refusal.stderr.contains(&format!("fix: chown 5 {}", record.display())), "{refusal:?}");
    chown(&record, Some(UID), Some(GID)).unwrap();
}

fn a_payload_that_only_root_may_open_is_refused_and_the_daemon_goes_on() {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!("backing_dirs = [{:?}]\n{ALL}", place.path());
    let mount = Setup::with(&config).mount();
    let planted = place.path().join("planted");
    std::fs::write(&planted, vec![0; 4 << 20]).unwrap();
    std::fs::set_permissions(&planted, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = planted.to_str().unwrap();
    let create = ["disk", "create", "db", "--size", "4M", "--backing", path, "--overwrite"];
    let is_explained = |refusal: &str| {
        assert!(refusal.contains(&format!("payload {path} cannot be opened")), "{refusal}");
        assert!(refusal.contains(&format!("fix: chown 5 {path}")), "{refusal}");
    };
    is_explained(&mount.evsfs(&create).refused(6));
    chown(&planted, Some(UID), Some(GID)).unwrap();
    mount.evsfs(&create).ok();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    std::fs::write(mount.mountpoint().join("db"), b"data").unwrap();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    chown(&planted, Some(0), Some(0)).unwrap();
    is_explained(&mount.evsfs(&["disk", "attach", "db"]).refused(6));
    // What is missing at a start is one disk's affair.
    mount.stop();
    mount.start();
    chown(&planted, Some(UID), Some(GID)).unwrap();
    mount.evsfs(&["disk", "attach", "db"]).ok();
    assert_eq!(std::fs::read(mount.mountpoint().join("db")).unwrap()[..4], *b"data");
}

fn a_user_that_is_none_or_that_nobody_can_become_is_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().to_str().unwrap();
    let file = format!("{path}/mount.toml");
    let mount = Mount::new();
    let evsfs = |user: &str, verb: &str| {
        let text = format!(
            "mountpoint = \"{path}/mnt\"\nstate_dir = \"{path}/state\"\n[mount]\nuser = {user:?}\n"
        );
        std::fs::write(&file, text).unwrap();
        mount.evsfs_plain(&[verb, "-c", &file])
    };
    for verb in ["init", "mount", "check"] {
        let refusal = evsfs("nobody-of-that-name", verb).refused(2);
        assert!(refusal.contains("mount.user: there is no user"), "{refusal}");
        assert!(refusal.contains("fix: useradd --system"), "{refusal}");
        let refusal = evsfs("root", verb).refused(2);
        assert!(refusal.contains("mount.user: \"root\" is root"), "{refusal}");
        let refusal = evsfs("two words", verb).refused(2);
        assert!(refusal.contains("mount.user: \"two words\" is not the name of a user"));
    }
    assert!(!Path::new(&format!("{path}/state")).exists());
    evsfs("games", "init").ok();
    let refusal = mount.as_uid(ALICE, mount.program(), &["mount", "-c", &file]).refused(6);
    assert!(refusal.contains("uid 1000 cannot become it"), "{refusal}");
    assert!(refusal.contains("fix: run evsfs as root or as games"), "{refusal}");
}

fn root_works_offline_on_a_state_directory_of_the_user_and_leaves_nothing_of_its_own() {
    let config = format!("{ONLY_ROOT_AND_THE_USER}[kms]\npassphrase = false\n");
    let mount = Setup::with(&config).mount();
    mount.attached_disk("db", "4M", &[]);
    mount.stop();
    let file = mount.config_path();
    let file = file.to_str().unwrap();
    mount.evsfs_plain(&["check", "-c", file]).ok();
    mount.evsfs_plain(&["check", "--repair", "-c", file]).ok();
    mount.evsfs_plain(&["audit", "verify", "-c", file]).ok();
    let doctor = mount.evsfs_plain(&["doctor", "-c", file]);
    assert!(doctor.stdout.contains("the daemon will be games (uid 5, gid 60)"), "{doctor:?}");
    assert!(doctor.stdout.contains("the root key opens the records"), "{doctor:?}");
    // A passphrase lies where only root reads it.
    let secret = mount.scratch().join("passphrase");
    std::fs::write(&secret, "correct horse battery staple\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let secret = secret.to_str().unwrap();
    let change = ["hsm", "change-passphrase", "-c", file, "--new-passphrase-file", secret];
    mount.evsfs_plain(&change).ok();
    assert_eq!(foreign(mount.state_dir()), Vec::<String>::new());
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, text.replace("passphrase = false", "passphrase = true")).unwrap();
    mount.evsfs_plain(&["mount", "-c", file, "--passphrase-file", secret]).ok();
    assert_is_the_user_alone(mount.pid());
    assert!(mount.mountpoint().join("db").exists());
    assert_eq!(foreign(mount.state_dir()), Vec::<String>::new());
}

fn without_a_sandbox_the_daemon_is_the_user_too_and_can_be_stopped() {
    let mount = Setup::with("[mount]\nuser = \"games\"\nsandbox = false\n").mount();
    let pid = mount.pid();
    assert_is_the_user_alone(pid);
    mount.attached_disk("db", "4M", &[]);
    run("kill", &[&pid.to_string()]).ok();
    wait_until("the daemon is gone", || !is_running(pid));
    assert_ne!(run("mountpoint", &["-q", mount.mountpoint().to_str().unwrap()]).code, 0);
    mount.start();
    mount.stop();
}
