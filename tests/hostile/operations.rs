//! Every operation on every path of the tree: its documented errno, and nothing has changed.

use crate::project::{project, tree};
use crate::report;
use crate::support::{ALICE, OPERATOR};
use crate::support::{Mount, Needs, as_user, trial};
use libtest_mimic::Trial;
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, XattrFlags,
};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("f10_nothing_of_the_tree_is_changed_by_names", Needs::Root, f10_by_names),
        trial("f13_nothing_of_the_tree_has_extended_attributes", Needs::Root, f13_attributes),
        trial("f4_f8_every_file_takes_descriptors_operations", Needs::Root, f4_f8_descriptors),
    ]
}

/// The mount, its tree and its daemon, which must stay as they are.
struct Witness {
    mount: Mount,
    paths: Vec<std::path::PathBuf>,
    pid: u32,
    content: Vec<u8>,
}

impl Witness {
    fn new() -> Witness {
        let mount = project();
        let file = mount.mountpoint().join("alice");
        std::fs::write(&file, vec![7; 65536]).unwrap();
        let (paths, pid) = (tree(&mount), mount.pid());
        let content = std::fs::read(&file).unwrap();
        assert!(paths.len() > 150, "{paths:?}");
        Witness { mount, paths, pid, content }
    }

    fn nothing_changed(&self, calls: usize) {
        assert_eq!(self.mount.pid(), self.pid);
        assert_eq!(tree(&self.mount), self.paths);
        let content = std::fs::read(self.mount.mountpoint().join("alice")).unwrap();
        assert!(content == self.content, "the disk's content has changed");
        report(&format!("{calls} calls on {} paths: nothing changed", self.paths.len()));
    }
}

#[track_caller]
fn fails_with<T: std::fmt::Debug>(
    result: Result<T, Errno>,
    allowed: &[Errno],
    what: &str,
    path: &Path,
    calls: &mut usize,
) {
    *calls += 1;
    match result {
        Err(errno) if allowed.contains(&errno) => {}
        other => panic!("{what} {path:?}: {other:?}"),
    }
}

/// F10: for root, the owner and an administrator. The kernel itself refuses some before it asks:
/// a directory is not unlinked (EISDIR), a file is not a directory (ENOTDIR), a name is taken (EEXIST),
/// a mountpoint is busy (EBUSY) and crossed (EXDEV).
fn f10_by_names() {
    let witness = Witness::new();
    let outside = witness.mount.scratch().join("outside");
    std::fs::write(&outside, "outside").unwrap();
    let mut calls = 0;
    for uid in [0, ALICE, OPERATOR] {
        as_user(uid, || witness.paths.iter().for_each(|path| by_name(path, &outside, &mut calls)));
    }
    assert_eq!(std::fs::read(&outside).unwrap(), b"outside");
    witness.nothing_changed(calls);
}

fn by_name(path: &Path, outside: &Path, calls: &mut usize) {
    const REFUSED: [Errno; 9] = [
        Errno::PERM,
        Errno::ACCESS,
        Errno::NOENT,
        Errno::ISDIR,
        Errno::NOTDIR,
        Errno::EXIST,
        Errno::BUSY,
        Errno::XDEV,
        Errno::INVAL,
    ];
    let mode = Mode::RUSR | Mode::WUSR;
    let new = path.join("new");
    let beside = path.with_file_name("new");
    let mut refused = |what: &str, result: rustix::io::Result<()>| {
        fails_with(result, &REFUSED, what, path, calls)
    };
    refused("unlink", rustix::fs::unlink(path));
    refused("rmdir", rustix::fs::rmdir(path));
    refused("rename", rustix::fs::rename(path, &beside));
    refused("rename out", rustix::fs::rename(path, outside));
    refused("rename in", rustix::fs::rename(outside, path));
    let exchange = RenameFlags::EXCHANGE;
    refused("exchange", rustix::fs::renameat_with(CWD, path, CWD, outside, exchange));
    refused("link", rustix::fs::link(path, &beside));
    refused("link in", rustix::fs::link(outside, &new));
    refused("symlink", rustix::fs::symlink("/etc/passwd", &new));
    refused("mkdir", rustix::fs::mkdir(&new, mode));
    for kind in [FileType::RegularFile, FileType::Fifo, FileType::Socket, FileType::CharacterDevice]
    {
        refused("mknod", rustix::fs::mknodat(CWD, &new, kind, mode, 0x103));
    }
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
    refused("create", rustix::fs::open(&new, create, mode).map(drop));
    refused("chmod", rustix::fs::chmod(path, Mode::from_raw_mode(0o6777)));
    let uid = Some(rustix::process::Uid::from_raw(1));
    refused("chown", rustix::fs::chownat(CWD, path, uid, None, AtFlags::empty()));
    let temporary = OFlags::TMPFILE | OFlags::RDWR;
    *calls += 1;
    assert!(rustix::fs::open(path, temporary, mode).is_err(), "O_TMPFILE in {path:?}");
}

/// F13: listing gives none, reading gives none, setting and removing fails.
fn f13_attributes() {
    let witness = Witness::new();
    let mut calls = 0;
    for path in &witness.paths {
        let mut room = [0; 256];
        for name in ["user.x", "trusted.x", "security.selinux", "security.capability"] {
            let none = [Errno::NODATA, Errno::NOTSUP, Errno::PERM, Errno::ACCESS];
            fails_with(rustix::fs::getxattr(path, name, &mut room), &none, name, path, &mut calls);
            let set = rustix::fs::setxattr(path, name, b"y", XattrFlags::empty());
            let refused = [Errno::NOTSUP, Errno::PERM, Errno::ACCESS, Errno::INVAL];
            fails_with(set, &refused, name, path, &mut calls);
            let removed = rustix::fs::removexattr(path, name);
            fails_with(removed, &none, name, path, &mut calls);
        }
        match rustix::fs::listxattr(path, &mut room) {
            Ok(0) | Err(Errno::NOTSUP) => {}
            other => panic!("{path:?}: {other:?}"),
        }
        calls += 1;
    }
    witness.nothing_changed(calls);
}

/// F4, F8: through descriptors of every file that opens; locks are the kernel's and work.
fn f4_f8_descriptors() {
    let witness = Witness::new();
    let disk = witness.mount.mountpoint().join("alice");
    let mut calls = 0;
    for path in witness.paths.iter().filter(|path| !path.is_dir()) {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        for (read, write) in [(true, false), (false, true), (true, true)] {
            let options = File::options().read(read).write(write).custom_flags(flags).to_owned();
            let Ok(file) = options.open(path) else { continue };
            calls += descriptor(&file, path, *path == disk);
        }
    }
    witness.nothing_changed(calls);
}

fn descriptor(file: &File, path: &Path, is_disk: bool) -> usize {
    let mut calls = 0;
    for how in [FlockOperation::LockShared, FlockOperation::LockExclusive, FlockOperation::Unlock] {
        rustix::fs::flock(file, how).unwrap();
        calls += 1;
    }
    let len = file.metadata().unwrap().len();
    for new in [len + 1, len.saturating_sub(1), 1 << 50, i64::MAX.unsigned_abs()] {
        if new == len || (!is_disk && new < (1 << 50)) {
            continue;
        }
        calls += 1;
        if let Err(errno) = rustix::fs::ftruncate(file, new) {
            let documented = [Errno::PERM, Errno::INVAL, Errno::FBIG, Errno::ACCESS];
            assert!(documented.contains(&errno), "ftruncate {path:?} to {new}: {errno:?}");
        } else {
            assert!(!is_disk, "{path:?} was made {new} long");
        }
    }
    for bits in 0..0x80 {
        // What discards is proved with the content elsewhere; here it must not be done.
        let flags = FallocateFlags::from_bits_retain(bits);
        let discards = FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE;
        if is_disk && (flags.intersects(discards) || bits == 0) {
            continue;
        }
        calls += 1;
        let done = rustix::fs::fallocate(file, flags, 0, 4096);
        let refused = [
            Errno::OPNOTSUPP,
            Errno::INVAL,
            Errno::BADF,
            Errno::PERM,
            Errno::ACCESS,
            Errno::NODEV,
            Errno::NOSYS,
        ];
        match done {
            Err(errno) if refused.contains(&errno) => {}
            // Keeping the size allocates nothing that shows.
            Ok(()) if is_disk && flags == FallocateFlags::KEEP_SIZE => {}
            other => panic!("fallocate {bits:#x} {path:?}: {other:?}"),
        }
    }
    let answers = [
        rustix::fs::ioctl_getflags(file).map(|_| ()),
        rustix::fs::ioctl_setflags(file, rustix::fs::IFlags::IMMUTABLE),
        rustix::fs::ioctl_ficlone(file, file),
        rustix::fs::ioctl_blksszget(file).map(|_| ()),
        rustix::fs::ioctl_blkpbszget(file).map(|_| ()),
    ];
    for answer in answers {
        calls += 1;
        let none = [
            Errno::NOTTY,
            Errno::OPNOTSUPP,
            Errno::NOSYS,
            Errno::INVAL,
            Errno::PERM,
            Errno::ACCESS,
            Errno::BADF,
            Errno::XDEV,
        ];
        assert!(answer.is_err_and(|errno| none.contains(&errno)), "ioctl {path:?}: {answer:?}");
    }
    calls
}
