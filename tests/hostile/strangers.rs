//! The whole tree as those who have no right to it see it.

use crate::project::{CALLERS, is_of_alice, project, tree};
use crate::report;
use crate::support::{ALICE, BOB, OPERATOR, STRANGER};
use crate::support::{Mount, Needs, as_user, trial};
use libtest_mimic::Trial;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a7_a_stranger_opens_nothing_of_the_tree", Needs::Root, a7_a_stranger_opens_nothing),
        trial("a7_another_user_finds_no_foreign_object", Needs::Root, a7_another_user_finds_none),
        trial("a5_a_file_opens_as_its_mode_says_for_everybody", Needs::Root, a5_as_its_mode_says),
        trial(
            "a6_the_state_directory_is_closed_to_everybody_else",
            Needs::Root,
            a6_state_directory,
        ),
    ]
}

fn opened(path: &Path, write: bool) -> Result<File, Errno> {
    // Without waiting: `events` would give nothing for ever.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    File::options()
        .read(!write)
        .write(write)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| Errno::from_io_error(&error).unwrap())
}

/// A1, A7: whoever has no role reads and writes nothing, and lists nothing.
fn a7_a_stranger_opens_nothing() {
    let mount = project();
    let paths = tree(&mount);
    as_user(STRANGER, || {
        for path in &paths {
            for write in [false, true] {
                match opened(path, write) {
                    Err(Errno::ACCESS | Errno::NOENT | Errno::PERM | Errno::ISDIR) => {}
                    Ok(_) if *path == mount.mountpoint() => {}
                    other => panic!("{path:?}, writing {write}: {other:?}"),
                }
            }
            let listed = std::fs::read_dir(path).map(Iterator::count);
            assert!(listed.unwrap_or(0) == 0 || *path == mount.mountpoint(), "{path:?} is listed");
        }
    });
    report(&format!("a stranger at {} paths: nothing opened", paths.len()));
}

/// A5, A7: another user with the same role. Attached disks are files of the mount's root, where every
/// user's disk has its name; what is in the control directory is absent.
fn a7_another_user_finds_none() {
    let mount = project();
    let foreign: Vec<_> = tree(&mount).into_iter().filter(|path| is_of_alice(path)).collect();
    assert!(foreign.len() > 40, "{foreign:?}");
    let attached = mount.mountpoint().join("alice");
    as_user(BOB, || {
        for path in &foreign {
            for write in [false, true] {
                let found = opened(path, write).expect_err("a foreign object is opened");
                let is_file = *path == attached && found == Errno::ACCESS;
                assert!(is_file || found == Errno::NOENT, "{path:?}, writing {write}: {found:?}");
            }
            let stat = rustix::fs::stat(path).map(|_| ());
            assert!(*path == attached || stat == Err(Errno::NOENT), "{path:?}: {stat:?}");
        }
        for path in tree_of(&mount.control("")) {
            assert!(!is_of_alice(&path), "{path:?} is listed");
        }
    });
    as_user(ALICE, || opened(&attached, true).unwrap());
    report(&format!("another user at {} paths of somebody's: none found", foreign.len()));
}

/// What the caller finds below a directory.
fn tree_of(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if let Ok(entries) = std::fs::read_dir(&found[at]) {
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found
}

/// A5: mode and owner that a caller sees are the truth: it can open what they allow and nothing else.
/// An administrator of disks may see into those of others, whose files say that they are theirs.
fn a5_as_its_mode_says() {
    let mount = project();
    for uid in CALLERS.into_iter().filter(|uid| *uid != 0) {
        as_user(uid, || {
            for path in tree_of(&mount.mountpoint()).into_iter().chain(tree_of(&mount.control("")))
            {
                let Ok(meta) = std::fs::metadata(&path) else { continue };
                let is_administered = uid == OPERATOR && meta.uid() != uid && is_of_alice(&path);
                if meta.is_dir() || is_administered {
                    continue;
                }
                let bits = match (meta.uid() == uid, meta.gid() == uid) {
                    (true, _) => meta.mode() >> 6,
                    (false, true) => meta.mode() >> 3,
                    (false, false) => meta.mode(),
                };
                for (write, bit, way) in [(false, 4, Access::READ_OK), (true, 2, Access::WRITE_OK)]
                {
                    let is_allowed = bits & bit != 0;
                    // `access` asks for the real uid, which is the same here.
                    assert_eq!(access(&path, way).is_ok(), is_allowed, "{uid} {path:?} {write}");
                    let opens = opened(&path, write);
                    assert!(is_allowed || opens.is_err(), "{uid} opens {path:?}, writing {write}");
                }
            }
        });
    }
}

/// No file of the state directory can be read, written or listed by another uid.
fn a6_state_directory() {
    let mount = project();
    let files = all_below(&mount);
    for uid in CALLERS.into_iter().filter(|uid| *uid != 0) {
        as_user(uid, || {
            for path in &files {
                for write in [false, true] {
                    let refusal = opened(path, write).unwrap_err();
                    // The kernel knows that a directory is not written before it looks at its mode.
                    let is_directory = refusal == Errno::ISDIR && write;
                    assert!(
                        refusal == Errno::ACCESS || is_directory,
                        "{uid} {path:?}: {refusal:?}"
                    );
                }
            }
        });
    }
    // Nor by one who gets past the directory's own mode.
    for path in &files {
        let mode = std::fs::symlink_metadata(path).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{path:?} has mode {mode:o}");
    }
}

fn all_below(mount: &Mount) -> Vec<std::path::PathBuf> {
    let found = tree_of(mount.state_dir());
    assert!(found.len() > 20, "{found:?}");
    found
}
