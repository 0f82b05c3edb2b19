//! inotify.

use crate::support::{Mount, Needs, trial, wait_until};
use libtest_mimic::Trial;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("inotify_tells_a_watcher_of_a_file_of_its_detach", Needs::Fuse, detach),
        trial("inotify_tells_of_writes_to_a_disk", Needs::Fuse, writes),
    ]
}

fn watcher(path: &std::path::Path) -> OwnedFd {
    let watcher = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watcher, path, WatchFlags::ALL_EVENTS).unwrap();
    watcher
}

/// Adds what the watcher has been told.
fn take(watcher: &OwnedFd, seen: &mut BTreeSet<u32>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watcher, &mut buffer);
    while let Ok(event) = events.next() {
        let bits = event.events().bits();
        seen.extend((0..32).map(|bit| 1 << bit).filter(|bit| bits & bit != 0));
    }
}

/// Whoever watches the file of a disk is told that it is gone, and that the watch has ended.
fn detach() {
    let mount = Mount::new();
    let disk = mount.attached_disk("db", "1M", &["--encrypted"]);
    let watcher = watcher(&disk);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let mut seen = BTreeSet::new();
    wait_until("the watcher of the file was told", || {
        take(&watcher, &mut seen);
        seen.contains(&ReadFlags::IGNORED.bits())
    });
    assert!(seen.contains(&ReadFlags::DELETE_SELF.bits()), "{seen:x?}");
    assert!(!disk.exists());
}

fn writes() {
    let mount = Mount::new();
    let disk = mount.attached_disk("db", "1M", &["--encrypted"]);
    let watcher = watcher(&disk);
    std::fs::write(&disk, "hello").unwrap();
    let mut seen = BTreeSet::new();
    take(&watcher, &mut seen);
    for flag in [ReadFlags::OPEN, ReadFlags::MODIFY, ReadFlags::CLOSE_WRITE] {
        assert!(seen.contains(&flag.bits()), "{flag:?} of {seen:x?}");
    }
}
