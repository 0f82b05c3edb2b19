//! Reads of `.evs/events` that wait for the next event.
//!
//! They hold no event loop and no worker: their replies are kept in a list, and one thread answers
//! them when an event comes. A process that waits must stay killable, for which the protocol has
//! FUSE_INTERRUPT; the library answers that by itself with ENOSYS, after which the kernel sends it no
//! more and waits for the read to be answered, whatever the process is told. So this thread also
//! looks, a few times a second, whether somebody has a signal pending, and ends the read as an
//! interrupt would.

use crate::error::{Error, Result};
use crate::fs::{HandleId, Namespace};
use crate::sync::{Condvar, Mutex};
use crate::sys;
use fuser::{Errno, PollEvents, PollNotifier, ReplyData};
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a signal may take to end a read.
const SIGNAL_LATENCY: Duration = Duration::from_millis(200);

/// The reads that wait, and those who ask to be told.
pub(super) struct WaitingReads {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    namespace: Arc<Namespace>,
    // Protects the lists; no call is made under it.
    waiting: Mutex<Waiting>,
    added: Condvar,
}

#[derive(Default)]
struct Waiting {
    reads: Vec<Read>,
    // One for each open file: the kernel keeps one poll handle a file.
    polls: HashMap<u64, (HandleId, PollNotifier)>,
    is_closed: bool,
}

struct Read {
    handle: HandleId,
    len: usize,
    /// The thread that reads, as this process sees it; 0 when it does not.
    thread: u32,
    reply: ReplyData,
}

/// What is ready of a file that is not waited for: everything, as for any regular file.
pub(super) fn always_ready() -> PollEvents {
    PollEvents::POLLIN | PollEvents::POLLOUT | PollEvents::POLLRDNORM | PollEvents::POLLWRNORM
}

impl WaitingReads {
    /// Nobody waits yet; the thread is started for the first who does.
    pub fn new(namespace: Arc<Namespace>) -> Self {
        let shared =
            Shared { namespace, waiting: Mutex::new(Waiting::default()), added: Condvar::new() };
        WaitingReads { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// Answers a read when there is something to read, or when its thread gets a signal.
    pub fn add(&self, handle: HandleId, len: usize, thread: u32, reply: ReplyData) {
        if self.start().is_err() {
            return reply.error(Errno::EAGAIN);
        }
        let mut waiting = self.shared.waiting.lock();
        if waiting.is_closed {
            drop(waiting);
            return reply.data(&[]);
        }
        waiting.reads.push(Read { handle, len, thread, reply });
        drop(waiting);
        self.shared.added.notify_one();
    }

    /// Tells the kernel when the file can be read.
    pub fn notify(&self, handle: HandleId, notifier: PollNotifier) {
        if self.start().is_err() {
            return;
        }
        let mut waiting = self.shared.waiting.lock();
        waiting.polls.insert(notifier.handle().0, (handle, notifier));
        drop(waiting);
        self.shared.added.notify_one();
    }

    /// A file was closed.
    pub fn forget(&self, handle: HandleId) {
        self.shared.waiting.lock().polls.retain(|_, (of, _)| *of != handle);
    }

    /// Ends the thread; who waits is at the end of the file.
    pub fn close(&self) {
        self.shared.waiting.lock().is_closed = true;
        self.shared.added.notify_one();
        self.shared.namespace.events().close();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            log::error!("event=panicked thread=evsfs-events");
        }
    }

    fn start(&self) -> Result<()> {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let shared = self.shared.clone();
            let started = std::thread::Builder::new()
                .name("evsfs-events".to_owned())
                .spawn(move || shared.work())
                .map_err(|cause| Error::io("starting the thread of waiting reads", cause));
            *thread =
                Some(started.inspect_err(|error| {
                    log::warn!("event=thread-not-started error=\"{error}\"")
                })?);
        }
        Ok(())
    }
}

impl Shared {
    fn work(&self) {
        loop {
            // Taken before the reads are tried: an event that comes meanwhile ends the wait below.
            let seen = self.namespace.events().end();
            let mut waiting = self.waiting.lock();
            while waiting.reads.is_empty() && waiting.polls.is_empty() && !waiting.is_closed {
                self.added.wait(&mut waiting);
            }
            let is_closed = waiting.is_closed;
            let reads = std::mem::take(&mut waiting.reads);
            let polls = std::mem::take(&mut waiting.polls);
            drop(waiting);
            let polls = self.tell(polls);
            let reads = self.answer(reads, is_closed);
            if is_closed {
                return;
            }
            let mut waiting = self.waiting.lock();
            waiting.reads.extend(reads);
            for (number, poll) in polls {
                waiting.polls.entry(number).or_insert(poll);
            }
            drop(waiting);
            self.namespace.events().wait(seen, SIGNAL_LATENCY);
        }
    }

    /// Answers what can be answered; the others go on waiting.
    fn answer(&self, reads: Vec<Read>, is_closed: bool) -> Vec<Read> {
        let mut rest = Vec::new();
        for read in reads {
            match self.namespace.read_events(read.handle, read.len) {
                Some(bytes) => read.reply.data(&bytes),
                None if is_closed => read.reply.data(&[]),
                None if sys::has_pending_signal(read.thread) => read.reply.error(Errno::EINTR),
                None => rest.push(read),
            }
        }
        rest
    }

    fn tell(
        &self,
        polls: HashMap<u64, (HandleId, PollNotifier)>,
    ) -> HashMap<u64, (HandleId, PollNotifier)> {
        let mut rest = HashMap::new();
        for (number, (handle, notifier)) in polls {
            if self.namespace.would_wait(handle) {
                rest.insert(number, (handle, notifier));
            } else if let Err(error) = notifier.notify() {
                log::debug!("event=poll-not-answered error=\"{error}\"");
            }
        }
        rest
    }
}
