//! The state directory: private, and held by one daemon (RULES S3, INTERFACE section 7).

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::Account;
use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Uid};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// The directories of a state directory.
const DIRECTORIES: [&str; 8] =
    ["hsm", "kms", "kms/keys", "disks", "backups", "images", "servers", "jobs"];

/// Proof that this process alone works on a state directory; let go when dropped or when the
/// process ends, however it ends.
pub(super) struct StateLock {
    _file: OwnedFd,
}

/// Makes the directories that are missing, for the owner alone.
pub(super) fn create(state_dir: &Path) -> Result<()> {
    let below = DIRECTORIES.iter().map(|name| state_dir.join(name));
    for directory in std::iter::once(state_dir.to_path_buf()).chain(below) {
        if directory.is_dir() {
            continue;
        }
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|cause| Error::io(format!("creating {}", directory.display()), cause))?;
    }
    // Also when all were there: a crash may have come between their making and this.
    let parent = state_dir.parent().unwrap_or(state_dir);
    [parent, state_dir, &state_dir.join("kms")].into_iter().try_for_each(synchronise)
}

/// Makes a state directory, as root, that belongs to `account`, with the way to it open to all if it
/// has to be made too; an empty one of root's is handed over.
///
/// # Errors
/// `denied` when there is something in one that belongs to somebody else; `io`.
pub(super) fn make_for(account: &Account, state_dir: &Path) -> Result<()> {
    let failed = |cause: std::io::Error| {
        Error::io(format!("making the state directory {}", state_dir.display()), cause)
    };
    if let Some(parent) = state_dir.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(state_dir) {
        Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(failed(cause));
        }
        _ => {}
    }
    // Held, so that what is looked at is what is handed over.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory =
        rustix::fs::open(state_dir, flags, Mode::empty()).map_err(|cause| failed(cause.into()))?;
    let owner = rustix::fs::fstat(&directory).map_err(|cause| failed(cause.into()))?.st_uid;
    if owner == account.uid {
        return Ok(());
    }
    let mut names = rustix::fs::Dir::read_from(&directory).map_err(|cause| failed(cause.into()))?;
    let is_empty = names
        .all(|name| name.is_ok_and(|name| matches!(name.file_name().to_bytes(), b"." | b"..")));
    if owner != Uid::ROOT.as_raw() || !is_empty {
        let (shown, name) = (state_dir.display(), &account.name);
        let message = format!("state directory {shown} belongs to uid {owner}, not to {name}");
        return Err(
            Error::new(ErrorKind::Denied, message).remedy(format!("chown -R {name} {shown}"))
        );
    }
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    rustix::fs::fchown(&directory, Some(uid), Some(gid)).map_err(|cause| failed(cause.into()))
}

fn synchronise(directory: &Path) -> Result<()> {
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|cause| Error::io(format!("synchronising {}", directory.display()), cause))
}

/// Refuses a state directory that others can read, or that belongs to somebody else.
pub(super) fn check_privacy(config: &Config) -> Result<()> {
    let state_dir = &config.state_dir;
    let shown = state_dir.display();
    let meta = std::fs::metadata(state_dir).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("state directory {shown} does not exist"))
                .remedy("evsfs init")
        }
        std::io::ErrorKind::PermissionDenied => {
            let uid = rustix::process::geteuid();
            let message = format!("uid {uid} is not let through to state directory {shown}");
            Error::new(ErrorKind::Denied, message)
                .caused_by(cause)
                .remedy("chmod a+x the directories above it, or set another state_dir")
        }
        _ => Error::io(format!("looking at state directory {shown}"), cause),
    })?;
    if !meta.is_dir() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("state_dir {shown} is not a directory"),
        ));
    }
    let uid = rustix::process::geteuid().as_raw();
    if meta.uid() != uid {
        let message = format!("state directory {shown} belongs to uid {}, not {uid}", meta.uid());
        let remedy = match &config.mount.user {
            Some(user) => format!("chown -R {user} {shown}"),
            None => "run evsfs as the owner of its state directory".to_owned(),
        };
        return Err(Error::new(ErrorKind::Denied, message).remedy(remedy));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        let mode = meta.permissions().mode() & 0o7777;
        let message = format!("others can read state directory {shown} (mode {mode:04o})");
        return Err(Error::new(ErrorKind::Denied, message).remedy(format!("chmod 0700 {shown}")));
    }
    Ok(())
}

/// Takes the lock.
///
/// # Errors
/// `in-use` when a daemon lives on this state directory; a dead one's lock is no hindrance.
pub(super) fn lock(state_dir: &Path) -> Result<StateLock> {
    let path = state_dir.join("lock");
    let failed =
        |cause: rustix::io::Errno| Error::io(format!("locking {}", path.display()), cause.into());
    let opened = |cause: rustix::io::Errno| match cause {
        rustix::io::Errno::ACCESS => {
            let uid = rustix::process::geteuid();
            let message = format!("{} is closed to uid {uid}", path.display());
            Error::new(ErrorKind::Denied, message)
                .remedy(format!("chown -R {uid} {}", state_dir.display()))
        }
        cause => failed(cause),
    };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(opened)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(StateLock { _file: file }),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let message = format!("another daemon works on {}", state_dir.display());
            Err(Error::new(ErrorKind::InUse, message).remedy("evsfs status, or evsfs umount"))
        }
        Err(error) => Err(failed(error)),
    }
}
