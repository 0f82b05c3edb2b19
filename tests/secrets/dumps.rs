//! What others get to see of the daemon's memory: core dumps, and other users.

use super::keys::Keys;
use super::needles::Needles;
use super::rig::{Keeping, work_on};
use crate::support::{Mount, Needs, Setup, as_user, kernel_under_test, run, trial, wait_until};
use libtest_mimic::Trial;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a_core_dump_holds_no_key", Needs::RootAnd(&["gcore"]), a_core_dump_holds_no_key),
        trial("a_fatal_signal_dumps_no_core", Needs::Root, a_fatal_signal_dumps_no_core),
        trial(
            "another_user_reads_neither_memory_nor_environment",
            Needs::Root,
            another_user_reads_neither_memory_nor_environment,
        ),
        trial(
            "no_key_is_in_files_logs_arguments_or_other_processes",
            Needs::Root,
            no_key_is_in_files_logs_arguments_or_other_processes,
        ),
    ]
}

#[track_caller]
fn attached(keeping: Keeping) -> (Mount, Keys) {
    let mount = keeping.mount(kernel_under_test());
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.attached_disk("db", "1M", &["--key", "finance"]);
    work_on(&mount, "db");
    let keys = Keys::of(&mount);
    (mount, keys)
}

#[track_caller]
fn expect_none(needles: &Needles, bytes: &[u8], place: &str) {
    let found = needles.find_in(bytes);
    assert!(found.is_empty(), "{place}: {:?}", &found[..found.len().min(10)]);
}

/// A dump that root makes on purpose, of a process that is not dumpable: what is marked as not to
/// be dumped is left out, with memfd_secret(2) or without.
fn a_core_dump_holds_no_key() {
    const KNOWN: &str = "a description that is in ordinary memory";
    for keeping in Keeping::BOTH {
        let (mount, keys) = attached(keeping);
        mount.evsfs(&["key", "describe", "finance", KNOWN]).ok();
        let (pid, core) = (mount.pid().to_string(), mount.scratch().join("core"));
        run("gcore", &["-o", core.to_str().unwrap(), &pid]).ok();
        let core = std::fs::read(format!("{}.{pid}", core.display())).unwrap();
        let needles = keys.needles();
        // Most of it is zeros, of mappings that were hardly used.
        let used: Vec<&[u8]> = core.chunks(4096).filter(|page| **page != [0; 4096]).collect();
        for page in &used {
            expect_none(&needles, page, &format!("the core, {keeping:?}"));
        }
        let mut known = Needles::default();
        known.add_text("what is dumped", KNOWN);
        let is_known = |page: &&[u8]| !known.find_in(page).is_empty();
        assert!(used.iter().any(is_known), "the core holds nothing");
    }
}

/// Also where the administrator allows dumps of any size.
fn a_fatal_signal_dumps_no_core() {
    let mount = Setup::default().prepare();
    let directory = mount.scratch().join("cores");
    std::fs::create_dir(&directory).unwrap();
    let config = mount.config_path();
    let script = "ulimit -c unlimited && exec \"$0\" mount --foreground -c \"$1\"";
    let arguments = [script, mount.program(), config.to_str().unwrap()];
    let mut daemon = Command::new("sh")
        .arg("-c")
        .args(arguments)
        .current_dir(&directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the mount answers", || mount.evsfs(&["status"]).code == 0);
    run("kill", &["-ABRT", &daemon.id().to_string()]).ok();
    let ended = daemon.wait().unwrap();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
}

fn another_user_reads_neither_memory_nor_environment() {
    let (mount, _) = attached(Keeping::Locked);
    let pid = mount.pid();
    for name in ["mem", "maps", "environ", "auxv", "pagemap", "fd"] {
        let path = format!("/proc/{pid}/{name}");
        let refused = as_user(1000, || match name {
            "fd" => std::fs::read_dir(&path).is_err(),
            _ => std::fs::File::open(&path)
                .and_then(|mut file| std::io::Read::read(&mut file, &mut [0]).map(drop))
                .is_err(),
        });
        assert!(refused, "{path}");
    }
}

/// RULES K7. Searched as bytes and as text: the state directory, the control directory, arguments
/// and environments, and all that the daemon has started.
fn no_key_is_in_files_logs_arguments_or_other_processes() {
    let (mount, keys) = attached(Keeping::Locked);
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    mount.evsfs(&["disk", "rewrap", "db"]).ok();
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    mount.evsfs(&["disk", "attach", "nothing"]).refused(3);
    let needles = keys.needles();
    let mut files = Vec::new();
    files_below(mount.state_dir(), &mut files);
    files_below(&mount.control(""), &mut files);
    files.retain(|file| !file.ends_with("hsm/root.key") && !file.ends_with(".evs/events"));
    let mut read = 0;
    for file in &files {
        // What can only be written to holds nothing.
        if let Ok(bytes) = std::fs::read(file) {
            expect_none(&needles, &bytes, &file.display().to_string());
            read += 1;
        }
    }
    assert!(read > 60, "only {read} files were read");
    for output in [&["status", "--json"][..], &["audit", "show"], &["key", "show", "finance"]] {
        expect_none(&needles, mount.evsfs(output).ok().as_bytes(), &format!("{output:?}"));
    }
    let pid = mount.pid();
    let children = run("pgrep", &["-P", &pid.to_string()]).ok();
    let children: Vec<u32> = children.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(children.len(), 1, "the one that unmounts: {children:?}");
    for process in children.iter().chain([&pid]) {
        for name in ["cmdline", "environ"] {
            let path = format!("/proc/{process}/{name}");
            expect_none(&needles, &std::fs::read(&path).unwrap(), &path);
        }
    }
    let hunt = super::memory::hunt(children[0], &needles);
    assert!(hunt.finds.is_empty() && hunt.looked_at > 0, "{:?}", hunt.finds);
}

fn files_below(directory: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, files),
            false => files.push(path),
        }
    }
}
