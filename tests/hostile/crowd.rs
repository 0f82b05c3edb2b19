//! Many at a time: descriptors, and writers of control files.

use crate::amount::Amount;
use crate::report;
use crate::support::files::{AlignedBuffer, Numbers};
use crate::support::{Mount, Needs, trial};
use libtest_mimic::Trial;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const DESCRIPTORS: usize = 10_000;
const WRITERS: usize = 200;
/// Far above what is measured, far below what a user takes for a hang.
const LONGEST_READ: Duration = Duration::from_secs(20);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("ten_thousand_open_descriptors_are_served", Needs::Root, ten_thousand_descriptors),
        trial("a_reader_is_served_beside_200_writers_of_control_files", Needs::Root, a_flood),
    ]
}

/// Half on a disk, half on control files; each still works, and once all are closed nothing is held.
fn ten_thousand_descriptors() {
    let enough = Rlimit { current: Some(20_000), maximum: Some(20_000) };
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).max(20_000);
    setrlimit(Resource::Nofile, Rlimit { maximum: Some(limit), ..enough }).unwrap();
    let mount = Mount::new();
    let disk = mount.attached_disk("db", "1M", &[]);
    std::fs::write(&disk, [7; 4096]).unwrap();
    let size = mount.control("disks/db/size");
    let files: Vec<File> = (0..DESCRIPTORS)
        .map(|number| File::open(if number % 2 == 0 { &disk } else { &size }).unwrap())
        .collect();
    let mut bytes = [0; 4096];
    for (number, file) in files.iter().enumerate() {
        let read = file.read_at(&mut bytes, 0).unwrap();
        match number % 2 {
            0 => assert!(read == 4096 && bytes == [7; 4096], "descriptor {number}"),
            _ => assert_eq!(&bytes[..read], b"1048576\n", "descriptor {number}"),
        }
    }
    assert_eq!(mount.evsfs(&["disk", "detach", "db"]).code, 4, "it is open");
    drop(files);
    // The kernel tells of the last close in its own time.
    crate::eventually("the disk can be detached", || {
        mount.evsfs(&["disk", "detach", "db"]).code == 0
    });
    report(&format!("{DESCRIPTORS} open descriptors: each served, the disk detached after them"));
}

/// Half of the writers ask for lists on `control`, half write what is refused. A reader that takes
/// 50 random sectors a second past the page cache gets each of them.
fn a_flood() {
    let mount = Mount::new();
    let disk = mount.attached_disk("db", "8M", &[]);
    let lasts = Duration::from_secs(Amount::of(8, 60));
    let (is_over, requests) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut took = std::thread::scope(|scope| {
        for number in 0..WRITERS {
            let (mount, is_over, requests) = (&mount, &is_over, &requests);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    flood(mount, number);
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Ends the writers also when an assertion fails.
        let took = std::panic::catch_unwind(|| read_for(&disk, lasts));
        is_over.store(true, Ordering::Relaxed);
        took.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    took.sort();
    let longest = *took.last().unwrap();
    assert!(longest < LONGEST_READ, "a read took {longest:?}");
    report(&format!(
        "{WRITERS} writers, {} requests: {} reads, half within {:?}, 99 % within {:?}, all within {:?}",
        requests.load(Ordering::Relaxed),
        took.len(),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        longest
    ));
}

fn flood(mount: &Mount, number: usize) {
    match number % 2 {
        0 => {
            let mut control =
                File::options().read(true).write(true).open(mount.control("control")).unwrap();
            control.write_all(b"{\"op\":\"disk.list\"}\n").unwrap();
            let answer = std::io::read_to_string(control).unwrap();
            assert!(answer.starts_with("{\"ok\":["), "{answer}");
        }
        _ => assert!(mount.write_control("disks/create", "name=.. size=1M").is_err()),
    }
}

fn read_for(disk: &std::path::Path, lasts: Duration) -> Vec<Duration> {
    let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    let file = File::options().read(true).custom_flags(direct).open(disk).unwrap();
    let mut numbers = Numbers::new(1);
    let mut room = AlignedBuffer::new(4096);
    let start = Instant::now();
    let mut took = Vec::new();
    while start.elapsed() < lasts {
        let began = Instant::now();
        let sector = numbers.below(2048) as u64;
        file.read_exact_at(room.bytes(), sector * 4096).unwrap();
        took.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(20).saturating_sub(began.elapsed()));
    }
    took
}
