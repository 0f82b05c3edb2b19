//! Long work: queued, run a few at a time at low priority, watched, limited, cancelled.
//!
//! A verb that takes long checks everything it can, then calls [`Service::start_job`](super::Service::start_job) with the work
//! and answers the job's id. The work is called on a thread of its own with the service and a
//! [`JobContext`], to which it reports what it has done; that is where it is held back to its limit
//! and where it learns that it was cancelled or the daemon ends. It then returns the error it was
//! given, after it has removed what it began: a job that is not done leaves nothing behind.
//!
//! Users of disks come first: a job's threads have a low priority, and while disks are used it works
//! in small pieces with pauses between them.
//!
//! Every job has an authenticated record, `jobs/<id>.toml`, written when its state changes. A job that
//! a crash or a stop interrupted is resumed if its kind can begin anew, else it is listed as failed;
//! what it left is removed by those who load the objects it was making.

mod context;
mod job;
mod kind;
mod limit;
mod progress;
mod queue;
mod record;
mod runner;
mod startup;
mod state;
mod users;

pub use context::JobContext;
pub use job::Job;
pub use kind::{JobKind, JobUnit};
pub use limit::Limit;
pub use queue::Jobs;
pub use runner::NewJob;
pub use startup::check_job_record;
pub use state::{JobEvent, JobState};
