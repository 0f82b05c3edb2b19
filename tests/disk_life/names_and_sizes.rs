//! Names, sizes, growth and the end of a disk: D11 and D12.

use crate::rig::{
    Kind, attach, create, detach, errno, has_codes, numbered_block, open_rw, read_at, usual_disk,
    write_at,
};
use crate::support::{Mount, Needs, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use std::os::unix::fs::FileExt;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "d11_sizes_are_whole_sectors_from_1_mib_to_64_tib",
            Needs::Fuse,
            d11_sizes_are_whole_sectors_from_1_mib_to_64_tib,
        ),
        trial(
            "d11_a_disk_only_grows_also_while_attached",
            Needs::Fuse,
            d11_a_disk_only_grows_also_while_attached,
        ),
        trial("d12_names_are_checked_and_unique", Needs::Fuse, d12_names_are_checked_and_unique),
        trial(
            "d12_delete_takes_payload_and_record_at_once",
            Needs::Fuse,
            d12_delete_takes_payload_and_record_at_once,
        ),
    ]
}

/// D11: a disk is 1 MiB to 64 TiB, a multiple of its sector size.
fn d11_sizes_are_whole_sectors_from_1_mib_to_64_tib() {
    let mount = Mount::new();
    let create_sized = |size: &str, sector: &str| {
        let words = ["disk", "create", "db", "--size", size, "--sector-size", sector];
        mount.evsfs(&words)
    };
    for (size, sector) in [
        ("0", "4096"),
        ("1", "4096"),
        ("4095", "4096"),
        ("1048575", "512"),
        ("1044480", "4096"),
        ("1049088", "4096"),
        ("1048577", "512"),
        ("65T", "4096"),
        ("70368744181760", "4096"),
        ("9223372036854775808", "4096"),
    ] {
        has_codes(create_sized(size, sector), 2, "EVS.1010");
    }
    assert_eq!(mount.json(&["disk", "list"]), serde_json::json!([]));
    for (size, sector) in [("1M", "4096"), ("1MiB", "512"), ("1049088", "512"), ("1T", "4096")] {
        create_sized(size, sector).ok();
        attach(&mount, "db");
        let bytes = std::fs::metadata(mount.mountpoint().join("db")).unwrap().len();
        assert_eq!(mount.json(&["disk", "show", "db"])["size"], bytes);
        assert_eq!(mount.read_control("disks/db/sector-size"), sector);
        let file = mount.mountpoint().join("db");
        write_at(&file, bytes - 512, &[7; 512]);
        assert_eq!(read_at(&file, bytes - 512, 512), [7; 512]);
        detach(&mount, "db");
        mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    }
}

/// D11: a disk only grows, also while it is attached and open; what was there stays, what is new
/// reads as zeros, and a size that is not larger is refused with EVS.1015.
fn d11_a_disk_only_grows_also_while_attached() {
    let mount = Mount::new();
    for (kind, name) in Kind::BOTH.into_iter().zip(["sealed", "plain"]) {
        let file = mount.attached_disk(name, "8M", kind.options());
        let open = open_rw(&file);
        open.write_all_at(&numbered_block(1), (8 << 20) - 4096).unwrap();
        assert_eq!(errno(open.write_all_at(&[1; 4096], 8 << 20)), Errno::NOSPC);
        for size in ["8M", "4M"] {
            has_codes(mount.evsfs(&["disk", "extend", name, "--size", size]), 2, "EVS.1015");
        }
        let refused = mount.evsfs(&["disk", "extend", name, "--size", "8388609"]);
        has_codes(refused, 2, "EVS.1010");

        mount.evsfs(&["disk", "extend", name, "--size", "16M"]).ok();
        assert_eq!(open.metadata().unwrap().len(), 16 << 20);
        assert_eq!(mount.read_control(&format!("disks/{name}/size")), (16 << 20).to_string());
        let mut new = vec![9; 8 << 20];
        open.read_exact_at(&mut new, 8 << 20).unwrap();
        assert!(new.iter().all(|byte| *byte == 0));
        open.write_all_at(&numbered_block(2), 12 << 20).unwrap();
        drop(open);

        mount.write_control(&format!("disks/{name}/extend"), "24M\n").unwrap();
        detach(&mount, name);
        mount.evsfs(&["disk", "extend", name, "--size", "32M"]).ok();
        mount.kill();
        mount.start();
        attach(&mount, name);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 32 << 20);
        assert_eq!(read_at(&file, (8 << 20) - 4096, 4096), numbered_block(1));
        assert_eq!(read_at(&file, 12 << 20, 4096), numbered_block(2));
        write_at(&file, (32 << 20) - 4096, &numbered_block(3));
    }
}

/// D12: a name is `[A-Za-z0-9][A-Za-z0-9._-]{0,62}` and unique.
fn d12_names_are_checked_and_unique() {
    let mount = Mount::new();
    let longest = "n".repeat(63);
    let good = ["a", "7", "A.b_c-d", "con", longest.as_str()];
    for name in good {
        create(&mount, name, "1M", Kind::USUAL.options());
        let again = mount.evsfs(&["disk", "create", name, "--size", "2M"]);
        assert!(again.refused(10).contains(name));
        attach(&mount, name);
        assert!(mount.mountpoint().join(name).exists());
    }
    for name in ["", ".", "..", ".a", "-a", "_a", "a b", "a/b", "a\\b", "ä", &"n".repeat(64)] {
        let refused = mount.evsfs(&["disk", "create", "--size", "1M", "--", name]);
        has_codes(refused, 2, "EVS.1003");
    }
    assert_eq!(mount.json(&["disk", "list"]).as_array().unwrap().len(), good.len());
}

/// D12: deleting takes payload and record at once, is refused while the disk is attached, and sets
/// the name free.
fn d12_delete_takes_payload_and_record_at_once() {
    let mount = Mount::new();
    let file = usual_disk(&mount, "db");
    write_at(&file, 0, &numbered_block(1));
    let directory = mount.payload("db").parent().unwrap().to_owned();
    has_codes(mount.evsfs(&["disk", "delete", "db", "--yes"]), 4, "EVS.1046");
    assert_eq!(errno(std::fs::remove_file(&file)), Errno::PERM);
    assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
    detach(&mount, "db");
    mount.evsfs(&["disk", "delete", "db", "--yes"]).ok();
    assert!(!directory.exists());
    assert_eq!(errno(std::fs::metadata(mount.control("disks/db"))), Errno::NOENT);
    has_codes(mount.evsfs(&["disk", "show", "db"]), 3, "EVS.1002");
    create(&mount, "db", "1M", Kind::USUAL.options());
    mount.kill();
    mount.start();
    assert_eq!(mount.json(&["disk", "list"]).as_array().unwrap().len(), 1);
}
