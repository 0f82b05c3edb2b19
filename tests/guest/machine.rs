//! A system disk: partition table, GRUB, a kernel of Debian's cloud images, and busybox.

use crate::support::run;
use crate::text;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What the system disk's file system holds for the guest to find.
pub const SYSTEM_TEXT: &str = "hello-from-the-system-disk";
/// Where its only partition begins.
pub const PARTITION: u64 = 1 << 20;
const SIZE: u64 = 64 << 20;
const GRUB: &str = "/usr/lib/grub/i386-pc";
const MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "ext4"];

/// Runs as the first process of the guest.
const INIT: &str = r#"#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc none /proc
$bb mount -t sysfs none /sys
$bb mount -t devtmpfs none /dev
while read module; do $bb insmod /modules/$module; done < /modules/order
$bb mount -t ext4 /dev/vda1 /mnt || echo "guest: no system disk"
echo "guest: system says $($bb cat /mnt/hello)"
echo "written by the guest" > /mnt/from-guest
$bb umount /mnt
$bb dd if=/dev/vdb of=/dev/vdb bs=1M count=2 seek=4 conv=notrunc,fsync 2>/dev/null
$bb blkdiscard -o 8388608 -l 2097152 /dev/vdb
$bb sync
echo "guest: done"
$bb poweroff -f
"#;

pub struct System;

impl System {
    /// What is not there to build one, if anything.
    pub fn missing() -> Option<String> {
        let programs = ["qemu-system-x86_64", "grub-mkimage", "depmod", "busybox"];
        let is_missing =
            |program: &&&str| run("sh", &["-c", &format!("command -v {program}")]).code != 0;
        if let Some(program) = programs.iter().find(is_missing) {
            return Some(format!("{program} is not installed"));
        }
        let has_kernel = guest_files().join("complete").exists();
        (!has_kernel || !Path::new(GRUB).join("boot.img").exists())
            .then(|| "no kernel and boot loader: sh tests/support/install-deps.sh slow".to_owned())
    }

    /// Makes the raw file of one.
    pub fn build(scratch: &Path) -> PathBuf {
        let tree = scratch.join("system");
        std::fs::create_dir(&tree).unwrap();
        let version = kernel_version();
        std::fs::copy(guest_files().join(format!("boot/vmlinuz-{version}")), tree.join("vmlinuz"))
            .unwrap();
        std::fs::write(tree.join("hello"), SYSTEM_TEXT).unwrap();
        first_file_system(scratch, &version, &tree.join("initrd"));

        let partition = scratch.join("partition.raw");
        std::fs::File::create(&partition).unwrap().set_len(SIZE - PARTITION).unwrap();
        // Without features that the boot loader may not know.
        run("mke2fs", &["-q", "-t", "ext2", "-d", text(&tree), text(&partition)]).ok();

        let raw = scratch.join("system.raw");
        let mut disk = std::fs::File::create(&raw).unwrap();
        disk.set_len(SIZE).unwrap();
        run("sh", &["-c", &format!("echo 2048,,L,* | sfdisk -q {}", text(&raw))]).ok();
        disk.seek(SeekFrom::Start(PARTITION)).unwrap();
        std::io::copy(&mut std::fs::File::open(&partition).unwrap(), &mut disk).unwrap();
        make_bootable(scratch, &mut disk);
        disk.sync_all().unwrap();
        raw
    }
}

/// Where `install-deps.sh slow` has unpacked the kernel.
fn guest_files() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest")
}

fn kernel_version() -> String {
    let modules = std::fs::read_dir(guest_files().join("lib/modules")).unwrap();
    modules.map(|entry| entry.unwrap().file_name().into_string().unwrap()).next().unwrap()
}

/// The first sector of GRUB goes where the firmware looks, the rest behind it and before the first
/// partition, where it finds itself.
fn make_bootable(scratch: &Path, disk: &mut std::fs::File) {
    let (config, core) = (scratch.join("grub.cfg"), scratch.join("core.img"));
    std::fs::write(
        &config,
        "linux (hd0,msdos1)/vmlinuz console=ttyS0 panic=-1 quiet\ninitrd (hd0,msdos1)/initrd\nboot\n",
    )
    .unwrap();
    let modules = ["biosdisk", "part_msdos", "ext2", "linux", "boot"];
    let options = ["-O", "i386-pc", "-p", "/", "-c", text(&config), "-o", text(&core)];
    run("grub-mkimage", &[&options[..], &modules[..]].concat()).ok();
    let core = std::fs::read(core).unwrap();
    assert!((core.len() as u64) < PARTITION - 512);
    let boot = std::fs::read(Path::new(GRUB).join("boot.img")).unwrap();
    disk.seek(SeekFrom::Start(0)).unwrap();
    // The partition table and the disk's signature stay.
    disk.write_all(&boot[..440]).unwrap();
    disk.seek(SeekFrom::Start(512)).unwrap();
    disk.write_all(&core).unwrap();
}

/// Busybox, the modules that virtio disks and their file systems take, and `init`.
fn first_file_system(scratch: &Path, version: &str, initrd: &Path) {
    let root = scratch.join("initrd-tree");
    for directory in ["bin", "dev", "mnt", "modules", "proc", "sys"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    let busybox = run("sh", &["-c", "command -v busybox"]).ok();
    std::fs::copy(busybox.trim(), root.join("bin/busybox")).unwrap();
    std::fs::write(root.join("init"), INIT).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(root.join("init"), executable).unwrap();
    let files = guest_files();
    run("depmod", &["-b", text(&files), version]).ok();
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        let options = ["-d", text(&files), "-S", version, "--show-depends", module];
        for line in run("modprobe", &options).ok().lines() {
            let Some(path) = line.strip_prefix("insmod ").map(str::trim) else { continue };
            let name = Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
            if !order.contains(&name) {
                std::fs::copy(path, root.join("modules").join(&name)).unwrap();
                order.push(name);
            }
        }
    }
    std::fs::write(root.join("modules/order"), order.join("\n") + "\n").unwrap();
    let archive = "cd \"$0\" && find . | busybox cpio -o -H newc > \"$1\"";
    run("sh", &["-c", archive, text(&root), text(initrd)]).ok();
}
