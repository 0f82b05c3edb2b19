//! A measurement that is not wanted any more.

use crate::error::{Error, Result};
use crate::sys::{block_termination_signals, wait_for_termination};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised by SIGINT, SIGTERM and SIGHUP, which then do not end the process.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    // Relaxed: it orders nothing.
    raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Catches the signals from now on. To be called before any thread is started.
    ///
    /// # Errors
    /// `io` when the kernel refuses.
    pub fn catch() -> Result<Interrupt> {
        block_termination_signals()?;
        let interrupt = Interrupt::default();
        let raised = interrupt.clone();
        std::thread::Builder::new()
            .name("evsfs-signals".to_owned())
            .spawn(move || {
                while wait_for_termination().is_ok() {
                    raised.raise();
                }
            })
            .map_err(|cause| Error::io("starting a thread for signals", cause))?;
        Ok(interrupt)
    }

    /// Ends what is measured.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Goes on only while it was not raised.
    ///
    /// # Errors
    /// `io`, interrupted.
    pub fn check(&self) -> Result<()> {
        match self.is_raised() {
            false => Ok(()),
            true => Err(Error::io("measuring", std::io::ErrorKind::Interrupted.into())
                .remedy("let it run to its end")),
        }
    }
}
