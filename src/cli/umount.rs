//! `evsfs umount`: end a mount and its daemon.

use super::args::UmountArgs;
use super::client::call;
use super::failure::{Failure, Outcome};
use super::mounts;
use super::object::Object;
use super::request::Request;
use super::session::Session;
use crate::config::{Config, locate};
use crate::error::{Error, ErrorKind, Result};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, PidfdFlags};
use serde_json::json;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a daemon may take to end after its grace is over.
const MARGIN: Duration = Duration::from_secs(10);
/// How long those who read events may take to close the file.
const CLOSING: Duration = Duration::from_millis(500);
/// The grace that is assumed of a daemon whose configuration is not at hand.
const USUAL_GRACE: Duration = Duration::from_secs(30);

/// Unmounts, and returns when the daemon has ended: a mount that follows at once finds the state
/// directory free.
pub(super) fn run(session: &mut Session<'_>, args: &UmountArgs) -> Outcome {
    let mountpoint = target(session, args)?;
    if !mounts::mounted()?.contains(&mountpoint) {
        let message = format!("no evsfs is mounted on {}", mountpoint.display());
        return Err(Error::new(ErrorKind::NoMount, message)
            .remedy("see what is mounted: findmnt -t fuse.evsfs")
            .into());
    }
    if is_dead(&mountpoint) {
        unmount(&mountpoint, Manner::Lazily)?;
        return tell(session, &mountpoint);
    }
    let daemon = daemon_of(session)?;
    if args.force {
        call(session.daemon, &Request::new("mount.stop").with("force", true))?;
    } else {
        unmount_idle(session, &mountpoint)?;
    }
    if let Some(daemon) = daemon {
        daemon.wait(grace_of(&mountpoint) + MARGIN)?;
    }
    // A daemon that was stopped may not have been allowed to unmount.
    if args.force && mounts::mounted()?.contains(&mountpoint) {
        unmount(&mountpoint, Manner::Lazily)?;
    }
    tell(session, &mountpoint)
}

fn target(session: &mut Session<'_>, args: &UmountArgs) -> Outcome<PathBuf> {
    match &args.mountpoint {
        Some(path) => Ok(mounts::as_listed(path)),
        None => Ok(mounts::as_listed(&session.mountpoint()?)),
    }
}

fn tell(session: &mut Session<'_>, mountpoint: &Path) -> Outcome {
    let value = json!({ "unmounted": mountpoint.to_string_lossy() });
    session.answer(&value, |_| format!("unmounted {}\n", mountpoint.display()))
}

/// Whether the mount is there and its daemon is not.
fn is_dead(mountpoint: &Path) -> bool {
    matches!(rustix::fs::statfs(mountpoint).err(), Some(Errno::NOTCONN | Errno::CONNABORTED))
}

/// The grace the daemon was started with, as far as the configuration tells.
fn grace_of(mountpoint: &Path) -> Duration {
    locate(None)
        .and_then(|file| Config::load(&file))
        .ok()
        .filter(|config| config.mountpoint == mountpoint)
        .map_or(USUAL_GRACE, |config| config.mount.shutdown_grace)
}

/// A hold on the daemon's process, or `None` when it has ended already or cannot be seen from here.
///
/// Taken before unmounting: afterwards the number might be another process's.
fn daemon_of(session: &mut Session<'_>) -> Outcome<Option<Process>> {
    let status = match session.call(&Request::new("mount.status")) {
        Ok(status) => status,
        // A user without a role may still be the one who mounted; the kernel decides that.
        Err(Failure::Refused(refusal)) if refusal.exit_code() == 6 => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let pid = Object::of(&status).get("pid").and_then(serde_json::Value::as_i64);
    Ok(pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Process::hold))
}

/// Unmounts when nothing but `.evs/events` is open, whose readers are told to end.
fn unmount_idle(session: &mut Session<'_>, mountpoint: &Path) -> Outcome {
    let mut unmounted = unmount(mountpoint, Manner::WhenIdle);
    let is_busy = |outcome: &Result<()>| {
        outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::InUse)
    };
    // Only the account administrator may; for others the mount stays in use as it is.
    if is_busy(&unmounted) && call(session.daemon, &Request::new("mount.end-events")).is_ok() {
        let deadline = Instant::now() + CLOSING;
        while is_busy(&unmounted) && Instant::now() < deadline {
            std::thread::sleep(CLOSING / 20);
            unmounted = unmount(mountpoint, Manner::WhenIdle);
        }
    }
    Ok(unmounted?)
}

/// Whether a mount may be taken away from under open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    WhenIdle,
    Lazily,
}

/// Unmounts by the system call, or as a user who is not root by fusermount3.
fn unmount(mountpoint: &Path, manner: Manner) -> Result<()> {
    let flags = match manner {
        Manner::WhenIdle => UnmountFlags::NOFOLLOW,
        Manner::Lazily => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
    };
    match rustix::mount::unmount(mountpoint, flags) {
        Ok(()) => Ok(()),
        Err(Errno::PERM) => unmount_by_fusermount(mountpoint, manner),
        Err(Errno::BUSY) => Err(busy(mountpoint)),
        Err(cause) => Err(Error::io(format!("unmounting {}", mountpoint.display()), cause.into())),
    }
}

fn unmount_by_fusermount(mountpoint: &Path, manner: Manner) -> Result<()> {
    let mut command = Command::new("fusermount3");
    // Its complaints are recognised below by their English words.
    command.env("LC_ALL", "C").stdin(Stdio::null()).arg("-u");
    if manner == Manner::Lazily {
        command.arg("-z");
    }
    let output = command.arg("--").arg(mountpoint).output().map_err(|cause| {
        Error::io("running fusermount3, which unmounts for users who are not root", cause)
            .remedy("install fuse3, or unmount as root")
    })?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false if complaint.contains("busy") => Err(busy(mountpoint)),
        false => Err(Error::new(ErrorKind::Denied, format!("fusermount3 refused: {complaint}"))
            .remedy("unmount as the user who mounted, or as root")),
    }
}

fn busy(mountpoint: &Path) -> Error {
    let shown = mountpoint.display();
    Error::new(ErrorKind::InUse, format!("files on {shown} are open")).remedy(format!(
        "close them (fuser -vm {shown} lists who), or evsfs umount {shown} --force"
    ))
}

/// A process, held so that its number cannot come to mean another.
#[derive(Debug)]
struct Process {
    fd: OwnedFd,
    pid: i32,
}

impl Process {
    fn hold(pid: i32) -> Option<Process> {
        let fd = rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Process { fd, pid })
    }

    /// Waits until the process has ended.
    fn wait(&self, at_most: Duration) -> Result<()> {
        let deadline = Instant::now() + at_most;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
            match rustix::event::poll(&mut polled, Some(&timeout)) {
                Ok(0) => return Err(self.is_slow(at_most)),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(cause) => return Err(Error::io("waiting for the daemon", cause.into())),
            }
        }
    }

    fn is_slow(&self, waited: Duration) -> Error {
        let seconds = waited.as_secs();
        Error::new(
            ErrorKind::InUse,
            format!("the daemon (pid {}) has not ended after {seconds} s", self.pid),
        )
        .remedy("wait, or see what it does in daemon.log of the state directory")
    }
}

#[cfg(test)]
mod tests {
    use super::Process;
    use crate::error::ErrorKind;
    use std::process::Command;
    use std::time::Duration;

    #[test]
    fn waiting_ends_with_the_process_and_not_before() {
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let held = Process::hold(i32::try_from(child.id()).unwrap()).unwrap();
        let error = held.wait(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InUse);
        drop(child.stdin.take());
        held.wait(Duration::from_secs(60)).unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_number_that_is_no_process_is_nobody_to_wait_for() {
        assert!(Process::hold(0).is_none());
        assert!(Process::hold(i32::MAX).is_none());
    }
}
