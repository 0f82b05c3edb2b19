//! The switch that ends the daemon.

use super::commands::StopMode;
use crate::sync::{Condvar, Mutex};

/// Set by `mount.stop` or a signal, waited for by the daemon.
#[derive(Default)]
pub struct StopSwitch {
    // Protects the request; a forced one replaces a graceful one.
    asked: Mutex<Option<StopMode>>,
    changed: Condvar,
}

impl StopSwitch {
    /// Asks the daemon to end.
    pub fn ask(&self, mode: StopMode) {
        let mut asked = self.asked.lock();
        if *asked != Some(StopMode::Forced) {
            *asked = Some(mode);
        }
        self.changed.notify_all();
    }

    /// Sleeps until somebody asks.
    pub fn wait(&self) -> StopMode {
        let mut asked = self.asked.lock();
        loop {
            match *asked {
                Some(mode) => return mode,
                None => self.changed.wait(&mut asked),
            }
        }
    }

    /// What has been asked so far.
    pub fn asked(&self) -> Option<StopMode> {
        *self.asked.lock()
    }
}
