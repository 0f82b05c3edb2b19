//! The mountpoint, and mounts whose daemon has died.

use super::checkup::Area;
use super::patience::within;
use super::place;
use crate::config::Config;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a mount may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a mount is.
enum Answer {
    Alive,
    Dead,
    Silent,
}

pub(super) fn look(area: &mut Area<'_>, config: Option<&Config>) {
    let mounts = mounted();
    let ours = config.map(|config| &config.mountpoint);
    if let Some(config) = config {
        match mounts.contains(&config.mountpoint) {
            true => mounted_here(area, config),
            false => free_here(area, config),
        }
    }
    for mount in mounts.iter().filter(|mount| Some(*mount) != ours) {
        let shown = mount.display();
        match ask(mount) {
            Answer::Alive => {}
            Answer::Dead => area.warn(
                "stale-mount",
                format!("the daemon of {shown} has died"),
                format!("evsfs umount {shown}"),
            ),
            Answer::Silent => area.warn(
                "stale-mount",
                format!("the daemon of {shown} does not answer"),
                format!("evsfs umount {shown} --force"),
            ),
        }
    }
}

fn mounted_here(area: &mut Area<'_>, config: &Config) {
    let shown = config.mountpoint.display();
    match ask(&config.mountpoint) {
        Answer::Alive => area.ok("mountpoint", format!("{shown} is mounted and answers")),
        Answer::Dead => area.fail(
            "mountpoint",
            format!("the daemon of {shown} has died"),
            format!("evsfs mount {shown}, which takes the dead mount away"),
        ),
        Answer::Silent => area.fail(
            "mountpoint",
            format!("the daemon of {shown} does not answer"),
            format!("evsfs umount {shown} --force, then: evsfs mount {shown}"),
        ),
    }
}

fn free_here(area: &mut Area<'_>, config: &Config) {
    let place = &config.mountpoint;
    let shown = place.display();
    if place::is_in_use(config) {
        return area.warn(
            "mountpoint",
            format!("a daemon works on the state directory, and is not mounted on {shown}"),
            "evsfs status --mount DIR, where it is mounted",
        );
    }
    let entries = std::fs::read_dir(place).map(|mut entries| entries.next().is_some());
    match entries {
        Ok(false) => area.ok("mountpoint", format!("{shown} is free")),
        Ok(true) => area.warn(
            "mountpoint",
            format!("{shown} holds files, which a mount hides"),
            "use an empty directory",
        ),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            area.fail("mountpoint", format!("{shown} does not exist"), format!("mkdir -p {shown}"));
        }
        Err(cause) => {
            let message = format!("{shown} cannot be looked at: {cause}");
            area.fail("mountpoint", message, "name another directory as mountpoint");
        }
    }
}

fn ask(mount: &Path) -> Answer {
    let file = mount.join(".evs/version");
    let read = within(PATIENCE, move || std::fs::read(file).map(drop));
    match read {
        None => Answer::Silent,
        Some(Err(cause))
            if matches!(
                Errno::from_io_error(&cause),
                Some(Errno::NOTCONN | Errno::CONNABORTED)
            ) =>
        {
            Answer::Dead
        }
        // A refusal of this user is an answer too.
        Some(_) => Answer::Alive,
    }
}

/// All evsfs mounts that this process sees (proc_pid_mountinfo(5)); blanks in paths are escaped.
fn mounted() -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of_line = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let mountpoint = left.split(' ').nth(4)?;
        right.starts_with("fuse.evsfs ").then(|| PathBuf::from(mountpoint.replace("\\040", " ")))
    };
    let mut mounts: Vec<PathBuf> = table.lines().filter_map(of_line).collect();
    mounts.dedup();
    mounts
}
