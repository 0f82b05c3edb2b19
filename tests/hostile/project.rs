//! A mount with several users, their objects, and every path of its tree.

use crate::support::{ALICE, BOB, KEEPER, Mount, OPERATOR, STRANGER, Setup, USERS, as_user};
use std::path::{Path, PathBuf};

/// Every kind of caller there is.
pub const CALLERS: [u32; 6] = [0, ALICE, BOB, KEEPER, OPERATOR, STRANGER];

/// A mount where alice has a disk `alice`, attached, a detached one, a backup and an image, and root a
/// key.
pub fn project() -> Mount {
    let mount = Setup::with(USERS).mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let write =
        |path: &str, text: &str| as_user(ALICE, || mount.write_control(path, text).unwrap());
    write("disks/create", "name=alice size=1M encrypted=yes key=finance");
    write("disks/create", "name=alice-idle size=1M encrypted=no");
    write("disks/alice/attach", "rw");
    let mountpoint = mount.mountpoint();
    let mountpoint = mountpoint.to_str().unwrap();
    for words in [
        ["backup", "create", "alice", "alice-backup"].as_slice(),
        &["image", "create", "--disk", "alice", "alice-image"],
    ] {
        let all = [&["--mount", mountpoint], words].concat();
        mount.as_uid(ALICE, mount.program(), &all).ok();
    }
    mount
}

/// Every path of the tree as root finds it, the control directory's too, sorted.
pub fn tree(mount: &Mount) -> Vec<PathBuf> {
    let mut found = vec![mount.mountpoint(), mount.control("")];
    let mut at = 0;
    while at < found.len() {
        let path = found[at].clone();
        at += 1;
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Whether a path is alice's: below one of her objects, or her attached disk.
pub fn is_of_alice(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("alice"))
}
