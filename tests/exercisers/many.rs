//! 64 disks at once.

use crate::amount::Amount;
use crate::report;
use crate::support::files::{assert_same, content, open_rw, write};
use crate::support::{Mount, Needs, trial};
use libtest_mimic::Trial;
use rustix::fs::OFlags;

const DISKS: u64 = 64;
const SIZE: usize = 1 << 20;

pub fn trials() -> Vec<Trial> {
    vec![trial("disks_64_at_once_keep_their_content_apart", Needs::Fuse, disks_64_at_once)]
}

/// All are written to at the same time, while every fourth one is detached and attached; each then
/// holds its own content, also after a restart of the daemon.
fn disks_64_at_once() {
    let mount = Mount::new();
    let name = |number: u64| format!("d{number}");
    for number in 0..DISKS {
        let kind = if number % 8 == 0 { "--unencrypted" } else { "--encrypted" };
        mount.attached_disk(&name(number), "1M", &[kind]);
    }
    let rounds = Amount::of(2, 50);
    std::thread::scope(|scope| {
        for number in 0..DISKS {
            let mount = &mount;
            scope.spawn(move || {
                for round in 0..rounds {
                    let file = open_rw(&mount.mountpoint().join(name(number)), OFlags::empty());
                    let bytes = content(number * 1000 + round, SIZE);
                    for (at, piece) in bytes.chunks(100_000).enumerate() {
                        write(&file, at as u64 * 100_000, piece);
                    }
                    file.sync_all().unwrap();
                    drop(file);
                    if number % 4 == 0 {
                        crate::detach::eventually_detached(mount, &name(number));
                        mount.evsfs(&["disk", "attach", &name(number)]).ok();
                    }
                }
            });
        }
    });
    mount.kill();
    mount.start();
    for number in 0..DISKS {
        let found = std::fs::read(mount.mountpoint().join(name(number))).unwrap();
        assert_same(&name(number), &found, &content(number * 1000 + rounds - 1, SIZE));
    }
    report(&format!("{DISKS} disks at once, {rounds} rounds: each has its own content"));
}
