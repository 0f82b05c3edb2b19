//! Requests of suspended disks, which wait until the disk is resumed or detached.
//!
//! They hold no event loop and no worker: each is kept with its reply as something to carry out anew,
//! and one thread looks, some times a second, whose turn has come. Like those of a block device that is
//! suspended, or of a network file system that is away, such a wait is ended by what kills the
//! process and by no other signal; the kernel, too, waits for the reply however the process ends.

use crate::fs::{HandleId, Namespace};
use crate::sync::{Condvar, Mutex};
use crate::sys;
use crate::sys::Fate;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a resume may take to be noticed.
const LATENCY: Duration = Duration::from_millis(20);
/// How many of these a signal may take.
const ROUNDS_A_LOOK: u32 = 10;

/// Why a request does not wait any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The disk is not suspended any more.
    TryAgain,
    /// The process that waits is being killed.
    GiveUp,
}

/// What a request means to the thread that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stake {
    /// Nothing, once the thread has ended: readahead, whose pages others then read for themselves.
    EndsWithIt,
    /// It is to be carried out whatever becomes of the thread: it may be a kernel's that writes back
    /// what somebody else has written.
    OutlivesIt,
}

/// The requests that wait.
pub(super) struct Parked {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    namespace: Arc<Namespace>,
    // Protects the list; nothing is carried out under it.
    waiting: Mutex<Waiting>,
    added: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<Request>,
    is_closed: bool,
}

struct Request {
    handle: HandleId,
    /// The thread that asked, as this process sees it; 0 when it does not.
    thread: u32,
    stake: Stake,
    carry_out: Box<dyn FnOnce(Turn) + Send>,
}

impl Parked {
    /// Nobody waits yet; the thread is started for the first who does.
    pub fn new(namespace: Arc<Namespace>) -> Self {
        let shared =
            Shared { namespace, waiting: Mutex::new(Waiting::default()), added: Condvar::new() };
        Parked { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// Keeps a request that was refused as `suspended`. `carry_out` is called once and must not take
    /// long; when it is dropped instead, because the mount is gone, so is the reply in it.
    pub fn add(
        &self,
        handle: HandleId,
        thread: u32,
        stake: Stake,
        carry_out: impl FnOnce(Turn) + Send + 'static,
    ) {
        if !self.has_thread() {
            return carry_out(Turn::GiveUp);
        }
        let mut waiting = self.shared.waiting.lock();
        if !waiting.is_closed {
            let carry_out = Box::new(carry_out);
            waiting.requests.push(Request { handle, thread, stake, carry_out });
            drop(waiting);
            self.shared.added.notify_one();
        }
    }

    /// Ends the thread; who waits is not answered.
    pub fn close(&self) {
        self.shared.waiting.lock().is_closed = true;
        self.shared.added.notify_one();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            log::error!("event=panicked thread=evsfs-parked");
        }
    }

    fn has_thread(&self) -> bool {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let shared = self.shared.clone();
            let name = "evsfs-parked".to_owned();
            match std::thread::Builder::new().name(name).spawn(move || shared.work()) {
                Ok(started) => *thread = Some(started),
                Err(error) => log::warn!("event=thread-not-started error=\"{error}\""),
            }
        }
        thread.is_some()
    }
}

impl Request {
    fn is_given_up(&self) -> bool {
        match sys::fate_of_thread(self.thread) {
            Fate::GoesOn => false,
            Fate::IsBeingKilled => true,
            Fate::Ended => self.stake == Stake::EndsWithIt,
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut round = 0_u32;
        loop {
            let mut waiting = self.waiting.lock();
            while waiting.requests.is_empty() && !waiting.is_closed {
                self.added.wait(&mut waiting);
            }
            if waiting.is_closed {
                // Dropped without the lock.
                let unanswered = std::mem::take(&mut waiting.requests);
                drop(waiting);
                drop(unanswered);
                return;
            }
            let requests = std::mem::take(&mut waiting.requests);
            drop(waiting);
            round = round.wrapping_add(1);
            let looks_for_signals = round.is_multiple_of(ROUNDS_A_LOOK);
            let mut rest = Vec::with_capacity(requests.len());
            for request in requests {
                if !self.namespace.is_suspended(request.handle) {
                    (request.carry_out)(Turn::TryAgain);
                } else if looks_for_signals && request.is_given_up() {
                    (request.carry_out)(Turn::GiveUp);
                } else {
                    rest.push(request);
                }
            }
            let mut waiting = self.waiting.lock();
            waiting.requests.extend(rest);
            if !waiting.is_closed {
                self.added.wait_for(&mut waiting, LATENCY);
            }
        }
    }
}
