//! `.evs/events`: what happens, as it happens.

use crate::rig::{as_user, ask, errno, evsfs_as};
use crate::support::{Mount, Needs, Setup, USERS, run, trial, wait_until};
use libtest_mimic::Trial;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("events_tell_of_disks_keys_agency_and_jobs", Needs::Fuse, of_everything),
        trial("a_reader_that_waits_can_be_ended_by_a_signal", Needs::Fuse, ended_by_a_signal),
        trial(
            "two_hundred_waiting_readers_hold_nothing_up",
            Needs::Fuse,
            two_hundred_waiting_readers,
        ),
        trial("without_waiting_there_is_eagain_and_poll", Needs::Fuse, eagain_and_poll),
        trial("a_slow_reader_is_told_that_it_lost_some", Needs::Fuse, a_slow_reader),
        trial("umount_ends_the_file_for_who_waits", Needs::Fuse, umount_ends_the_file),
        trial("a_crash_ends_the_wait_too", Needs::Fuse, a_crash_ends_the_wait),
        trial("a7_events_of_foreign_objects_are_not_told", Needs::Root, a7_foreign_events),
    ]
}

/// The next event.
#[track_caller]
fn next(events: &mut BufReader<File>) -> Value {
    let mut line = String::new();
    events.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn open(mount: &Mount) -> BufReader<File> {
    BufReader::new(File::open(mount.control("events")).unwrap())
}

fn open_nonblocking(mount: &Mount) -> File {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    File::options().read(true).custom_flags(flags).open(mount.control("events")).unwrap()
}

fn of_everything() {
    let mount = Mount::new();
    let mut events = open(&mount);
    mount.attached_disk("db", "1M", &[]);
    mount.evsfs(&["disk", "extend", "db", "--size", "2M"]).ok();
    mount.evsfs(&["disk", "detach", "db"]).ok();
    mount.evsfs(&["disk", "rewrap", "--all"]).ok();
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.evsfs(&["key", "disable", "finance"]).ok();
    mount.evsfs(&["agency", "delete", "--yes"]).ok();
    for (event, member, value) in [
        ("disk.created", "status", json!("available")),
        ("disk.attached", "status", json!("in-use")),
        ("disk.extended", "size", json!(2 << 20)),
        ("disk.detached", "status", json!("available")),
        ("job.queued", "kind", json!("rewrap-all")),
        ("job.started", "state", json!("running")),
        ("disk.rewrapped", "name", json!("db")),
        ("job.done", "done", json!(1)),
        ("disk.deleted", "name", json!("db")),
        ("key.created", "state", json!("enabled")),
        ("key.disabled", "state", json!("disabled")),
        ("agency.deleted", "agency", json!(null)),
    ] {
        let told = next(&mut events);
        assert_eq!((&told["event"], &told[member]), (&json!(event), &value), "{told}");
        told["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    // A refused command is no event.
    mount.evsfs(&["disk", "attach", "db"]).refused(3);
    // The command line shows the same, for people and for programs.
    let watch = |arguments: &[&str]| {
        let mountpoint = mount.mountpoint();
        let child = Command::new(mount.program())
            .args(["--mount", mountpoint.to_str().unwrap(), "events", "-n", "1"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Some(child);
        let mut made = true;
        wait_until("an event is shown", || {
            let name = if made { "create" } else { "delete" };
            made = !made;
            mount.evsfs(&["agency", name, "--yes"]);
            child.as_mut().unwrap().try_wait().unwrap().is_some()
        });
        String::from_utf8(child.take().unwrap().wait_with_output().unwrap().stdout).unwrap()
    };
    assert!(watch(&[]).contains("  agency."));
    let line: Value = serde_json::from_str(&watch(&["--json"])).unwrap();
    assert!(line["event"].as_str().unwrap().starts_with("agency."), "{line}");
}

/// The kernel waits for the daemon, whatever the process is told: it must answer.
fn ended_by_a_signal() {
    let mount = Mount::new();
    let file = mount.control("events");
    let before = Instant::now();
    let ended = run("timeout", &["1", "cat", file.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (124, ""));
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    let mut reader = Command::new("cat").arg(&file).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    reader.kill().unwrap();
    let before = Instant::now();
    reader.wait().unwrap();
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

fn two_hundred_waiting_readers() {
    const READERS: usize = 200;
    let mount = Mount::new();
    let file = mount.attached_disk("db", "16M", &[]);
    let opened: Vec<_> = (0..READERS).map(|_| open(&mount)).collect();
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            opened.into_iter().map(|mut events| scope.spawn(move || next(&mut events))).collect();
        std::thread::sleep(Duration::from_millis(300));
        assert!(readers.iter().all(|reader| !reader.is_finished()));
        let before = Instant::now();
        for round in 0..8_u8 {
            std::fs::write(&file, vec![round; 16 << 20]).unwrap();
            File::open(&file).unwrap().sync_all().unwrap();
            assert_eq!(std::fs::read(&file).unwrap()[12345], round);
            assert_eq!(ask(&mount, &json!({"op": "disk.show", "name": "db"}))["ok"]["name"], "db");
        }
        let served = before.elapsed();
        assert!(served < Duration::from_secs(60), "{served:?}");
        assert!(readers.iter().all(|reader| !reader.is_finished()));
        mount.evsfs(&["key", "create", "finance"]).ok();
        for reader in readers {
            assert_eq!(reader.join().unwrap()["event"], "key.created");
        }
    });
}

fn eagain_and_poll() {
    let mount = Mount::new();
    let mut events = open_nonblocking(&mount);
    let mut buffer = [0; 4096];
    assert_eq!(errno(events.read(&mut buffer)), Errno::AGAIN);
    let ready = |events: &File, patience: i64| {
        let timeout = Timespec { tv_sec: patience, tv_nsec: 0 };
        poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&timeout)).unwrap()
    };
    assert_eq!(ready(&events, 0), 0);
    // Woken by an event while it sleeps.
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let before = Instant::now();
            (ready(&events, 20), before.elapsed())
        });
        std::thread::sleep(Duration::from_millis(200));
        mount.evsfs(&["key", "create", "finance"]).ok();
        let (ready, waited) = sleeper.join().unwrap();
        assert!(ready == 1 && waited < Duration::from_secs(10), "{waited:?}");
    });
    assert_eq!(ready(&events, 0), 1);
    let read = events.read(&mut buffer).unwrap();
    assert!(std::str::from_utf8(&buffer[..read]).unwrap().contains("key.created"));
    assert_eq!(errno(events.read(&mut buffer)), Errno::AGAIN);
    // Every other file is ready always, as regular files are.
    let file = mount.attached_disk("db", "1M", &[]);
    for path in [file, mount.control("help")] {
        assert_eq!(ready(&File::open(path).unwrap(), 0), 1);
    }
    // A buffer shorter than a line gets it in parts.
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let read = events.read(&mut buffer[..7]).unwrap();
        line.extend_from_slice(&buffer[..read]);
    }
    assert_eq!(serde_json::from_slice::<Value>(&line).unwrap()["event"], "disk.created");
}

fn a_slow_reader() {
    let mount = Mount::new();
    let mut slow = open(&mount);
    for _ in 0..600 {
        for text in ["delete\n", "create\n"] {
            mount.write_control("agency", text).unwrap();
        }
    }
    assert_eq!(next(&mut slow), json!({"event": "lost"}));
    for _ in 0..1024 {
        assert!(next(&mut slow)["event"].as_str().unwrap().starts_with("agency."));
    }
}

fn umount_ends_the_file() {
    let mount = Mount::new();
    let events = open(&mount);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let mut events = events;
        events.read_to_string(&mut text).map(|_| text)
    });
    std::thread::sleep(Duration::from_millis(100));
    let before = Instant::now();
    mount.stop();
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    assert_eq!(reader.join().unwrap().unwrap(), "");
}

fn a_crash_ends_the_wait() {
    let mount = Mount::new();
    let mut events = open(&mount);
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        events.read_to_string(&mut text).map_err(|error| error.raw_os_error())
    });
    std::thread::sleep(Duration::from_millis(100));
    mount.kill();
    let ended = reader.join().unwrap().unwrap_err().unwrap();
    assert!([Errno::CONNABORTED, Errno::NOTCONN].contains(&Errno::from_raw_os_error(ended)));
    run("umount", &["-l", mount.mountpoint().to_str().unwrap()]).ok();
    mount.start();
}

/// RULES A7.
fn a7_foreign_events() {
    let mount = Setup::with(USERS).mount();
    let mut alices = as_user(1000, || open_nonblocking(&mount));
    let mut bobs = as_user(1001, || open_nonblocking(&mount));
    let mut roots = open_nonblocking(&mount);
    let create = ["disk", "create", "alices", "--size", "1M", "--unencrypted"];
    evsfs_as(&mount, 1000, &create).ok();
    let mut buffer = [0; 4096];
    for events in [&mut alices, &mut roots] {
        let read = events.read(&mut buffer).unwrap();
        assert!(std::str::from_utf8(&buffer[..read]).unwrap().contains("\"alices\""));
    }
    assert_eq!(errno(bobs.read(&mut buffer)), Errno::AGAIN);
    mount.evsfs(&["key", "create", "finance"]).ok();
    let read = bobs.read(&mut buffer).unwrap();
    let told = std::str::from_utf8(&buffer[..read]).unwrap();
    assert!(told.lines().count() == 1 && told.contains("key.created"), "{told}");
}
