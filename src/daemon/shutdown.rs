//! Ending on request: by a signal or by `mount.stop`.

use crate::config::Config;
use crate::fuse::{Lazily, unmount};
use crate::service::{Service, StopMode};
use crate::sys;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked whether the last file was closed.
const POLL: Duration = Duration::from_millis(50);

/// Starts the threads that wait for a request to end and then carry it out.
pub(super) fn on_request(service: Arc<Service>, config: &Config) -> std::io::Result<()> {
    let signalled = service.clone();
    std::thread::Builder::new().name("evsfs-signals".to_owned()).spawn(move || {
        loop {
            match sys::wait_for_termination() {
                // A second signal means that the grace is to be cut short.
                Ok(_) if signalled.stop_switch().asked().is_some() => {
                    signalled.stop_switch().ask(StopMode::Forced);
                }
                Ok(_) => signalled.stop_switch().ask(StopMode::Graceful),
                Err(error) => return log::error!("signals are not heard any more: {error}"),
            }
        }
    })?;
    let mountpoint = config.mountpoint.clone();
    let grace = config.mount.shutdown_grace;
    std::thread::Builder::new()
        .name("evsfs-shutdown".to_owned())
        .spawn(move || stop(&service, mountpoint, grace))?;
    Ok(())
}

/// Waits for the request and for open files, flushes and wipes all disks, unmounts.
fn stop(service: &Service, mountpoint: PathBuf, grace: Duration) {
    let mode = service.stop_switch().wait();
    log::info!("stopping mode={mode:?}");
    let deadline = Instant::now() + grace;
    while service.stop_switch().asked() != Some(StopMode::Forced)
        && service.attachments().iter().any(|open| open.open_count() > 0)
        && Instant::now() < deadline
    {
        std::thread::sleep(POLL);
    }
    service.close_all();
    let unmounted = unmount(&mountpoint, Lazily::No).or_else(|error| {
        log::warn!("the mount is taken away while it is in use: {error}");
        unmount(&mountpoint, Lazily::Yes)
    });
    if let Err(error) = unmounted {
        log::error!("the mount stays behind: {error}");
    }
}
