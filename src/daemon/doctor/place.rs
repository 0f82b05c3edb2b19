//! The state directory, and where it lies.

use super::checkup::Area;
use crate::config::Config;
use crate::daemon::state_dir;
use crate::error::ErrorKind;
use crate::units::ByteLen;
use jiff::Timestamp;
use std::path::Path;

/// Free space below which payloads may soon be refused.
const LITTLE: u64 = 1 << 30;
/// What a clock may be behind what was written down before: no more than clocks jitter.
const JITTER_SECONDS: i64 = 60;

/// File systems by their numbers (statfs(2)) that are worth a word.
const NOT_DURABLE: [(u64, &str); 3] =
    [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs"), (0x794c_7630, "overlayfs")];
const REMOTE: [(u64, &str); 5] = [
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
];
const GOOD: [(u64, &str); 5] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xf2f5_2010, "f2fs"),
];

pub(super) fn look(area: &mut Area<'_>, config: &Config) {
    let place = &config.state_dir;
    if let Err(error) = state_dir::check_privacy(config) {
        return area.refused("state-dir", &error);
    }
    area.ok("state-dir", format!("{} is ours alone", place.display()));
    file_system(area, place);
    space(area, place);
    saved_clock(area, place);
    for directory in &config.backing_dirs {
        match std::fs::metadata(directory) {
            Ok(_) => area.ok("backing-dir", format!("{} is there", directory.display())),
            Err(cause) => area.warn(
                "backing-dir",
                format!("{} cannot be looked at: {cause}", directory.display()),
                "make it, or take it out of backing_dirs",
            ),
        }
    }
}

/// Whether a daemon works on the state directory.
pub(super) fn is_in_use(config: &Config) -> bool {
    // Nothing is made: a state directory without a lock file never had a daemon.
    config.state_dir.join("lock").exists()
        && matches!(state_dir::lock(&config.state_dir),
                    Err(error) if error.kind() == ErrorKind::InUse)
}

fn file_system(area: &mut Area<'_>, place: &Path) {
    let Ok(found) = rustix::fs::statfs(place) else {
        return area.fail("file-system", "it does not say what it is", "see dmesg");
    };
    // Of 32 bits; where the type is wider, its upper half is the sign.
    let number = found.f_type.cast_unsigned() & 0xffff_ffff;
    let named = |list: &[(u64, &'static str)]| {
        list.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    };
    if let Some(name) = named(&NOT_DURABLE) {
        let message = format!("{name}: keys and disks are gone with the next restart");
        return area.warn("file-system", message, "lay state_dir on a disk");
    }
    if let Some(name) = named(&REMOTE) {
        let message = format!("{name}: what is synced there is only as safe as the other side");
        return area.warn("file-system", message, "lay state_dir on a disk of this machine");
    }
    let name = named(&GOOD).map_or_else(|| format!("type {number:#x}"), str::to_owned);
    area.ok("file-system", name);
}

fn space(area: &mut Area<'_>, place: &Path) {
    let Ok(found) = rustix::fs::statvfs(place) else { return };
    let (free, total) = (found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize);
    let shown = format!("{} of {} are free", gib(free), gib(total));
    const REMEDY: &str = "make room, or lay new disks elsewhere (--backing)";
    match free {
        0 => area.fail("space", "the disk is full: nothing can be written down", REMEDY),
        free if free < LITTLE || free < total / 50 => area.warn("space", shown, REMEDY),
        _ => area.ok("space", shown),
    }
}

fn gib(bytes: u64) -> String {
    match bytes {
        ..LITTLE => ByteLen::new(bytes >> 20 << 20).to_string(),
        _ => ByteLen::new(bytes >> 30 << 30).to_string(),
    }
}

/// The time that the KMS has written down may not be ahead of the clock. Read without its
/// authentication, for which it takes the root key; it is a hint to people.
fn saved_clock(area: &mut Area<'_>, place: &Path) {
    let Ok(text) = std::fs::read_to_string(place.join("kms/clock.toml")) else { return };
    let settled = text.lines().find_map(|line| {
        let value = line.trim().strip_prefix("settled")?.trim_start().strip_prefix('=')?;
        value.trim().trim_matches('"').parse::<Timestamp>().ok()
    });
    let Some(settled) = settled else { return };
    let behind = settled.as_second() - Timestamp::now().as_second();
    match behind > JITTER_SECONDS {
        false => area.ok("saved-time", "the clock is not behind what was written down"),
        true => area.warn(
            "saved-time",
            format!("the clock is {behind} s behind what was written down before"),
            "set the clock right; dates of keys wait for it until then",
        ),
    }
}
