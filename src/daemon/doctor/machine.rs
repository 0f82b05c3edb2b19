//! The kernel, FUSE, the processor, the clock.

use super::checkup::Area;
use crate::config::{Config, KernelChoice};
use crate::crypto::Kernel;
use crate::sys;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The kernel must offer what the mount is built on: POSIX ACL-free FUSE 7.31, memfd, pidfd.
const OLDEST: (u32, u32) = (5, 4);
/// Files that the kernel reads by itself.
const PASSTHROUGH: (u32, u32) = (6, 9);
/// Pages of 4 KiB in the longest request of this program.
const PAGES: u64 = 256;
/// Open files that a mount of some hundred disks wants.
const FILES: u64 = 4096;

pub(super) fn look(area: &mut Area<'_>, config: Option<&Config>) {
    let is_root = rustix::process::geteuid().is_root();
    kernel(area);
    device(area);
    if !is_root {
        helper(area);
    }
    if let Some(config) = config {
        sharing(area, config, is_root);
        passthrough(area, config, is_root);
    }
    request_size(area);
    loop_devices(area);
    open_files(area);
    cipher(area, config);
    clock(area);
}

fn kernel(area: &mut Area<'_>) {
    let version = version();
    let (major, minor) = version;
    match version >= OLDEST {
        true => area.ok("kernel", format!("Linux {major}.{minor}")),
        false => area.fail(
            "kernel",
            format!("Linux {major}.{minor} is too old"),
            format!("use Linux {}.{} or newer", OLDEST.0, OLDEST.1),
        ),
    }
}

fn version() -> (u32, u32) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn device(area: &mut Area<'_>) {
    let opened = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    match opened {
        Ok(_) => area.ok("fuse", "/dev/fuse can be opened"),
        Err(Errno::NOENT | Errno::NODEV | Errno::NXIO) => area.fail(
            "fuse",
            "there is no /dev/fuse: the kernel has no FUSE, or its module is not loaded",
            "modprobe fuse; in a container: --device /dev/fuse",
        ),
        Err(Errno::ACCESS | Errno::PERM) => area.fail(
            "fuse",
            "/dev/fuse cannot be opened by this user",
            "run as root, or chmod 0666 /dev/fuse; in a container: --device /dev/fuse",
        ),
        Err(cause) => {
            let message = format!("/dev/fuse cannot be opened: {}", std::io::Error::from(cause));
            area.fail("fuse", message, "see dmesg");
        }
    }
}

/// Mounting without root goes through a program that is root.
fn helper(area: &mut Area<'_>) {
    const REMEDY: &str = "apt install fuse3";
    let Some(path) = in_path("fusermount3") else {
        return area.fail("fusermount3", "fusermount3 is not installed", REMEDY);
    };
    let mode = std::fs::metadata(&path).map_or(0, |meta| meta.permissions().mode());
    match mode & 0o4000 != 0 {
        true => area.ok("fusermount3", format!("{} is there", path.display())),
        false => area.fail(
            "fusermount3",
            format!("{} is not set-user-id root", path.display()),
            format!("chmod u+s {}, or {REMEDY}", path.display()),
        ),
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/bin", "/bin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(more).map(|place| place.join(program));
    places.find(|place| place.exists())
}

fn sharing(area: &mut Area<'_>, config: &Config, is_root: bool) {
    const FILE: &str = "/etc/fuse.conf";
    if !config.mount.allow_other {
        return area.ok("allow_other", "not asked for: only the mount's owner gets in");
    }
    if is_root {
        return area.ok("allow_other", "other users get in, as far as their roles go");
    }
    let text = std::fs::read_to_string(FILE).unwrap_or_default();
    match text.lines().any(|line| line.trim() == "user_allow_other") {
        true => area.ok("allow_other", format!("{FILE} permits it")),
        false => area.fail(
            "allow_other",
            format!("{FILE} does not permit users to let others in"),
            format!("echo user_allow_other >> {FILE} (as root), or allow_other = false"),
        ),
    }
}

fn passthrough(area: &mut Area<'_>, config: &Config, is_root: bool) {
    if !config.mount.passthrough {
        return;
    }
    let is_new = version() >= PASSTHROUGH;
    match is_new && is_root {
        true => area.ok("passthrough", "the kernel can read plain disks by itself"),
        false => area.warn(
            "passthrough",
            if is_new { "it takes root" } else { "this kernel cannot read plain disks by itself" },
            "nothing need be done: disks are served through the daemon, at its speed",
        ),
    }
}

/// How much a request may carry, which the kernel says from 6.13 on; before, it was 1 MiB.
fn request_size(area: &mut Area<'_>) {
    let file = "/proc/sys/fs/fuse/max_pages_limit";
    let Ok(text) = std::fs::read_to_string(file) else { return };
    let pages: u64 = text.trim().parse().unwrap_or(PAGES);
    let kib = pages * rustix::param::page_size() as u64 / 1024;
    match pages >= PAGES {
        true => area.ok("requests", format!("up to {} KiB each", kib.min(1024))),
        false => area.warn(
            "requests",
            format!("the kernel cuts them into {kib} KiB, which is slow"),
            format!("sysctl fs.fuse.max_pages_limit={PAGES}"),
        ),
    }
}

fn loop_devices(area: &mut Area<'_>) {
    match Path::new("/dev/loop-control").exists() {
        true => area.ok("loop", "loop devices are there"),
        false => area.warn(
            "loop",
            "there are no loop devices: disks cannot be mounted as file systems here",
            "modprobe loop; in a container: --device /dev/loop-control and loop devices",
        ),
    }
}

fn open_files(area: &mut Area<'_>) {
    // The soft limit is what holds.
    let limit = getrlimit(Resource::Nofile).current;
    match limit {
        Some(limit) if limit < FILES => area.warn(
            "open-files",
            format!("at most {limit} at a time, of which each attached disk takes some"),
            format!("ulimit -n {FILES}, or LimitNOFILE={FILES} in the unit"),
        ),
        Some(limit) => area.ok("open-files", format!("at most {limit} at a time")),
        None => area.ok("open-files", "any number"),
    }
}

fn cipher(area: &mut Area<'_>, config: Option<&Config>) {
    let asked = config.map(|config| config.mount.kernel).and_then(|choice| match choice {
        KernelChoice::Auto => None,
        KernelChoice::Vaes512 => Some(Kernel::Vaes512),
        KernelChoice::Vaes256 => Some(Kernel::Vaes256),
        KernelChoice::Batched => Some(Kernel::Batched),
        KernelChoice::Portable => Some(Kernel::Portable),
    });
    let chosen = asked.unwrap_or_else(Kernel::best);
    if !chosen.is_available() {
        return area.fail(
            "cipher",
            format!("this processor cannot run mount.kernel = {:?}", chosen.name()),
            "set mount.kernel = \"auto\" in mount.toml",
        );
    }
    let (name, best) = (chosen.name(), Kernel::best().name());
    if chosen != Kernel::best() {
        return area.warn(
            "cipher",
            format!("{name} is configured, and {best} would be faster"),
            "set mount.kernel = \"auto\" in mount.toml",
        );
    }
    match has_aes_instructions() {
        true => area.ok("cipher", format!("{name}, with the processor's AES instructions")),
        false => area.warn(
            "cipher",
            format!("{name}, in software: this processor has no AES instructions, or hides them"),
            "give the virtual machine the host's processor (-cpu host)",
        ),
    }
}

fn has_aes_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// Deadlines of keys go by the wall clock.
fn clock(area: &mut Area<'_>) {
    match sys::is_clock_synchronised() {
        Ok(true) => area.ok("clock", "synchronised"),
        Ok(false) => area.warn(
            "clock",
            "not synchronised; keys are deleted and rotated by it",
            "timedatectl set-ntp true, or start chronyd",
        ),
        Err(error) => {
            area.warn("clock", format!("it cannot be told: {error}"), "timedatectl status");
        }
    }
}
