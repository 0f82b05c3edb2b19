//! A backing that fails, is slow, or gives less than it was asked for: S2.

use crate::support::files::{AlignedBuffer, errno, open, open_rw};
use crate::support::{Mount, Needs, Setup, trial, trial_alone};
use crate::trouble::{Ledger, Manner, Medium, SECTOR};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const DISK_BYTES: usize = 1 << 20;

pub fn trials() -> Vec<Trial> {
    vec![
        trial_alone(
            "s2_any_access_that_fails_reaches_the_caller_and_harms_nothing_else",
            Needs::Root,
            s2_any_access_that_fails_reaches_the_caller_and_harms_nothing_else,
        ),
        trial_alone(
            "s2_a_backing_that_always_fails_is_served_again_when_it_is_well",
            Needs::Root,
            s2_a_backing_that_always_fails_is_served_again_when_it_is_well,
        ),
        trial_alone(
            "s2_a_failed_flush_is_told_once_to_every_file_that_was_open",
            Needs::Root,
            s2_a_failed_flush_is_told_once_to_every_file_that_was_open,
        ),
        trial(
            "short_reads_of_the_backing_are_continued",
            Needs::Root,
            short_reads_of_the_backing_are_continued,
        ),
        trial(
            "a_slow_backing_holds_up_neither_other_disks_nor_verbs",
            Needs::Root,
            a_slow_backing_holds_up_neither_other_disks_nor_verbs,
        ),
    ]
}

/// A mount with a disk on a medium that can be unwell, and one beside it.
struct Rig {
    mount: Mount,
    medium: Medium,
    file: PathBuf,
    bystander: PathBuf,
    ledger: Ledger,
    _directory: TempDir,
}

impl Rig {
    const DISK: u32 = 1;
    const BYSTANDER: u32 = 2;

    #[track_caller]
    fn new() -> Rig {
        Rig::with("")
    }

    /// With these lines of `mount.toml` after the others.
    #[track_caller]
    fn with(config: &str) -> Rig {
        let directory = tempfile::Builder::new().prefix("evsfs-test-").tempdir().unwrap();
        let place = directory.path().canonicalize().unwrap().join("medium");
        std::fs::create_dir(&place).unwrap();
        let medium = Medium::new(&place, DISK_BYTES);
        let mount = Setup::with(&format!("backing_dirs = [{place:?}]\n{config}")).mount();
        let backing = medium.file();
        let options = ["--encrypted", "--overwrite", "--backing", backing.to_str().unwrap()];
        let file = mount.attached_disk("db", "1M", &options);
        let bystander = mount.attached_disk("bystander", "1M", &["--encrypted"]);
        for (file, number) in [(&file, Rig::DISK), (&bystander, Rig::BYSTANDER)] {
            let content = Ledger::content(number, 0, DISK_BYTES / SECTOR, 1);
            open_rw(file, OFlags::empty()).write_all_at(&content, 0).unwrap();
        }
        let ledger = Ledger::filled(Rig::DISK, DISK_BYTES);
        Rig { mount, medium, file, bystander, ledger, _directory: directory }
    }

    /// Opens the disk so that every access reaches the daemon.
    fn open(&self) -> File {
        open_rw(&self.file, OFlags::DIRECT)
    }

    /// Writes sectors, and enters what came of it.
    fn write(
        &mut self,
        file: &File,
        first: u64,
        count: usize,
        version: u64,
    ) -> std::io::Result<()> {
        self.ledger.begin(first, count, version);
        let content = Ledger::content(Rig::DISK, first, count, version);
        let mut buffer = AlignedBuffer::new(content.len());
        buffer.bytes().copy_from_slice(&content);
        file.write_all_at(buffer.bytes(), first * SECTOR as u64)?;
        self.ledger.acknowledge(first, count, version);
        Ok(())
    }

    /// The daemon lives, the other disk is whole, and so is this one.
    #[track_caller]
    fn check(&self, when: &str) {
        let bystander = std::fs::read(&self.bystander).unwrap();
        Ledger::filled(Rig::BYSTANDER, DISK_BYTES).must_hold(when, &bystander);
        let content = std::fs::read(&self.file).unwrap();
        self.ledger.must_hold(when, &content);
    }
}

fn read(file: &File, first: u64, count: usize) -> std::io::Result<()> {
    let mut buffer = AlignedBuffer::new(count * SECTOR);
    file.read_exact_at(buffer.bytes(), first * SECTOR as u64)
}

/// S2: each access to the backing fails once, with EIO or with ENOSPC: some call of the caller
/// fails with that, and what was written before and after is there.
fn s2_any_access_that_fails_reaches_the_caller_and_harms_nothing_else() {
    let mut rig = Rig::new();
    let mut version = 1;
    let mut accesses = 0;
    for error in [Errno::IO, Errno::NOSPC] {
        for number in 1.. {
            let (direct, cached) = (rig.open(), open_rw(&rig.file, OFlags::empty()));
            rig.medium.behave(Manner::FailsOnce(number, error.raw_os_error()));
            version += 1;
            // Whole sectors of the disk, several of them, one at an odd place, one twice.
            let mut results = Vec::new();
            for (first, count) in [(0, 8), (64, 64), (1000, 16), (200, 8), (200, 8)] {
                results.push(rig.write(&direct, first, count, version));
            }
            results.push(direct.sync_all());
            // A part of a sector of the disk is read, changed and written.
            results.push(rig.write(&cached, 1203, 2, version));
            results.push(read(&direct, 64, 64));
            results.push(read(&direct, 1200, 8));
            let synchronised = [cached.sync_data(), direct.sync_all()];
            let was_reached = rig.medium.accesses() >= number;
            rig.medium.behave(Manner::Well);

            let when = format!("{error} of access {number}");
            results.extend(synchronised);
            let errors: Vec<Errno> = results
                .into_iter()
                .filter_map(|r| r.err())
                .map(|e| Errno::from_io_error(&e).unwrap())
                .collect();
            assert_eq!(!errors.is_empty(), was_reached, "{when}: {errors:?}");
            assert!(errors.iter().all(|found| *found == error), "{when}: {errors:?}");
            if !was_reached {
                break;
            }
            accesses += 1;
            drop((direct, cached));
            rig.check(&when);
        }
    }
    eprintln!("{accesses} accesses failed");
    assert!(accesses > 20, "too few to prove anything: {accesses}");
}

/// S2: the daemon goes on serving what can be served; nobody has to do anything when the medium is
/// well again.
fn s2_a_backing_that_always_fails_is_served_again_when_it_is_well() {
    let mut rig = Rig::new();
    let file = rig.open();
    let eio = Errno::IO.raw_os_error();
    for (at, manner) in [Manner::ReadsFail(eio), Manner::WritesFail(eio), Manner::FlushesFail(eio)]
        .into_iter()
        .enumerate()
    {
        rig.medium.behave(manner);
        for _ in 0..20 {
            let failed = match manner {
                Manner::ReadsFail(_) => read(&file, 0, 8),
                Manner::WritesFail(_) => rig.write(&file, 0, 8, 2),
                _ => file.sync_all(),
            };
            assert_eq!(errno(failed), Errno::IO, "{manner:?}");
        }
        // It is refused to let go of a disk that cannot be flushed, unless it is forced.
        if matches!(manner, Manner::FlushesFail(_)) {
            let held = rig.mount.evsfs(&["disk", "detach", "db"]);
            assert_ne!(held.code, 0, "{held:?}");
        }
        let bystander = std::fs::read(&rig.bystander).unwrap();
        Ledger::filled(Rig::BYSTANDER, DISK_BYTES).must_hold("meanwhile", &bystander);
        rig.medium.behave(Manner::Well);
        // Every file that was open is told of failed flushes once.
        let _ = file.sync_all();
        rig.write(&file, 8, 8, at as u64 + 2).unwrap();
        file.sync_all().unwrap();
        rig.check("afterwards");
    }
    drop(file);
    rig.mount.evsfs(&["disk", "detach", "db"]).ok();
    rig.mount.evsfs(&["disk", "attach", "db"]).ok();
    rig.check("after a detach");
}

/// S2: a failed fsync is reported at least once to every file that was open, whoever asked, and not
/// again; a file that is opened afterwards is not concerned.
fn s2_a_failed_flush_is_told_once_to_every_file_that_was_open() {
    let mut rig = Rig::new();
    let files: Vec<File> = (0..4).map(|_| open_rw(&rig.file, OFlags::empty())).collect();
    for error in [Errno::IO, Errno::NOSPC] {
        rig.write(&files[0], 16, 8, 2).unwrap();
        rig.medium.behave(Manner::FlushesFail(error.raw_os_error()));
        assert_eq!(errno(files[0].sync_all()), error);
        rig.medium.behave(Manner::Well);
        for file in &files[1..] {
            assert_eq!(errno(file.sync_data()), error);
        }
        for file in &files {
            file.sync_all().unwrap();
        }
        open_rw(&rig.file, OFlags::empty()).sync_all().unwrap();
    }
    drop(files);
    rig.check("afterwards");
}

fn short_reads_of_the_backing_are_continued() {
    let rig = Rig::new();
    rig.medium.behave(Manner::ReadsAreShort);
    let mut buffer = AlignedBuffer::new(DISK_BYTES);
    rig.open().read_exact_at(buffer.bytes(), 0).unwrap();
    rig.ledger.must_hold("short reads", buffer.bytes());
}

/// Each slow request holds one of the event loops, of which there are as many as `threads` says.
fn a_slow_backing_holds_up_neither_other_disks_nor_verbs() {
    for (threads, readers) in [(2, 1), (8, 6)] {
        holds_up_nothing(threads, readers);
    }
}

fn holds_up_nothing(threads: usize, readers: u64) {
    let mut rig = Rig::with(&format!("[mount]\nthreads = {threads}\n"));
    // Read-only: a program that is started closes its copy of a file, and close(2) flushes.
    let file = open(&rig.file, OFlags::RDONLY | OFlags::DIRECT).unwrap();
    let bystander = open_rw(&rig.bystander, OFlags::DIRECT);
    rig.medium.behave(Manner::Slow(Duration::from_secs(2)));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let file = &file;
        let slow: Vec<_> = (0..readers)
            .map(|reader| {
                scope.spawn(move || {
                    read(file, reader * 8, 8).unwrap();
                    began.elapsed()
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(100));
        let since = Instant::now();
        for _ in 0..20 {
            read(&bystander, 8, 8).unwrap();
            bystander.sync_all().unwrap();
        }
        rig.mount.json(&["status"]);
        rig.mount.evsfs(&["disk", "create", "other", "--size", "1M"]).ok();
        let took = since.elapsed();
        assert!(took < Duration::from_millis(1500), "{readers} readers: the others took {took:?}");
        for reader in slow {
            assert!(reader.join().unwrap() >= Duration::from_secs(2));
        }
    });
    let written = rig.open();
    rig.write(&written, 0, 8, 2).unwrap();
    rig.medium.behave(Manner::Well);
    drop((file, written));
    rig.check("afterwards");
}
