//! The thread that keeps the dates of keys while the daemon runs: deletion, expiry, rotation.

use crate::service::Service;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How late a date may be kept; a key is unusable from its deadline on whatever this is.
const INTERVAL: Duration = Duration::from_secs(1);
/// The longest pause after failures, so that a module in trouble is not asked over and over.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs until it is dropped.
pub(super) struct Deadlines {
    _stop: Sender<()>,
}

impl Deadlines {
    pub(super) fn watch(service: Arc<Service>) -> std::io::Result<Deadlines> {
        let (stop, stopped) = channel::<()>();
        std::thread::Builder::new().name("evsfs-deadlines".to_owned()).spawn(move || {
            let mut pause = INTERVAL;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = match service.keep_dates_of_keys() {
                    Ok(()) => INTERVAL,
                    Err(error) => {
                        log::warn!("event=key-date-not-kept error=\"{error}\"");
                        pause.saturating_mul(2).min(LONGEST_PAUSE)
                    }
                };
            }
        })?;
        Ok(Deadlines { _stop: stop })
    }
}
