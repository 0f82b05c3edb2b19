//! What the daemon can still do once it is mounted, asked of it by a debugger; and how the program
//! is built.

use crate::calls::{Call, Calls};
use crate::support::{Mount, Needs, Setup, is_running, run, trial, wait_until};
use libtest_mimic::Trial;
use std::path::Path;

/// What Landlock and seccomp say.
const REFUSALS: [i64; 2] = [-libc::EACCES as i64, -libc::EPERM as i64];

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "the_daemon_opens_no_file_it_has_no_need_of",
            Calls::NEEDS,
            the_daemon_opens_no_file_it_has_no_need_of,
        ),
        trial("the_daemon_starts_no_program", Calls::NEEDS, the_daemon_starts_no_program),
        trial("control_without_a_sandbox_the_daemon_can", Calls::NEEDS, control),
        trial("every_thread_is_in_the_sandbox", Needs::Root, every_thread_is_in_the_sandbox),
        trial(
            "a_signal_ends_the_mount_and_what_unmounts_it",
            Needs::Fuse,
            a_signal_ends_the_mount_and_what_unmounts_it,
        ),
        trial(
            "a_killed_daemon_leaves_no_process_behind",
            Needs::Fuse,
            a_killed_daemon_leaves_no_process_behind,
        ),
        trial(
            "what_is_named_besides_can_be_opened",
            Calls::NEEDS,
            what_is_named_besides_can_be_opened,
        ),
        trial(
            "the_program_is_position_independent_and_its_tables_are_read_only",
            Needs::RootAnd(&["readelf"]),
            the_program_is_position_independent_and_its_tables_are_read_only,
        ),
    ]
}

/// What a call gives in each thread of a process.
#[track_caller]
fn expect_refused(mount: &Mount, calls: &Calls, call: &Call) {
    let results = calls.in_every_thread(mount.pid(), call);
    assert!(results.iter().all(|result| REFUSALS.contains(result)), "{results:?}");
}

#[track_caller]
fn expect_opened(mount: &Mount, calls: &Calls, path: &str) {
    let results = calls.in_every_thread(mount.pid(), &Call::open(path));
    assert!(results.iter().all(|result| *result >= 0), "{path}: {results:?}");
}

/// Neither secrets of the system, nor programs, nor memory of others, nor disks.
fn the_daemon_opens_no_file_it_has_no_need_of() {
    let (mount, calls) = (Mount::new(), Calls::new());
    let there = |path: &&str| Path::new(path).exists();
    let paths = ["/etc/passwd", "/root", "/bin/sh", "/dev/mem", "/dev/loop-control"];
    for path in paths.into_iter().filter(there) {
        expect_refused(&mount, &calls, &Call::open(path));
    }
    expect_refused(&mount, &calls, &Call::open(mount.config_path().to_str().unwrap()));
    let own = mount.state_dir().join("ledger");
    expect_opened(&mount, &calls, own.to_str().unwrap());
}

fn the_daemon_starts_no_program() {
    let (mount, calls) = (Mount::new(), Calls::new());
    for call in [
        Call::of(libc::SYS_execve, &["=/bin/true", "0", "0"]),
        Call::of(libc::SYS_socket, &["2", "1", "0"]),
        Call::of(libc::SYS_ptrace, &["16", "1", "0", "0"]),
        Call::of(libc::SYS_umount2, &["=/proc", "2"]),
    ] {
        expect_refused(&mount, &calls, &call);
    }
    assert_eq!(mount.json(&["status"])["sandbox"], "files and system calls");
}

/// Else the trials above would prove that such a call can do nothing.
fn control() {
    let mount = Setup::with("[mount]\nsandbox = false\n").mount();
    expect_opened(&mount, &Calls::new(), "/etc/passwd");
    assert!(mount.json(&["status"])["sandbox"].is_null());
    assert!(mount.evsfs(&["status"]).ok().contains("sandbox: off"));
}

fn every_thread_is_in_the_sandbox() {
    let mount = Mount::new();
    mount.attached_disk("db", "1M", &[]);
    let mut threads = 0;
    for task in std::fs::read_dir(format!("/proc/{}/task", mount.pid())).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(status.contains(line), "{line} is missing:\n{status}");
        }
        threads += 1;
    }
    assert!(threads >= 6, "{threads}");
}

#[track_caller]
fn unmounter_of(mount: &Mount) -> (u32, u32) {
    let pid = mount.pid();
    let children = run("pgrep", &["-P", &pid.to_string()]).ok();
    (pid, children.trim().parse().unwrap())
}

fn a_signal_ends_the_mount_and_what_unmounts_it() {
    let mount = Mount::new();
    let (daemon, unmounter) = unmounter_of(&mount);
    // As a service manager does, to both of them.
    run("kill", &["-TERM", &unmounter.to_string(), &daemon.to_string()]).ok();
    wait_until("both have ended", || !is_running(daemon) && !is_running(unmounter));
    assert_ne!(run("mountpoint", &["-q", mount.mountpoint().to_str().unwrap()]).code, 0);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(mount.mountpoint().to_str().unwrap()));
    mount.start();
}

fn a_killed_daemon_leaves_no_process_behind() {
    let mount = Mount::new();
    let (_, unmounter) = unmounter_of(&mount);
    mount.kill();
    wait_until("the unmounter has ended", || !is_running(unmounter));
    mount.start();
}

fn what_is_named_besides_can_be_opened() {
    let mount = Setup::with("[mount]\nsandbox_also = [\"/etc/ssl\", \"/nowhere\"]\n").mount();
    let calls = Calls::new();
    expect_opened(&mount, &calls, "/etc/ssl");
    expect_refused(&mount, &calls, &Call::open("/etc/passwd"));
}

/// Full RELRO, and a stack that is not executable.
fn the_program_is_position_independent_and_its_tables_are_read_only() {
    let program = Mount::new().program();
    let header = run("readelf", &["-hlW", program]).ok();
    assert!(header.contains("DYN (Position-Independent Executable file)"), "{header}");
    assert!(header.contains("GNU_RELRO"), "{header}");
    let stack = header.lines().find(|line| line.contains("GNU_STACK")).unwrap();
    assert!(stack.contains(" RW ") && !stack.contains("RWE"), "{stack}");
    let flags = run("readelf", &["-dW", program]).ok();
    assert!(flags.contains("BIND_NOW") && flags.contains("Flags: NOW PIE"), "{flags}");
}
