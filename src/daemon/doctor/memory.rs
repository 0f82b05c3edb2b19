//! Memory for keys.

use super::checkup::Area;
use crate::sys;
use rustix::process::{Resource, getrlimit};

/// Attached disks below whose number the limit is worth a word.
const MANY_DISKS: u64 = 256;
/// Pages of locked memory that an attached disk takes: its round keys.
const PAGES_A_DISK: u64 = 1;

pub(super) fn look(area: &mut Area<'_>) {
    let kind = match sys::secret_memory_kind() {
        Ok(sys::SecretMemory::Hidden) => "memfd_secret: not even the kernel maps it",
        Ok(sys::SecretMemory::Locked) => "locked and not dumped; this kernel has no memfd_secret",
        Err(error) => return area.refused("key-memory", &error),
    };
    area.ok("key-memory", kind);
    let limit = getrlimit(Resource::Memlock).current;
    let room = limit.map(|bytes| bytes / rustix::param::page_size() as u64 / PAGES_A_DISK);
    match room {
        _ if rustix::process::geteuid().is_root() => area.ok("memlock", "root has no limit"),
        Some(disks) if disks < MANY_DISKS => area.warn(
            "memlock",
            format!("about {disks} encrypted disks can be attached at a time"),
            "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit",
        ),
        Some(disks) => area.ok("memlock", format!("room for about {disks} encrypted disks")),
        None => area.ok("memlock", "unlimited"),
    }
}
