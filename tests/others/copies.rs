//! rsync, tar, cp and dd.

use crate::support::{LoopDevice, Mount, Mounted, Needs, run, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "rsync_and_tar_copy_a_file_system_on_a_disk_with_all_its_attributes",
            Needs::RootAnd(&["mkfs.ext4", "rsync", "tar"]),
            rsync_and_tar,
        ),
        trial("cp_with_reflink_auto_copies_between_disks_and_out_of_them", Needs::Fuse, reflink),
        trial("dd_with_conv_sparse_keeps_holes_both_ways", Needs::Fuse, sparse),
        trial(
            "qemu_io_writes_discards_and_reads_with_cache_none",
            Needs::RootAnd(&["qemu-io"]),
            qemu_io,
        ),
    ]
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A file system on an encrypted disk, and the device under it.
pub fn ext4(mount: &Mount, name: &str) -> (LoopDevice, Mounted) {
    let disk = mount.attached_disk(name, "32M", &["--encrypted"]);
    run("mkfs.ext4", &["-q", "-m", "0", text(&disk)]).ok();
    let device = LoopDevice::over(&disk, &[]);
    let files = Mounted::at(&device, "rw", &mount.scratch().join(format!("{name}-files")));
    (device, files)
}

/// Names, links, modes, times, holes and content.
fn tree(directory: &Path) {
    let script = "cd $0 && mkdir -p a/b && echo one > a/one && ln a/one a/b/also && ln -s ../one a/b/link \
         && chmod 4751 a/one && touch -d 2001-02-03 a/b && mkfifo a/pipe \
         && truncate -s 4M a/holes && printf end >> a/holes && chown 64001:64002 a/b/also";
    run("sh", &["-c", script, text(directory)]).ok();
}

/// What `find` and checksums say of a tree.
fn described(directory: &Path) -> String {
    let script = "cd $0/a && find . -printf '%p %y %m %U %G %n %l %TY-%Tm-%Td\\n' | sort \
         && find . -type f -exec sha256sum {} + | sort";
    run("sh", &["-c", script, text(directory)]).ok()
}

fn rsync_and_tar() {
    let mount = Mount::new();
    let source = mount.scratch().join("source");
    std::fs::create_dir(&source).unwrap();
    tree(&source);
    let (_of_first, first) = ext4(&mount, "first");
    let from = format!("{}/", text(&source));
    let sync = ["-aHSX", "--numeric-ids", &from, text(first.directory())];
    run("rsync", &sync).ok();
    assert_eq!(described(first.directory()), described(&source));
    let again = run("rsync", &["-aHSXi", "--checksum", &from, text(first.directory())]).ok();
    assert_eq!(again, "", "a second rsync found differences");

    let (_of_second, second) = ext4(&mount, "second");
    let script = "tar -C $0 -cS --numeric-owner . | tar -C $1 -xp --numeric-owner \
         && tar -C $0 -cS --numeric-owner a | tar -C $1 -d";
    run("sh", &["-c", script, text(first.directory()), text(second.directory())]).ok();
    assert_eq!(described(second.directory()), described(&source));
    let blocks = std::fs::metadata(second.directory().join("a/holes")).unwrap().blocks();
    assert!(blocks < 64, "holes were filled: {blocks} blocks");
    drop((first, second));
    for name in ["first", "second"] {
        run("e2fsck", &["-fn", text(&mount.mountpoint().join(name))]).ok();
    }
}

/// Bytes of which no two sectors are alike.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 11_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A disk with data in its second and fifth MiB, and its content.
fn half_written(mount: &Mount, name: &str) -> (PathBuf, Vec<u8>) {
    let disk = mount.attached_disk(name, "8M", &["--encrypted"]);
    let data = noise(1 << 20);
    let mut content = vec![0; 8 << 20];
    let file = std::fs::File::options().write(true).open(&disk).unwrap();
    for at in [1_usize << 20, 4 << 20] {
        file.write_all_at(&data, at as u64).unwrap();
        content[at..at + data.len()].copy_from_slice(&data);
    }
    file.sync_all().unwrap();
    (disk, content)
}

fn reflink() {
    let mount = Mount::new();
    let (disk, content) = half_written(&mount, "db");
    let out = mount.scratch().join("out");
    run("cp", &["--reflink=auto", text(&disk), text(&out)]).ok();
    assert!(std::fs::read(&out).unwrap() == content);
    let other = mount.attached_disk("other", "8M", &["--encrypted"]);
    run("cp", &["--reflink=auto", text(&disk), text(&other)]).ok();
    assert!(std::fs::read(&other).unwrap() == content);
    // Two disks share nothing, so that whoever insists on sharing is told.
    let refused = run("cp", &["--reflink=always", text(&disk), text(&other)]);
    assert_ne!(refused.code, 0);
    assert!(std::fs::read(&other).unwrap() == content, "a refused copy has changed the disk");
}

fn sparse() {
    let mount = Mount::new();
    let (disk, content) = half_written(&mount, "db");
    let out = mount.scratch().join("out");
    let dd = |from: &Path, to: &Path| {
        let (from, to) = (format!("if={}", text(from)), format!("of={}", text(to)));
        run("dd", &[&from, &to, "bs=64K", "conv=sparse,notrunc,fsync", "status=none"]).ok();
    };
    dd(&disk, &out);
    assert!(std::fs::read(&out).unwrap() == content);
    let stored = |path: &Path| std::fs::metadata(path).unwrap().blocks() * 512;
    assert!(stored(&out) <= 3 << 20, "{} bytes", stored(&out));

    let back = mount.attached_disk("back", "8M", &["--encrypted"]);
    dd(&out, &back);
    assert!(std::fs::read(&back).unwrap() == content);
    assert!(stored(&back) <= 3 << 20, "{} bytes", stored(&back));
}

/// As a guest's disk is used: `-drive format=raw,cache=none,discard=unmap` (tests/guest boots one).
fn qemu_io() {
    let mount = Mount::new();
    for sector_size in ["512", "4096"] {
        let name = format!("of-{sector_size}");
        let disk = mount.attached_disk(&name, "16M", &["--sector-size", sector_size]);
        let said = run(
            "qemu-io",
            &[
                "-f",
                "raw",
                "-t",
                "none",
                "-d",
                "unmap",
                "-c",
                "write -P 0x5a 0 4M",
                "-c",
                "write -z 1M 64k",
                "-c",
                "discard 2M 1M",
                "-c",
                "flush",
                "-c",
                "read -P 0x5a 0 1M",
                "-c",
                "read -P 0 1M 64k",
                "-c",
                "read -P 0 2M 1M",
                "-c",
                "read -P 0x5a 3M 1M",
                text(&disk),
            ],
        )
        .ok();
        assert!(!said.contains("failed") && !said.contains("error"), "{said}");
        let stored = std::fs::metadata(&disk).unwrap().blocks() * 512;
        assert!(stored <= 3 << 20, "what was discarded takes space: {stored}");
    }
}
