//! Threads for requests that may take time.

use crate::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;

type Job = Box<dyn FnOnce() + Send>;

/// A queue of jobs and up to a fixed number of threads, started as they are needed.
#[derive(Clone)]
pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    max_threads: usize,
    // Protects the queue and the counts of threads.
    queue: Mutex<Queue>,
    added: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl Workers {
    /// Workers called `name`, none of them started yet.
    pub fn new(name: &'static str, max_threads: usize) -> Self {
        let queue = Mutex::new(Queue::default());
        Workers { shared: Arc::new(Shared { name, max_threads, queue, added: Condvar::new() }) }
    }

    /// Has a job done soon. When no thread can be started the job is done here.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let shared = &self.shared;
        let mut queue = shared.queue.lock();
        queue.jobs.push_back(Box::new(job));
        if queue.idle >= queue.jobs.len() || queue.threads >= shared.max_threads {
            shared.added.notify_one();
            return;
        }
        queue.threads += 1;
        let worker = shared.clone();
        let started =
            std::thread::Builder::new().name(shared.name.to_owned()).spawn(move || worker.work());
        if let Err(error) = started {
            queue.threads -= 1;
            log::warn!("event=thread-not-started workers={} error=\"{error}\"", shared.name);
            if queue.threads == 0
                && let Some(job) = queue.jobs.pop_back()
            {
                drop(queue);
                job();
            }
        }
    }

    /// Lets the threads end once the queue is empty.
    pub fn close(&self) {
        self.shared.queue.lock().is_closed = true;
        self.shared.added.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job();
                queue = self.queue.lock();
            } else if queue.is_closed {
                queue.threads -= 1;
                return;
            } else {
                queue.idle += 1;
                self.added.wait(&mut queue);
                queue.idle -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Workers;
    use std::sync::mpsc;

    #[test]
    fn jobs_that_wait_for_each_other_are_done_side_by_side() {
        let workers = Workers::new("test", 2);
        let (to_first, first) = mpsc::channel::<()>();
        let (done, finished) = mpsc::channel();
        let first_done = done.clone();
        workers.submit(move || {
            first.recv().unwrap();
            first_done.send(1).unwrap();
        });
        workers.submit(move || {
            to_first.send(()).unwrap();
            done.send(2).unwrap();
        });
        let mut order: Vec<i32> = finished.iter().take(2).collect();
        order.sort_unstable();
        assert_eq!(order, [1, 2]);
        workers.close();
    }

    #[test]
    fn more_jobs_than_threads_are_all_done() {
        let workers = Workers::new("test", 3);
        let (done, finished) = mpsc::channel();
        for number in 0..100 {
            let done = done.clone();
            workers.submit(move || done.send(number).unwrap());
        }
        let mut numbers: Vec<i32> = finished.iter().take(100).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    }
}
