//! All jobs, and those that wait for their turn.

use super::context::JobContext;
use super::job::{Job, Wish};
use crate::error::{Error, ErrorKind, Result};
use crate::id::JobId;
use crate::service::Service;
use crate::sync::thread::JoinHandle;
use crate::sync::{Mutex, has_ended};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What a job does, on a thread of its own.
pub type Work = Box<dyn FnOnce(&Service, &JobContext<'_>) -> Result<()> + Send>;

/// More jobs than this are not taken on.
const MAX_QUEUED: usize = 256;

/// The jobs of a project.
pub struct Jobs {
    at_a_time: usize,
    // Protects all below; held for look-ups only.
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    all: HashMap<JobId, Arc<Job>>,
    queue: VecDeque<(Arc<Job>, Work)>,
    threads: usize,
    handles: Vec<JoinHandle<()>>,
    is_closed: bool,
}

impl Jobs {
    /// No jobs, of which so many will run at a time.
    pub fn new(at_a_time: usize) -> Jobs {
        Jobs { at_a_time: at_a_time.max(1), table: Mutex::new(Table::default()) }
    }

    /// The job with this id.
    pub fn get(&self, id: JobId) -> Option<Arc<Job>> {
        self.table.lock().all.get(&id).cloned()
    }

    /// All jobs, the newest last.
    pub fn all(&self) -> Vec<Arc<Job>> {
        let mut jobs: Vec<_> = self.table.lock().all.values().cloned().collect();
        jobs.sort_by_key(|job| (job.created(), job.id()));
        jobs
    }

    /// Adds a job that has ended.
    pub(super) fn add(&self, job: Arc<Job>) {
        self.table.lock().all.insert(job.id(), job);
    }

    pub(super) fn remove(&self, id: JobId) {
        self.table.lock().all.remove(&id);
    }

    /// Adds a job that waits for its turn; says whether a thread is to be started for it.
    ///
    /// # Errors
    /// `quota` when too many wait; `wrong-status` when the daemon ends.
    pub(super) fn enqueue(&self, job: Arc<Job>, work: Work) -> Result<bool> {
        let mut table = self.table.lock();
        if table.is_closed {
            return Err(Error::new(ErrorKind::WrongStatus, "the daemon is being stopped"));
        }
        if table.queue.len() >= MAX_QUEUED {
            return Err(Error::new(ErrorKind::Quota, format!("{MAX_QUEUED} jobs wait already"))
                .remedy("wait for some to end: evsfs job list"));
        }
        table.all.insert(job.id(), job.clone());
        table.queue.push_back((job, work));
        let needs_thread = table.threads < self.at_a_time;
        if needs_thread {
            table.threads += 1;
        }
        Ok(needs_thread)
    }

    /// The next job to run; `None` ends the thread that asks.
    pub(super) fn next(&self) -> Option<(Arc<Job>, Work)> {
        let mut table = self.table.lock();
        let next = if table.is_closed { None } else { table.queue.pop_front() };
        if next.is_none() {
            table.threads -= 1;
        }
        next
    }

    /// A thread was started.
    pub(super) fn started(&self, thread: JoinHandle<()>) {
        let mut table = self.table.lock();
        table.handles.retain(|handle| !has_ended(handle));
        table.handles.push(thread);
    }

    /// A thread could not be started; the jobs that no thread will come for are given back.
    pub(super) fn not_started(&self) -> Vec<Arc<Job>> {
        let mut table = self.table.lock();
        table.threads -= 1;
        match table.threads {
            0 => table.queue.drain(..).map(|(job, _)| job).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes a job that still waits out of the queue; says whether it did.
    pub(super) fn withdraw(&self, id: JobId) -> bool {
        let mut table = self.table.lock();
        let at = table.queue.iter().position(|(job, _)| job.id() == id);
        // The work is dropped outside the lock, whatever it holds.
        let withdrawn = at.and_then(|at| table.queue.remove(at));
        drop(table);
        withdrawn.is_some()
    }

    /// Takes no more jobs, asks those that run to end and waits for them; gives back those that
    /// were waiting.
    pub(super) fn close(&self) -> Vec<Arc<Job>> {
        let mut table = self.table.lock();
        table.is_closed = true;
        let waiting: Vec<_> = table.queue.drain(..).map(|(job, _)| job).collect();
        let handles = std::mem::take(&mut table.handles);
        table.all.values().for_each(|job| job.ask(Wish::Stop));
        drop(table);
        for handle in handles {
            if handle.join().is_err() {
                log::error!("event=panicked thread=jobs");
            }
        }
        waiting
    }
}
