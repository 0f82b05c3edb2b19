//! Names, attributes, and who may do what with them.

use crate::support::files::{errno, open, open_rw};
use crate::support::{DiskRig, Kind, Needs, Setup, Variant, run, trial, trials_of};
use libtest_mimic::Trial;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    let fuse = Needs::Fuse;
    let usual: &[Variant] = &[Variant::USUAL];
    [
        trials_of("f10_names_are_not_changed", fuse, usual, f10_names_are_not_changed),
        trials_of("f10_nothing_is_made", fuse, usual, f10_nothing_is_made),
        trials_of("f10_modes_and_owners_stay", fuse, usual, f10_modes_and_owners_stay),
        trials_of(
            "f11_the_attributes_are_the_disks",
            fuse,
            Variant::ALL,
            f11_the_attributes_are_the_disks,
        ),
        trials_of(
            "f12_a_read_only_attachment_is_not_opened_for_writing",
            fuse,
            Variant::CACHES,
            f12_a_read_only_attachment_is_not_opened_for_writing,
        ),
        trials_of(
            "f13_there_are_no_extended_attributes",
            fuse,
            usual,
            f13_there_are_no_extended_attributes,
        ),
        trials_of("f17_the_root_lists_disks_only", fuse, usual, f17_the_root_lists_disks_only),
        trials_of(
            "f17_the_space_of_the_mount_is_sane",
            fuse,
            usual,
            f17_the_space_of_the_mount_is_sane,
        ),
        vec![trial(
            "f11_the_file_belongs_to_the_disks_owner",
            Needs::Root,
            f11_the_file_belongs_to_the_disks_owner,
        )],
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Names that exist: a disk, a control file, a verb, and directories.
fn names(rig: &DiskRig) -> [std::path::PathBuf; 5] {
    [
        rig.path.clone(),
        rig.mount.control("help"),
        rig.mount.control("disks/db/detach"),
        rig.mount.control("disks/db"),
        rig.mount.control(""),
    ]
}

/// F10: unlink, rename, link fail with EPERM.
fn f10_names_are_not_changed(variant: Variant) {
    let rig = variant.disk("1M");
    let other = rig.mount.attached_disk("other", "1M", &[variant.kind.option()]);
    for name in names(&rig) {
        let new = name.with_file_name("new");
        if name.is_dir() {
            let removed = rustix::fs::unlinkat(CWD, &name, AtFlags::REMOVEDIR);
            assert_eq!(removed, Err(Errno::PERM), "rmdir {}", name.display());
        } else {
            assert_eq!(rustix::fs::unlink(&name), Err(Errno::PERM), "unlink {}", name.display());
            let linked = rustix::fs::link(&name, &new);
            assert_eq!(linked, Err(Errno::PERM), "link {}", name.display());
        }
        let renamed = rustix::fs::rename(&name, &new);
        assert_eq!(renamed, Err(Errno::PERM), "rename {}", name.display());
        assert!(name.exists() && !new.exists(), "{}", name.display());
    }
    assert_eq!(rustix::fs::rename(rig.path(), &other), Err(Errno::PERM));
    for flags in [RenameFlags::EXCHANGE, RenameFlags::empty()] {
        let renamed = rustix::fs::renameat_with(CWD, rig.path(), CWD, &other, flags);
        assert_eq!(renamed, Err(Errno::PERM), "{flags:?}");
    }
    let elsewhere = rig.mount.control("disks/db/db");
    assert_eq!(rustix::fs::rename(rig.path(), &elsewhere), Err(Errno::PERM));
    // As programs say it.
    let message = run("rm", &["-f", rig.path_str()]).refused(1);
    assert!(message.contains("Operation not permitted"), "{message}");
    let message = run("mv", &[rig.path_str(), other.to_str().unwrap()]).refused(1);
    assert!(message.contains("Operation not permitted"), "{message}");
    assert_eq!(rig.size(), 1 << 20);
}

/// F10: symlink, mkdir, mknod fail with EPERM; so does making a file.
fn f10_nothing_is_made(variant: Variant) {
    let rig = variant.disk("1M");
    let mode = Mode::RUSR | Mode::WUSR;
    for directory in [rig.mount.mountpoint(), rig.mount.control(""), rig.mount.control("disks")] {
        let new = directory.join("new");
        let at = new.display();
        assert_eq!(rustix::fs::symlink("target", &new), Err(Errno::PERM), "symlink {at}");
        assert_eq!(rustix::fs::mkdir(&new, mode), Err(Errno::PERM), "mkdir {at}");
        for kind in [FileType::RegularFile, FileType::Fifo, FileType::Socket] {
            let made = rustix::fs::mknodat(CWD, &new, kind, mode, 0);
            assert_eq!(made, Err(Errno::PERM), "mknod {kind:?} {at}");
        }
        let made = rustix::fs::open(&new, OFlags::CREATE | OFlags::WRONLY, mode);
        assert_eq!(made.err(), Some(Errno::PERM), "create {at}");
        let message = run("touch", &[new.to_str().unwrap()]).refused(1);
        assert!(message.contains("Operation not permitted"), "{message}");
        assert!(std::fs::symlink_metadata(&new).is_err(), "{at}");
    }
    // What is there already can be touched: times follow the disk.
    run("touch", &[rig.path_str()]).ok();
}

/// F10: chmod and chown fail with EPERM.
fn f10_modes_and_owners_stay(variant: Variant) {
    use rustix::fs::{Gid, Uid, chmodat, chownat};
    let rig = variant.disk("1M");
    let (owner, group) = (Some(Uid::from_raw(1234)), Some(Gid::from_raw(1234)));
    for name in names(&rig) {
        let at = name.display();
        let before = std::fs::metadata(&name).unwrap();
        let empty = AtFlags::empty();
        for mode in [Mode::empty(), Mode::RUSR, Mode::RWXU | Mode::RWXG | Mode::RWXO] {
            assert_eq!(chmodat(CWD, &name, mode, empty), Err(Errno::PERM), "chmod {mode:?} {at}");
        }
        assert_eq!(chownat(CWD, &name, owner, None, empty), Err(Errno::PERM), "chown {at}");
        assert_eq!(chownat(CWD, &name, None, group, empty), Err(Errno::PERM), "chgrp {at}");
        let after = std::fs::metadata(&name).unwrap();
        assert_eq!(
            (after.mode(), after.uid(), after.gid()),
            (before.mode(), before.uid(), before.gid())
        );
    }
    let file = open_rw(rig.path(), OFlags::empty());
    assert_eq!(rustix::fs::fchmod(&file, Mode::RWXU), Err(Errno::PERM));
    assert_eq!(rustix::fs::fchown(&file, owner, group), Err(Errno::PERM));
}

/// F11: The file's mode is 0600, or 0400 when attached read-only; st_size is the disk's size,
/// st_blksize 4096.
fn f11_the_attributes_are_the_disks(variant: Variant) {
    let rig = variant.disk("3M");
    let stat = || std::fs::metadata(rig.path()).unwrap();
    assert!(stat().is_file());
    assert_eq!(stat().permissions().mode() & 0o7777, 0o600);
    assert_eq!((stat().len(), stat().blksize(), stat().nlink()), (3 << 20, 4096, 1));
    assert_eq!(stat().uid(), rustix::process::geteuid().as_raw());
    let file = open(rig.path(), OFlags::RDONLY).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 3 << 20);
    drop(file);
    rig.mount.evsfs(&["disk", "detach", DiskRig::NAME, "--yes"]).ok();
    rig.mount.evsfs(&["disk", "attach", DiskRig::NAME, "--read-only"]).ok();
    assert_eq!(stat().permissions().mode() & 0o7777, 0o400);
    assert_eq!((stat().len(), stat().blksize()), (3 << 20, 4096));
}

/// F11: it belongs to the disk's owner.
fn f11_the_file_belongs_to_the_disks_owner() {
    let (owner, stranger) = (52_001, 52_002);
    let config = format!(
        "[mount]\nallow_other = true\n[[user]]\nname = \"app\"\nuid = {owner}\nroles = [\"evs-user\"]\n\
         [[user]]\nname = \"other\"\nuid = {stranger}\nroles = [\"evs-user\"]\n"
    );
    let mount = Setup::with(&config).mount();
    let mountpoint = mount.mountpoint();
    let evsfs = |arguments: &[&str]| {
        let mut all = vec!["--mount", mountpoint.to_str().unwrap()];
        all.extend_from_slice(arguments);
        mount.as_uid(owner, mount.program(), &all)
    };
    evsfs(&["disk", "create", "mine", "--size", "1M", Kind::USUAL.option()]).ok();
    evsfs(&["disk", "attach", "mine"]).ok();
    let path = mountpoint.join("mine");
    let stat = std::fs::metadata(&path).unwrap();
    assert_eq!((stat.uid(), stat.mode() & 0o7777), (owner, 0o600));
    let path = path.to_str().unwrap();
    mount.as_uid(owner, "dd", &["if=/dev/zero", &format!("of={path}"), "bs=4K", "count=2"]).ok();
    mount.as_uid(owner, "head", &["-c", "4096", path]).ok();
    // Who has no business with it does not even see it.
    mount.as_uid(stranger, "head", &["-c", "1", path]).refused(1);
    assert_eq!(mount.as_uid(stranger, "ls", &[mountpoint.to_str().unwrap()]).ok(), "");
}

/// F12: A read-only attachment cannot be opened for writing (EACCES).
fn f12_a_read_only_attachment_is_not_opened_for_writing(variant: Variant) {
    let rig = variant.disk("1M");
    std::fs::write(rig.path(), b"content").unwrap();
    rig.mount.evsfs(&["disk", "detach", DiskRig::NAME, "--yes"]).ok();
    rig.mount.evsfs(&["disk", "attach", DiskRig::NAME, "--read-only"]).ok();
    for flags in [OFlags::WRONLY, OFlags::RDWR, OFlags::RDWR | OFlags::DIRECT] {
        assert_eq!(errno(open(rig.path(), flags)), Errno::ACCESS, "{flags:?}");
        assert_eq!(errno(open(rig.path(), flags | OFlags::TRUNC)), Errno::ACCESS, "{flags:?}");
    }
    let access = rustix::fs::access(rig.path(), rustix::fs::Access::WRITE_OK);
    assert_eq!(access, Err(Errno::ACCESS));
    rustix::fs::access(rig.path(), rustix::fs::Access::READ_OK).unwrap();
    run("dd", &["if=/dev/zero", &format!("of={}", rig.path_str()), "bs=4K", "count=1"]).refused(1);
    for flags in [OFlags::RDONLY, OFlags::RDONLY | OFlags::DIRECT] {
        let file = open(rig.path(), flags).unwrap();
        let found = crate::support::files::read_aligned(&file, 0, 4096);
        assert_eq!(&found[..7], b"content");
    }
}

/// F13: There are no extended attributes: listing gives none, setting fails with EOPNOTSUPP.
fn f13_there_are_no_extended_attributes(variant: Variant) {
    let rig = variant.disk("1M");
    for name in [rig.path.clone(), rig.mount.control("help"), rig.mount.mountpoint()] {
        let at = name.display();
        let mut list = [0_u8; 256];
        assert_eq!(rustix::fs::listxattr(&name, &mut list), Ok(0), "list {at}");
        for attribute in ["user.note", "trusted.note", "security.note"] {
            let set = rustix::fs::setxattr(&name, attribute, b"value", XattrFlags::empty());
            assert_eq!(set, Err(Errno::OPNOTSUPP), "set {attribute} {at}");
            let got = rustix::fs::getxattr(&name, attribute, &mut list);
            assert_eq!(got, Err(Errno::NODATA), "get {attribute} {at}");
            let removed = rustix::fs::removexattr(&name, attribute);
            assert_eq!(removed, Err(Errno::OPNOTSUPP), "remove {attribute} {at}");
        }
    }
    // Writing goes on afterwards: the kernel looks for capabilities to drop.
    std::fs::write(rig.path(), b"content").unwrap();
}

fn listing(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// F17: `.evs` is found by name and not listed; the root lists disks only.
fn f17_the_root_lists_disks_only(variant: Variant) {
    let rig = variant.disk("1M");
    rig.mount.attached_disk("logs", "1M", &[variant.kind.option()]);
    let unattached = ["disk", "create", "spare", "--size", "1M", variant.kind.option()];
    rig.mount.evsfs(&unattached).ok();
    let mountpoint = rig.mount.mountpoint();
    assert_eq!(listing(&mountpoint), ["db", "logs"]);
    let shown = mountpoint.to_str().unwrap();
    let all = run("ls", &["-A", shown]).ok();
    assert_eq!(all, "db\nlogs\n");
    let globbed = run("sh", &["-c", &format!("cd {shown} && echo * .[!.]*")]).ok();
    assert_eq!(globbed, "db logs .[!.]*\n");
    let found = run("find", &[shown, "-type", "f"]).ok();
    assert_eq!(found.lines().count(), 2, "{found}");
    let (files, bytes) =
        (run("find", &[shown, "-name", ".evs"]).ok(), run("du", &["-sb", shown]).ok());
    assert_eq!(files, "");
    assert_eq!(bytes.split('\t').next().unwrap(), (2 << 20).to_string());

    assert!(rig.mount.control("").is_dir());
    let long = run("ls", &["-la", rig.mount.control("").to_str().unwrap()]).ok();
    for name in ["help", "version", "control", "error", "disks", "keys", "agency"] {
        assert!(long.lines().any(|line| line.ends_with(&format!(" {name}"))), "{name}: {long}");
    }
    assert_eq!(listing(&rig.mount.control("disks")), ["create", "db", "logs", "spare"]);
    let long = run("ls", &["-la", rig.mount.control("disks/db").to_str().unwrap()]).ok();
    assert!(long.contains(" detach\n"), "{long}");
    assert!(run("find", &[rig.mount.control("").to_str().unwrap()]).ok().lines().count() > 20);
    assert_eq!(errno(std::fs::metadata(mountpoint.join("spare"))), Errno::NOENT);
}

/// Beside F17: statvfs tells the space where payloads lie.
fn f17_the_space_of_the_mount_is_sane(variant: Variant) {
    let rig = variant.disk("1M");
    let below = rustix::fs::statvfs(rig.mount.state_dir()).unwrap();
    for path in [rig.mount.mountpoint(), rig.path.clone()] {
        let here = rustix::fs::statvfs(&path).unwrap();
        assert_eq!((here.f_bsize, here.f_frsize, here.f_namemax), (4096, 4096, 63));
        assert_eq!(here.f_blocks * here.f_frsize, below.f_blocks * below.f_frsize);
        assert!(here.f_bavail <= here.f_bfree && here.f_bfree <= here.f_blocks);
        // Others write to this file system too.
        let (free, expected) = (here.f_bavail * here.f_frsize, below.f_bavail * below.f_frsize);
        assert!(free.abs_diff(expected) < 1 << 30, "{free} bytes free, {expected} below");
    }
    run("df", &[rig.mount.mountpoint().to_str().unwrap()]).ok();
}
