//! The thread that destroys keys whose deadline has passed, while the daemon runs.

use crate::service::Service;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How late a key may be destroyed; it is unusable from its deadline on whatever this is.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until it is dropped.
pub(super) struct Deadlines {
    _stop: Sender<()>,
}

impl Deadlines {
    pub(super) fn watch(service: Arc<Service>) -> std::io::Result<Deadlines> {
        let (stop, stopped) = channel::<()>();
        std::thread::Builder::new().name("evsfs-deadlines".to_owned()).spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = service.destroy_due_keys() {
                    log::warn!("keys past their deadline were not destroyed: {error}");
                }
            }
        })?;
        Ok(Deadlines { _stop: stop })
    }
}
