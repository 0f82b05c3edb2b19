//! Calls that may take longer than anybody wants to wait.
//!
//! A PKCS#11 call cannot be interrupted. It is made on a thread of a small pool, and who asked for
//! it waits for a limited time. A call that is late goes on by itself; while the token hangs, no
//! more than [`THREADS`] calls hang with it, and those that come after wait in vain for the same
//! limited time.

use crate::sync::{Condvar, Mutex};
use crate::sys::join_sandbox;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Calls at the same time, and so the most sessions that are ever open.
pub(super) const THREADS: usize = 8;

/// How long the end of a pool waits for its threads.
const FAREWELL: Duration = Duration::from_millis(500);

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads for slow calls.
#[derive(Default)]
pub(super) struct Patience {
    pool: Arc<Pool>,
}

#[derive(Default)]
struct Pool {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
    is_closed: bool,
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoResult {
    /// It took too long.
    Late,
    /// The call panicked, or no thread could be started.
    Failed,
}

enum Ticket<T> {
    Waiting,
    Done(T),
    Failed,
    Abandoned,
}

impl Patience {
    /// The result of `work`, unless it takes longer than `limit`. Of work that comes to its end
    /// after that, the result goes to `regret`; work that has not begun by then is not done.
    pub fn call<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
        regret: impl FnOnce(T) + Send + 'static,
    ) -> Result<T, NoResult> {
        let deadline = Instant::now() + limit;
        let ticket = Arc::new((Mutex::new(Ticket::Waiting), Condvar::new()));
        let kept = Arc::clone(&ticket);
        let is_submitted = self.submit(Box::new(move || {
            let (state, done) = &*ticket;
            if matches!(*state.lock(), Ticket::Abandoned) {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(work));
            let mut state = state.lock();
            match (result, &*state) {
                (Ok(result), Ticket::Abandoned) => {
                    drop(state);
                    regret(result);
                    return;
                }
                (Ok(result), _) => *state = Ticket::Done(result),
                (Err(_), _) => *state = Ticket::Failed,
            }
            // What it holds is let go before the caller goes on, who may be about to end the process:
            // a session closed here meanwhile would be closed in a module that is being unloaded.
            drop(regret);
            done.notify_all();
        }));
        if !is_submitted {
            return Err(NoResult::Failed);
        }
        let (state, done) = &*kept;
        let mut state = state.lock();
        while matches!(*state, Ticket::Waiting) {
            if done.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        match std::mem::replace(&mut *state, Ticket::Abandoned) {
            Ticket::Done(result) => Ok(result),
            Ticket::Failed => Err(NoResult::Failed),
            Ticket::Waiting | Ticket::Abandoned => Err(NoResult::Late),
        }
    }

    fn submit(&self, job: Job) -> bool {
        let mut queue = self.pool.queue.lock();
        queue.jobs.push_back(job);
        if queue.idle < queue.jobs.len() && queue.threads.len() < THREADS {
            let pool = Arc::clone(&self.pool);
            let started = std::thread::Builder::new()
                .name("evsfs-token".to_owned())
                .spawn(move || pool.serve());
            match started {
                Ok(thread) => queue.threads.push(thread),
                Err(_) if queue.threads.is_empty() => {
                    queue.jobs.clear();
                    return false;
                }
                Err(_) => {}
            }
        }
        drop(queue);
        self.pool.wake.notify_one();
        true
    }
}

impl Pool {
    fn serve(&self) {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // The first of these threads are older than the sandbox.
                join_sandbox();
                // What panics here is the regret of a late call; the thread lives on.
                let _ = catch_unwind(AssertUnwindSafe(job));
                queue = self.queue.lock();
            } else if queue.is_closed {
                return;
            } else {
                queue.idle += 1;
                self.wake.wait(&mut queue);
                queue.idle -= 1;
            }
        }
    }
}

impl Drop for Patience {
    /// Waits for the threads that no token keeps: what libraries hold for a thread goes with it, and must
    /// not go while the process, which may be ending, unloads them.
    fn drop(&mut self) {
        let mut queue = self.pool.queue.lock();
        queue.is_closed = true;
        let threads = std::mem::take(&mut queue.threads);
        drop(queue);
        self.pool.wake.notify_all();
        let deadline = Instant::now() + FAREWELL;
        for thread in threads {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // What panicked in it was caught.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn a_call_in_time_gives_its_result_and_a_panic_is_told() {
        let patience = Patience::default();
        assert_eq!(patience.call(LONG, || 7, |_| ()), Ok(7));
        let panicked = patience.call(LONG, || -> u8 { panic!("in a test") }, |_| ());
        assert_eq!(panicked, Err(NoResult::Failed));
        assert_eq!(patience.call(LONG, || 8, |_| ()), Ok(8));
    }

    #[test]
    fn a_program_that_ends_after_a_call_leaves_no_thread_in_the_module() {
        let patience = Patience::default();
        for _ in 0..1000 {
            let session = Arc::new(());
            let (by_work, by_regret) = (Arc::clone(&session), Arc::clone(&session));
            let done = patience.call(LONG, move || drop(by_work), move |()| drop(by_regret));
            assert_eq!((done, Arc::strong_count(&session)), (Ok(()), 1));
        }
    }

    #[test]
    fn threads_have_ended_when_the_pool_has() {
        thread_local! { static HELD: RefCell<Option<Arc<()>>> = const { RefCell::new(None) } }
        let held = Arc::new(());
        for _ in 0..100 {
            let patience = Patience::default();
            let of_thread = Arc::clone(&held);
            let held_by_it = move || HELD.set(Some(of_thread));
            assert_eq!(patience.call(LONG, held_by_it, |()| ()), Ok(()));
            drop(patience);
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }

    #[test]
    fn a_late_call_is_regretted_when_it_ends() {
        let patience = Patience::default();
        let ((go, wait), (told, hear)) = (channel::<()>(), channel());
        let late =
            patience.call(SHORT, move || wait.recv().is_ok(), move |r| told.send(r).unwrap());
        assert_eq!(late, Err(NoResult::Late));
        go.send(()).unwrap();
        assert_eq!(hear.recv_timeout(LONG), Ok(true));
    }

    #[test]
    fn while_all_threads_hang_others_are_told_and_their_work_is_not_done_later() {
        let patience = Patience::default();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock();
        for _ in 0..THREADS {
            let gate = Arc::clone(&gate);
            assert_eq!(
                patience.call(SHORT, move || drop(gate.lock()), |()| ()),
                Err(NoResult::Late)
            );
        }
        let done = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&done);
        let late = patience.call(SHORT, move || count.fetch_add(1, Ordering::Relaxed), |_| ());
        assert_eq!(late, Err(NoResult::Late));
        drop(closed);
        assert_eq!(patience.call(LONG, || 9, |_| ()), Ok(9));
        assert_eq!(done.load(Ordering::Relaxed), 0);
    }
}
