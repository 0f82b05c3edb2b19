//! What the service manager is told (sd_notify(3)): readiness, a status line, signs of life.
//!
//! Without `$NOTIFY_SOCKET` nobody listens and nothing is sent.

use crate::error::Result;
use crate::service::Service;
use crate::sys;
use sd_notify::NotifyState;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often the status line is looked at when nothing happens.
const LOOK: Duration = Duration::from_secs(60);

/// The mount answers: says so, and from now on how many disks are attached, and, if the service manager
/// has a watchdog, that the mount still answers.
///
/// # Errors
/// `io` when a thread cannot be started.
pub(super) fn ready(service: &Arc<Service>, mountpoint: PathBuf) -> Result<()> {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return Ok(());
    }
    tell(&[NotifyState::Ready, NotifyState::Status(&status_of(service))]);
    let watched = service.clone();
    std::thread::Builder::new()
        .name("evsfs-status".to_owned())
        .spawn(move || keep_status(&watched))
        .map_err(|cause| crate::error::Error::io("starting a thread", cause))?;
    if let Some(patience) = sd_notify::watchdog_enabled() {
        // A request to the mount is what shows that it answers. It waits for as long as it does not, and
        // then nobody gives signs of life.
        sys::spawn_apart("evsfs-watchdog", (mountpoint, patience / 2), |(mountpoint, pause)| {
            loop {
                if std::fs::metadata(mountpoint.join(".evs/version")).is_ok() {
                    tell(&[NotifyState::Watchdog]);
                }
                std::thread::sleep(pause);
            }
        })?;
    }
    Ok(())
}

/// The mount is about to go.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("Flushing and wiping disks")]);
}

fn keep_status(service: &Service) {
    let mut told = String::new();
    let mut seen = service.events().end();
    while service.stop_switch().asked().is_none() {
        let status = status_of(service);
        if status != told {
            tell(&[NotifyState::Status(&status)]);
            told = status;
        }
        let now = service.events().wait(seen, LOOK);
        if now == seen {
            // Also where no event can come any more.
            std::thread::sleep(Duration::from_secs(1));
        }
        seen = now;
    }
}

fn status_of(service: &Service) -> String {
    let attached = service.attachments();
    let suspended = attached.iter().filter(|open| open.disk().is_suspended()).count();
    match suspended {
        0 => format!("{} disks attached", attached.len()),
        _ => format!("{} disks attached, {suspended} of them suspended", attached.len()),
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("the service manager was not told: {error}");
    }
}
