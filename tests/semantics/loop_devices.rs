//! Loop devices and the filesystems that live on them.

use crate::support::files::{assert_same, content, open, open_rw, read, read_aligned, write};
use crate::support::{DiskRig, LoopDevice, Mounted, Needs, Variant, run, trials_of, wait_until};
use libtest_mimic::Trial;
use rustix::fs::OFlags;
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    let ext4 = Needs::RootAnd(&["losetup", "mkfs.ext4", "e2fsck", "fstrim"]);
    let xfs = Needs::RootAnd(&["losetup", "mkfs.xfs", "xfs_repair", "fstrim"]);
    let resize = Needs::RootAnd(&["losetup", "mkfs.ext4", "e2fsck", "resize2fs"]);
    [
        trials_of("f14_losetup_works", Needs::Root, Variant::ALL, f14_losetup_works),
        trials_of(
            "f14_partitions_are_found",
            Needs::RootAnd(&["losetup", "partx"]),
            &[Variant::USUAL],
            f14_partitions_are_found,
        ),
        trials_of("f14_ext4_lives_on_it", ext4, Variant::ALL, f14_ext4_lives_on_it),
        trials_of("f14_xfs_lives_on_it", xfs, Variant::SECTORS, f14_xfs_lives_on_it),
        trials_of(
            "f14_a_file_system_grows_with_the_disk",
            resize,
            Variant::CACHES,
            f14_a_file_system_grows_with_the_disk,
        ),
        trials_of(
            "f14_a_read_only_attachment_is_a_read_only_loop_device",
            Needs::Root,
            &[Variant::USUAL],
            f14_a_read_only_attachment_is_a_read_only_loop_device,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An attribute of a loop device, such as `queue/logical_block_size`.
#[track_caller]
fn attribute(device: &LoopDevice, name: &str) -> String {
    let block = Path::new("/sys/block").join(device.path().trim_start_matches("/dev/"));
    std::fs::read_to_string(block.join(name)).unwrap().trim().to_owned()
}

/// F14: losetup works with 512- and 4096-byte sectors, with direct I/O on and off.
fn f14_losetup_works(variant: Variant) {
    let rig = variant.disk("8M");
    let mut seed = 0;
    for sector_size in ["512", "4096"] {
        for direct in ["on", "off"] {
            seed += 1;
            let direct_io = format!("--direct-io={direct}");
            let what = format!("--sector-size {sector_size} {direct_io}");
            let device = LoopDevice::over(rig.path(), &["--sector-size", sector_size, &direct_io]);
            assert_eq!(attribute(&device, "queue/logical_block_size"), sector_size, "{what}");
            assert_eq!(attribute(&device, "loop/dio"), if direct == "on" { "1" } else { "0" });
            assert_eq!(attribute(&device, "size"), ((8 << 20) / 512).to_string());
            let bytes = content(seed, 3 << 20);
            let block = open_rw(Path::new(device.path()), OFlags::DIRECT);
            write(&block, 1 << 20, &bytes);
            rustix::fs::fsync(&block).unwrap();
            assert_same(&what, &read_aligned(&block, 1 << 20, bytes.len()), &bytes);
            let file = open(rig.path(), OFlags::RDONLY | OFlags::DIRECT).unwrap();
            assert_same(&what, &read_aligned(&file, 1 << 20, bytes.len()), &bytes);
            // Through the block device's own cache, at odd places.
            let block = open_rw(Path::new(device.path()), OFlags::empty());
            write(&block, 12_345, b"odd");
            rustix::fs::fsync(&block).unwrap();
            assert_eq!(read_aligned(&file, 12_288, 4096)[57..60], *b"odd");
        }
    }
    rig.reattach();
    let file = open(rig.path(), OFlags::RDONLY).unwrap();
    assert_same("after a new attach", &read(&file, 1 << 20, 3 << 20), &content(seed, 3 << 20));
}

/// F14, where losetup --partscan looks for partitions.
fn f14_partitions_are_found(variant: Variant) {
    let rig = variant.disk("8M");
    // A table of the old kind: its signature and one Linux partition, from sector 2048 on.
    let (first, sectors) = (2048_u32, 4096_u32);
    let mut table = [0; 512];
    table[446 + 4] = 0x83;
    table[446 + 8..446 + 12].copy_from_slice(&first.to_le_bytes());
    table[446 + 12..446 + 16].copy_from_slice(&sectors.to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xAA]);
    let file = open_rw(rig.path(), OFlags::empty());
    write(&file, 0, &table);
    write(&file, u64::from(first) * 512, &content(1, 4096));
    drop(file);
    rig.reattach();
    let device = LoopDevice::over(rig.path(), &["--partscan"]);
    // A kernel that cannot read the table is told what is in it.
    run("partx", &["--update", device.path()]).ok();
    let name = device.path().trim_start_matches("/dev/").to_owned();
    let partition = PathBuf::from(format!("/sys/block/{name}/{name}p1"));
    wait_until("the partition is there", || partition.exists());
    let number = |file: &str| std::fs::read_to_string(partition.join(file)).unwrap();
    assert_eq!(number("start").trim(), first.to_string());
    assert_eq!(number("size").trim(), sectors.to_string());
    let node = PathBuf::from(format!("{}p1", device.path()));
    wait_until("its device is there", || node.exists());
    let block = open(&node, OFlags::RDONLY).unwrap();
    assert_same("its content", &read(&block, 0, 4096), &content(1, 4096));
}

fn mounted(device: &LoopDevice, rig: &DiskRig, options: &str) -> Mounted {
    Mounted::at(device, options, &rig.mount.scratch().join("files"))
}

/// Puts the sources on a filesystem, a large file beside them, takes that away again, and trims.
#[track_caller]
fn live(rig: &DiskRig, device: &LoopDevice, check: &dyn Fn(&str)) {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let tree = tree.to_str().unwrap();
    let files = mounted(device, rig, "rw");
    let large = files.directory().join("large");
    run("cp", &["-r", tree, files.path()]).ok();
    std::fs::write(&large, content(1, 16 << 20)).unwrap();
    run("sync", &["-f", files.path()]).ok();
    let before = rig.used();
    assert!(before > 16 << 20, "{before} bytes used with 16 MiB on it");
    std::fs::remove_file(&large).unwrap();
    run("sync", &["-f", files.path()]).ok();
    // Some filesystems free what was removed a moment later.
    wait_until("fstrim gives the space back", || {
        run("fstrim", &[files.path()]).ok();
        rig.used() + (15 << 20) < before
    });
    files.unmount();
    check(device.path());

    // All of it again, from the payload.
    let files = mounted(device, rig, "ro");
    run("diff", &["-r", tree, files.directory().join("src").to_str().unwrap()]).ok();
    assert!(!files.directory().join("large").exists());
    files.unmount();
}

/// F14: ext4 lives on it; fstrim gives space back; e2fsck finds nothing.
fn f14_ext4_lives_on_it(variant: Variant) {
    let rig = variant.disk("64M");
    let check = |device: &str| {
        run("e2fsck", &["-fn", device]).ok();
    };
    let sectors = variant.sector_size.to_string();
    let options = ["--sector-size", sectors.as_str(), "--direct-io=on"];
    let device = LoopDevice::over(rig.path(), &options);
    run("mkfs.ext4", &["-q", device.path()]).ok();
    live(&rig, &device, &check);
    drop(device);
    rig.reattach();
    run("e2fsck", &["-fn", rig.path_str()]).ok();
    // And as `mount -o loop` does it, on a filesystem made in the file itself.
    run("mkfs.ext4", &["-q", "-F", rig.path_str()]).ok();
    let device = LoopDevice::over(rig.path(), &[]);
    live(&rig, &device, &check);
}

/// F14: xfs lives on it; fstrim gives space back.
fn f14_xfs_lives_on_it(variant: Variant) {
    let rig = variant.disk("320M");
    let sectors = variant.sector_size.to_string();
    for direct in ["--direct-io=on", "--direct-io=off"] {
        let device = LoopDevice::over(rig.path(), &["--sector-size", &sectors, direct]);
        run("mkfs.xfs", &["-q", "-f", device.path()]).ok();
        live(&rig, &device, &|device| {
            run("xfs_repair", &["-n", device]).ok();
        });
    }
}

/// F14 and D11: losetup -c sees a disk that grew under a mounted filesystem, which then grows too.
/// (While it is mounted, resize2fs would take CAP_SYS_RESOURCE, which not every root has.)
fn f14_a_file_system_grows_with_the_disk(variant: Variant) {
    let rig = variant.disk("16M");
    let device = LoopDevice::over(rig.path(), &[]);
    run("mkfs.ext4", &["-q", device.path()]).ok();
    let files = mounted(&device, &rig, "rw");
    std::fs::write(files.directory().join("before"), content(1, 1 << 20)).unwrap();
    rig.mount.evsfs(&["disk", "extend", DiskRig::NAME, "--size", "48M"]).ok();
    run("losetup", &["-c", device.path()]).ok();
    assert_eq!(attribute(&device, "size"), ((48 << 20) / 512).to_string());
    files.unmount();
    run("e2fsck", &["-fp", device.path()]).ok();
    run("resize2fs", &[device.path()]).ok();
    let files = mounted(&device, &rig, "rw");
    // More than there was room for.
    std::fs::write(files.directory().join("after"), content(2, 24 << 20)).unwrap();
    files.unmount();
    drop(device);
    rig.reattach();
    let device = LoopDevice::over(rig.path(), &[]);
    run("e2fsck", &["-fn", device.path()]).ok();
    let files = mounted(&device, &rig, "ro");
    let file = |name: &str| std::fs::read(files.directory().join(name)).unwrap();
    assert_same("before", &file("before"), &content(1, 1 << 20));
    assert_same("after", &file("after"), &content(2, 24 << 20));
    files.unmount();
}

/// F14 and F12: losetup finds out by itself that it may only read.
fn f14_a_read_only_attachment_is_a_read_only_loop_device(variant: Variant) {
    let rig = variant.disk("16M");
    run("mkfs.ext4", &["-q", "-F", rig.path_str()]).ok();
    rig.mount.evsfs(&["disk", "detach", DiskRig::NAME, "--yes"]).ok();
    rig.mount.evsfs(&["disk", "attach", DiskRig::NAME, "--read-only"]).ok();
    let device = LoopDevice::over(rig.path(), &[]);
    assert_eq!(attribute(&device, "ro"), "1");
    let files = mounted(&device, &rig, "ro");
    assert!(files.directory().join("lost+found").is_dir());
    files.unmount();
}
