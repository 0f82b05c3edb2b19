//! Which mount a command means.

use crate::error::{Error, ErrorKind, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The type under which the kernel lists our mounts.
const FILESYSTEM: &[u8] = b"fuse.evsfs";

/// The mount that is meant: the one `named` on the command line, else `$EVSFS_MOUNT`, else the only
/// evsfs mount this process sees.
///
/// # Errors
/// `no-mount` when there is none, or several to choose from.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    if let Some(path) = std::env::var_os("EVSFS_MOUNT").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    only(&mounted()?)
}

/// The mountpoints of all evsfs mounts this process sees.
///
/// # Errors
/// `io` when the kernel does not tell.
pub(super) fn mounted() -> Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo")
        .map_err(|cause| Error::io("reading /proc/self/mountinfo", cause))?;
    Ok(evsfs_entries(&table))
}

fn only(mounts: &[PathBuf]) -> Result<PathBuf> {
    match mounts {
        [mount] => Ok(mount.clone()),
        [] => Err(Error::new(ErrorKind::NoMount, "no evsfs is mounted").remedy("evsfs mount")),
        several => {
            let names: Vec<String> =
                several.iter().map(|mount| mount.display().to_string()).collect();
            let message = format!("several evsfs are mounted: {}", names.join(", "));
            Err(Error::new(ErrorKind::NoMount, message)
                .remedy(format!("name one: --mount {} or EVSFS_MOUNT", names[0])))
        }
    }
}

/// The mountpoints of type `fuse.evsfs` in a table of the form proc_pid_mountinfo(5) describes.
fn evsfs_entries(table: &[u8]) -> Vec<PathBuf> {
    let mut mounts = Vec::new();
    for line in table.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let Some(mountpoint) = fields.nth(4) else { continue };
        // Any number of optional fields comes before the dash.
        let kind = fields.skip_while(|field| *field != b"-").nth(1);
        let mountpoint = PathBuf::from(unescaped(mountpoint));
        if kind == Some(FILESYSTEM) && !mounts.contains(&mountpoint) {
            mounts.push(mountpoint);
        }
    }
    mounts
}

/// Undoes `\040` and the like, by which the kernel keeps blanks out of a field.
fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = match (byte, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(byte));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes)
}

/// The path as the kernel's table has it. The last component is not looked at, since looking at a
/// mountpoint whose daemon has died fails.
pub(super) fn as_listed(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
            parent.join(OsStr::from_bytes(name.as_bytes()))
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::{evsfs_entries, only};
    use std::path::PathBuf;

    const TABLE: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        40 22 0:50 / /mnt/evs rw,nosuid - fuse.evsfs evsfs rw,user_id=0\n\
        41 22 0:51 / /mnt/a\\040b\\134c rw shared:9 master:2 - fuse.evsfs evsfs rw\n\
        42 22 0:52 / /mnt/ssh rw - fuse.sshfs h: rw\n\
        43 22 0:53 / /mnt/fuse.evsfs rw - tmpfs fuse.evsfs rw\n\
        short line\n";

    #[test]
    fn only_mounts_of_our_type_are_found_and_their_names_unescaped() {
        let expected = [PathBuf::from("/mnt/evs"), PathBuf::from("/mnt/a b\\c")];
        assert_eq!(evsfs_entries(TABLE), expected);
    }

    #[test]
    fn the_only_mount_is_used_and_none_or_several_are_refused_with_exit_11() {
        let (a, b) = (PathBuf::from("/a"), PathBuf::from("/b"));
        assert_eq!(only(std::slice::from_ref(&a)).unwrap(), a);
        for mounts in [vec![], vec![a, b]] {
            let error = only(&mounts).unwrap_err();
            assert_eq!(error.kind().exit_code(), 11);
            assert!(error.suggested_remedy().is_some());
        }
    }
}
