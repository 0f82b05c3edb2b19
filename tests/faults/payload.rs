//! Payloads that somebody cuts, lengthens, deletes or replaces while their disk is attached.

use crate::support::files::{errno, open_rw};
use crate::support::{Mount, Needs, trial};
use crate::trouble::{Ledger, SECTOR};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const DISK_BYTES: usize = 1 << 20;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_payload_that_is_cut_gives_eio_past_its_end_until_it_is_put_right",
            Needs::Fuse,
            a_payload_that_is_cut_gives_eio_past_its_end_until_it_is_put_right,
        ),
        trial(
            "a_payload_that_is_lengthened_changes_nothing",
            Needs::Fuse,
            a_payload_that_is_lengthened_changes_nothing,
        ),
        trial(
            "a_payload_that_is_deleted_is_served_until_its_disk_is_detached",
            Needs::Fuse,
            a_payload_that_is_deleted_is_served_until_its_disk_is_detached,
        ),
        trial(
            "a_payload_that_is_replaced_is_not_touched_before_the_next_attach",
            Needs::Fuse,
            a_payload_that_is_replaced_is_not_touched_before_the_next_attach,
        ),
    ]
}

struct Rig {
    mount: Mount,
    file: PathBuf,
    payload: PathBuf,
    bystander: PathBuf,
}

impl Rig {
    #[track_caller]
    fn new() -> Rig {
        let mount = Mount::new();
        let file = mount.attached_disk("db", "1M", &["--encrypted"]);
        let bystander = mount.attached_disk("bystander", "1M", &["--encrypted"]);
        for (file, number) in [(&file, 1), (&bystander, 2)] {
            let content = Ledger::content(number, 0, DISK_BYTES / SECTOR, 1);
            open_rw(file, OFlags::empty()).write_all_at(&content, 0).unwrap();
        }
        let payload = mount.payload("db");
        Rig { mount, file, payload, bystander }
    }

    fn open_payload(&self) -> File {
        File::options().read(true).write(true).open(&self.payload).unwrap()
    }

    #[track_caller]
    fn content(&self) -> Vec<u8> {
        let file = open_rw(&self.file, OFlags::DIRECT);
        let mut buffer = crate::support::files::AlignedBuffer::new(DISK_BYTES);
        file.read_exact_at(buffer.bytes(), 0).unwrap();
        buffer.bytes().to_vec()
    }

    #[track_caller]
    fn check_bystander(&self) {
        let content = std::fs::read(&self.bystander).unwrap();
        Ledger::filled(2, DISK_BYTES).must_hold("the other disk", &content);
    }
}

fn a_payload_that_is_cut_gives_eio_past_its_end_until_it_is_put_right() {
    let rig = Rig::new();
    let (payload, half) = (rig.open_payload(), DISK_BYTES as u64 / 2);
    let mut lost = vec![0; DISK_BYTES / 2];
    payload.read_exact_at(&mut lost, half).unwrap();
    payload.set_len(half).unwrap();
    let file = open_rw(&rig.file, OFlags::DIRECT);
    let mut page = crate::support::files::AlignedBuffer::new(4096);
    file.read_exact_at(page.bytes(), 0).unwrap();
    assert_eq!(errno(file.read_exact_at(page.bytes(), half)), Errno::IO);
    rig.check_bystander();
    payload.write_all_at(&lost, half).unwrap();
    Ledger::filled(1, DISK_BYTES).must_hold("put right", &rig.content());
}

fn a_payload_that_is_lengthened_changes_nothing() {
    let rig = Rig::new();
    rig.open_payload().set_len(2 * DISK_BYTES as u64).unwrap();
    rig.open_payload().write_all_at(&[0xEE; 4096], DISK_BYTES as u64).unwrap();
    assert_eq!(std::fs::metadata(&rig.file).unwrap().len(), DISK_BYTES as u64);
    Ledger::filled(1, DISK_BYTES).must_hold("lengthened", &rig.content());
    rig.mount.evsfs(&["disk", "detach", "db"]).ok();
    rig.mount.evsfs(&["disk", "attach", "db"]).ok();
    Ledger::filled(1, DISK_BYTES).must_hold("attached again", &rig.content());
    // What somebody else wrote there is no part of the disk when it grows.
    rig.mount.evsfs(&["disk", "extend", "db", "--size", "2M"]).ok();
    Ledger::filled(1, DISK_BYTES).must_hold("extended", &std::fs::read(&rig.file).unwrap());
    rig.check_bystander();
}

fn a_payload_that_is_deleted_is_served_until_its_disk_is_detached() {
    let rig = Rig::new();
    std::fs::remove_file(&rig.payload).unwrap();
    let file = open_rw(&rig.file, OFlags::DSYNC);
    file.write_all_at(&Ledger::content(1, 8, 8, 1), 8 * SECTOR as u64).unwrap();
    Ledger::filled(1, DISK_BYTES).must_hold("deleted", &rig.content());
    drop(file);
    rig.mount.evsfs(&["disk", "detach", "db"]).ok();
    let refusal = rig.mount.evsfs(&["disk", "attach", "db"]).refused(3);
    assert!(refusal.contains("payload"), "{refusal}");
    rig.check_bystander();
    rig.mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    rig.mount.stop();
    rig.mount.evsfs_plain(&["check", "-c", rig.mount.config_path().to_str().unwrap()]).ok();
}

fn a_payload_that_is_replaced_is_not_touched_before_the_next_attach() {
    let rig = Rig::new();
    let aside = rig.payload.with_extension("aside");
    std::fs::write(&aside, vec![0x55; DISK_BYTES]).unwrap();
    std::fs::rename(&aside, &rig.payload).unwrap();
    let file = open_rw(&rig.file, OFlags::DSYNC);
    file.write_all_at(&Ledger::content(1, 0, 64, 2), 0).unwrap();
    drop(file);
    let mut ledger = Ledger::filled(1, DISK_BYTES);
    ledger.begin(0, 64, 2);
    ledger.acknowledge(0, 64, 2);
    ledger.must_hold("replaced", &rig.content());
    assert_eq!(std::fs::read(&rig.payload).unwrap(), vec![0x55; DISK_BYTES]);
    rig.mount.evsfs(&["disk", "detach", "db"]).ok();
    assert_eq!(std::fs::read(&rig.payload).unwrap(), vec![0x55; DISK_BYTES]);
    rig.check_bystander();
}
