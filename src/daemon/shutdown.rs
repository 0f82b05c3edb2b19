//! Ending on request: by a signal or by `mount.stop`.

use super::service_manager::ServiceManager;
use super::unmounter::Unmounter;
use crate::config::Config;
use crate::error::Result;
use crate::fuse::{Lazily, unmount};
use crate::service::{Service, StopMode};
use crate::sys;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How often it is looked whether the last file was closed.
const POLL: Duration = Duration::from_millis(50);
/// How long the session of a mount that was in use is kept up: whoever asked for the stop through
/// `control` has that file open and reads its answer there.
const LINGER: Duration = Duration::from_millis(500);

/// Whether the kernel ends the session after a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionEnd {
    ByItself,
    /// When the last file is closed, whenever that is.
    Unknown,
}

/// Starts the threads that wait for a request to end and then carry it out. `end` is told when the
/// session may not end by itself, because the mount was in use or could not be taken away.
pub(super) fn on_request(
    service: Arc<Service>,
    config: &Config,
    unmounter: Option<Arc<Unmounter>>,
    manager: ServiceManager,
    end: Sender<Result<()>>,
) -> std::io::Result<()> {
    let signalled = service.clone();
    std::thread::Builder::new().name("evsfs-signals".to_owned()).spawn(move || {
        loop {
            match sys::wait_for_termination() {
                // A second signal means that the grace is to be cut short.
                Ok(_) if signalled.stop_switch().asked().is_some() => {
                    signalled.stop_switch().ask(StopMode::Forced);
                }
                Ok(_) => signalled.stop_switch().ask(StopMode::Graceful),
                Err(error) => return log::error!("event=signals-not-heard error=\"{error}\""),
            }
        }
    })?;
    let mountpoint = config.mountpoint.clone();
    let grace = config.mount.shutdown_grace;
    std::thread::Builder::new().name("evsfs-shutdown".to_owned()).spawn(move || {
        let unmount = |lazily| match &unmounter {
            Some(unmounter) => unmounter.unmount(lazily),
            None => unmount(&mountpoint, lazily),
        };
        let mode = service.stop_switch().wait();
        log::info!("event=stopping mode={mode:?}");
        manager.stopping();
        if stop(&service, unmount, grace) == SessionEnd::Unknown {
            std::thread::sleep(LINGER);
            // The receiver is gone when the session has ended all the same.
            let _ = end.send(Ok(()));
        }
    })?;
    Ok(())
}

/// Ends the jobs, waits for open files, flushes and wipes all disks, unmounts.
fn stop(service: &Service, unmount: impl Fn(Lazily) -> Result<()>, grace: Duration) -> SessionEnd {
    // The grace is for those who have files open, and a job that copies a disk would count as one.
    service.stop_jobs();
    let deadline = Instant::now() + grace;
    while service.stop_switch().asked() != Some(StopMode::Forced)
        && service.attachments().iter().any(|open| open.open_count() > 0)
        && Instant::now() < deadline
    {
        std::thread::sleep(POLL);
    }
    service.close_all();
    // Who waits for an event is at the end of the file, and closes it.
    service.events().close();
    match unmount(Lazily::No) {
        Ok(()) => return SessionEnd::ByItself,
        Err(error) => log::warn!("event=mount-taken-away-in-use error=\"{error}\""),
    }
    if let Err(error) = unmount(Lazily::Yes) {
        log::error!("event=mount-stays-behind error=\"{error}\"");
    }
    SessionEnd::Unknown
}
