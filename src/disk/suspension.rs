//! A disk without its key for a while.
//!
//! Suspending takes the cipher, and with it the data key, from under open handles, and keeps the
//! payload, so that nobody else can open it meanwhile. Requests that need the cipher are refused as
//! `suspended`; whoever passes them on keeps them until the disk is given a cipher again. A flush
//! succeeds at once, for nothing is unwritten, and so do looks at where data lies.

use super::open::{Disk, Live};
use super::payload::Payload;
use crate::crypto::SectorCipher;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Mutex, RwLock};

/// What is left of a suspended disk.
pub(super) struct Suspension {
    // Held by whoever suspends, resumes or revokes, from the beginning to the end of it.
    turn: Mutex<()>,
    // Protects the payload of a disk that is suspended. Changed by whoever has the turn, for a moment;
    // read by whoever looks at the payload.
    payload: RwLock<Option<Payload>>,
}

impl Suspension {
    pub(super) fn none() -> Self {
        Suspension { turn: Mutex::new(()), payload: RwLock::new(None) }
    }

    /// Waits for a suspension or resume under way; whether the disk is suspended then.
    pub(super) fn is_complete(&self) -> bool {
        let _turn = self.turn.lock();
        self.payload.read().is_some()
    }

    /// Ends the disk, suspended or not: waits for a suspension or resume under way, has `revoke` take
    /// what is lent, and drops the payload that is not.
    pub(super) fn end(&self, revoke: impl FnOnce()) {
        let _turn = self.turn.lock();
        revoke();
        let payload = self.payload.write().take();
        drop(payload);
    }
}

impl Disk {
    /// Waits for requests under way, makes durable what was acknowledged, and wipes the data key. The
    /// payload stays open. Later requests are refused as `suspended` until
    /// [`resume`](Self::resume).
    ///
    /// # Errors
    /// `io`, `no-space` of the backing, and the disk then goes on as before; `suspended` when it is
    /// already; `detached`.
    pub fn suspend(&self) -> Result<()> {
        let suspension = &self.suspension;
        let _turn = suspension.turn.lock();
        // While requests go on, so that the flush below, during which they wait, has little to do.
        let live = self.regions.whole()?;
        self.flusher.flush(|| live.payload.flush())?;
        drop(live);
        let Live { cipher, payload } = self.regions.suspend()?;
        *suspension.payload.write() = Some(payload);
        let flushed = self.flusher.flush(|| self.look_at_parked(Payload::flush));
        if let Err(error) = flushed {
            if let Some(payload) = suspension.payload.write().take() {
                self.regions.lend(Live { cipher, payload });
            }
            return Err(error);
        }
        // The round keys are wiped here.
        drop(cipher);
        Ok(())
    }

    /// Gives a suspended disk its cipher back; requests go on.
    ///
    /// # Errors
    /// `wrong-status` when the disk is not suspended; `internal` for the cipher of another kind of
    /// disk; `detached`.
    pub fn resume(&self, cipher: SectorCipher) -> Result<()> {
        let fits = cipher.is_encrypting() == self.is_encrypted()
            && cipher.sector_size() == self.sector_size();
        if !fits {
            return Err(Error::new(ErrorKind::Internal, "a disk was given another disk's cipher"));
        }
        let _turn = self.suspension.turn.lock();
        let Some(payload) = self.suspension.payload.write().take() else {
            // Says so if the disk is detached.
            self.regions.whole()?;
            return Err(Error::new(ErrorKind::WrongStatus, "the disk is not suspended"));
        };
        self.regions.lend(Live { cipher, payload });
        Ok(())
    }

    /// Whether requests are refused as `suspended`, from the beginning of
    /// [`suspend`](Self::suspend) to the end of [`resume`](Self::resume).
    pub fn is_suspended(&self) -> bool {
        self.regions.is_suspended()
    }

    /// Looks at the payload for what takes no cipher, suspended or not, and waits for neither a
    /// suspension nor a resume.
    pub(super) fn look_at_payload<R>(&self, look: impl Fn(&Payload) -> Result<R>) -> Result<R> {
        match self.regions.whole() {
            Ok(live) => look(&live.payload),
            Err(error) if error.kind() == ErrorKind::Suspended => self.look_at_parked(look),
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// `suspended` in the moment between having the key and being suspended.
    fn look_at_parked<R>(&self, look: impl Fn(&Payload) -> Result<R>) -> Result<R> {
        match &*self.suspension.payload.read() {
            Some(payload) => look(payload),
            None => Err(Error::new(ErrorKind::Suspended, "the disk is being suspended")),
        }
    }
}
