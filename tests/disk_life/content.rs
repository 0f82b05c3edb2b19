//! What a disk reads as, and what lies at rest: D10, D13 and S4.

use crate::rig::{
    Kind, attach, create, detach, numbered_block, open_rw, pattern, read_at, sha256, write_at,
};
use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use rustix::fs::FallocateFlags;
use std::os::unix::fs::MetadataExt;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "d10_never_written_and_discarded_ranges_read_as_zeros",
            Needs::Fuse,
            d10_never_written_and_discarded_ranges_read_as_zeros,
        ),
        trial(
            "d13_an_unencrypted_disk_lives_without_the_kms",
            Needs::Fuse,
            d13_an_unencrypted_disk_lives_without_the_kms,
        ),
        trial(
            "d13_its_payload_is_its_content_and_a_sealed_one_is_not",
            Needs::Fuse,
            d13_its_payload_is_its_content_and_a_sealed_one_is_not,
        ),
        trial(
            "s4_what_xts_does_not_notice_stays_where_it_was_done",
            Needs::Fuse,
            s4_what_xts_does_not_notice_stays_where_it_was_done,
        ),
    ]
}

/// D10: never-written and discarded ranges read as zeros, also after a new attach, and discarding
/// gives space back.
fn d10_never_written_and_discarded_ranges_read_as_zeros() {
    let mount = Mount::new();
    for (kind, name) in Kind::BOTH.into_iter().zip(["sealed", "plain"]) {
        let file = mount.attached_disk(name, "8M", kind.options());
        write_at(&file, 1 << 20, &pattern(2 << 20));
        let open = open_rw(&file);
        open.sync_all().unwrap();
        let before = std::fs::metadata(mount.payload(name)).unwrap().blocks();
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&open, punch, 1 << 20, 1 << 20).unwrap();
        rustix::fs::fallocate(&open, FallocateFlags::ZERO_RANGE, (2 << 20) + 100, 5000).unwrap();
        drop(open);
        let mut expected = vec![0; 8 << 20];
        expected[1 << 20..3 << 20].copy_from_slice(&pattern(2 << 20));
        expected[1 << 20..2 << 20].fill(0);
        expected[(2 << 20) + 100..(2 << 20) + 5100].fill(0);
        assert!(read_at(&file, 0, 8 << 20) == expected, "{kind:?}");
        detach(&mount, name);
        let after = std::fs::metadata(mount.payload(name)).unwrap().blocks();
        assert!(after + 1900 < before, "{kind:?} {before} {after}");
        mount.stop();
        mount.start();
        attach(&mount, name);
        assert!(read_at(&file, 0, 8 << 20) == expected, "{kind:?} after a new attach");
    }
}

/// D13: a disk that is not encrypted is attached and served in the same way, without the KMS: no
/// agency, no key.
fn d13_an_unencrypted_disk_lives_without_the_kms() {
    let mount = Setup::default().prepare();
    mount.start();
    let file = mount.attached_disk("plain", "8M", &["--unencrypted"]);
    write_at(&file, 4096, &numbered_block(1));
    mount.evsfs(&["disk", "extend", "plain", "--size", "16M"]).ok();
    mount.kill();
    mount.start();
    assert_eq!(read_at(&file, 4096, 4096), numbered_block(1));
    detach(&mount, "plain");
    attach(&mount, "plain");
    assert_eq!(mount.json(&["key", "list"]), serde_json::json!([]));
    let shown = mount.json(&["disk", "show", "plain"]);
    assert_eq!(shown["encrypted"], false);
    assert!(shown["key"].is_null() && shown["key_state"].is_null(), "{shown}");
    assert_eq!(mount.read_control("disks/plain/key"), "");
    detach(&mount, "plain");
    mount.evsfs(&["disk", "delete", "plain", "--yes"]).ok();
}

/// D13: its payload is its content; that of an encrypted disk is not, anywhere.
fn d13_its_payload_is_its_content_and_a_sealed_one_is_not() {
    let mount = Mount::new();
    let data = pattern(1 << 20);
    for (kind, name) in Kind::BOTH.into_iter().zip(["sealed", "plain"]) {
        let file = mount.attached_disk(name, "8M", kind.options());
        write_at(&file, 0, &data);
        write_at(&file, 7 << 20, &data);
        let content = sha256(&file);
        detach(&mount, name);
        let payload = mount.payload(name);
        assert_eq!(std::fs::metadata(&payload).unwrap().len(), 8 << 20);
        assert_eq!(sha256(&payload) == content, kind == Kind::Unencrypted);
        let stored = std::fs::read(&payload).unwrap();
        let shows = stored.windows(64).any(|window| window == &data[..64]);
        assert_eq!(shows, kind == Kind::Unencrypted);
        // The same content at two places is two ciphertexts.
        let is_same = stored[..1 << 20] == stored[7 << 20..];
        assert_eq!(is_same, kind == Kind::Unencrypted);
    }
}

/// S4, the documented limit: a changed 16-byte block garbles itself and nothing else, a zeroed
/// sector reads as zeros, an older sector reads as it was, and the disk goes on.
fn s4_what_xts_does_not_notice_stays_where_it_was_done() {
    let mount = Mount::new();
    create(&mount, "db", "8M", &["--encrypted"]);
    attach(&mount, "db");
    let file = mount.mountpoint().join("db");
    let payload = mount.payload("db");
    write_at(&file, 0, &numbered_block(1));
    detach(&mount, "db");
    let older = read_at(&payload, 0, 4096);
    attach(&mount, "db");
    for number in 0..3 {
        write_at(&file, number * 4096, &numbered_block(10 + number));
    }
    detach(&mount, "db");

    write_at(&payload, 0, &older);
    let mut block = read_at(&payload, 4096 + 160, 16);
    block[3] ^= 1;
    write_at(&payload, 4096 + 160, &block);
    write_at(&payload, 8192, &[0; 4096]);

    attach(&mount, "db");
    assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
    let (garbled, written) = (read_at(&file, 4096, 4096), numbered_block(11));
    assert_eq!(garbled[..160], written[..160]);
    assert_ne!(garbled[160..176], written[160..176]);
    assert_eq!(garbled[176..], written[176..]);
    assert_eq!(read_at(&file, 8192, 4096), [0; 4096]);
}
