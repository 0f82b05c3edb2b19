//! What the service manager is told (sd_notify(3)): readiness, a status line, signs of life.
//!
//! Without `$NOTIFY_SOCKET` nobody listens and nothing is sent. The socket is connected before the
//! daemon restricts itself, after which it can make none.

use crate::error::{Error, Result};
use crate::service::Service;
use crate::sys;
use sd_notify::NotifyState;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// How soon a change is seen in the status line.
const LOOK: Duration = Duration::from_secs(1);

/// Whoever started this process and wants to be told; a clone is the same one.
#[derive(Clone)]
pub(super) struct ServiceManager {
    socket: Option<Arc<UnixDatagram>>,
}

impl ServiceManager {
    /// As the environment says.
    pub fn find() -> Self {
        let connected = std::env::var_os("NOTIFY_SOCKET").map(|name| {
            let address = match name.as_bytes() {
                // The abstract namespace (unix(7)).
                [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
                _ => SocketAddr::from_pathname(&name),
            }?;
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(&address)?;
            std::io::Result::Ok(Arc::new(socket))
        });
        let socket = connected.and_then(|connected| {
            connected
                .inspect_err(|error| log::warn!("event=no-service-manager error=\"{error}\""))
                .ok()
        });
        ServiceManager { socket }
    }

    /// The mount answers: says so, and from now on how many disks are attached, and, if the service
    /// manager has a watchdog, that the mount still answers.
    ///
    /// # Errors
    /// `io` when a thread cannot be started.
    pub fn ready(&self, service: &Arc<Service>, mountpoint: PathBuf) -> Result<()> {
        if self.socket.is_none() {
            return Ok(());
        }
        self.tell(&[NotifyState::Ready, NotifyState::Status(&status_of(service))]);
        // A request to the mount is what shows that it answers. It waits for as long as it does not, and
        // then nobody gives signs of life.
        let (alive, signs) = sync_channel(1);
        if let Some(patience) = sd_notify::watchdog_enabled() {
            let watch = (mountpoint, patience / 2, alive.clone());
            sys::spawn_apart("evsfs-watchdog", watch, |(mountpoint, pause, alive)| {
                look_at(&mountpoint.join(".evs/version"), pause, &alive);
            })?;
        }
        let (manager, watched) = (self.clone(), service.clone());
        std::thread::Builder::new()
            .name("evsfs-status".to_owned())
            .spawn(move || {
                // Held, so that the channel stays open where nobody watches.
                let _alive = alive;
                let mut told = String::new();
                while watched.stop_switch().asked().is_none() {
                    let status = status_of(&watched);
                    if status != told {
                        manager.tell(&[NotifyState::Status(&status)]);
                        told = status;
                    }
                    match signs.recv_timeout(LOOK) {
                        Ok(()) => manager.tell(&[NotifyState::Watchdog]),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            })
            .map_err(|cause| Error::io("starting a thread", cause))?;
        Ok(())
    }

    /// The mount is about to go.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("Flushing and wiping disks")]);
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let lines: String = state.iter().map(|state| format!("{state}\n")).collect();
        if let Err(error) = socket.send(lines.as_bytes()) {
            log::warn!("event=service-manager-not-told error=\"{error}\"");
        }
    }
}

/// Gives a sign of life whenever the mount has answered, until nobody wants any.
fn look_at(file: &std::path::Path, pause: Duration, alive: &SyncSender<()>) {
    loop {
        if std::fs::metadata(file).is_ok() && alive.send(()).is_err() {
            return;
        }
        std::thread::sleep(pause);
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
