//! Jobs.

use super::time::shown_time;
use crate::auth::{Action, Caller};
use crate::error::{Refusal, Result};
use crate::id::{JobId, Uid};
use crate::service::{Job, Service};
use serde::Serialize;
use std::time::Instant;

/// A job; the fields are the files of its control directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobInfo {
    /// Its id.
    pub id: JobId,
    /// What it does, such as `rewrap-all`.
    pub kind: &'static str,
    /// To what.
    pub subject: String,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    pub state: &'static str,
    /// Percent done, where the total is known.
    pub progress: Option<u64>,
    /// What has been done.
    pub done: u64,
    /// What there is to do, where it is known.
    pub total: Option<u64>,
    /// What `done`, `total`, `rate` and `limit` count: `bytes` or `keys`.
    pub unit: &'static str,
    /// Units a second, lately.
    pub rate: u64,
    /// Seconds that the rest will take, where that can be said.
    pub remaining: Option<u64>,
    /// Units a second that it keeps to.
    pub limit: Option<u64>,
    /// The uid of its owner.
    pub owner: Uid,
    /// When it was asked for, RFC 3339.
    pub created: String,
    /// When its work began, RFC 3339.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub finished: Option<String>,
    /// Why it failed.
    pub error: Option<Refusal>,
}

impl Service {
    pub(in crate::service) fn list_jobs(&self, caller: Caller) -> Result<Vec<JobInfo>> {
        let _permit = self.permit(caller, Action::EnterControl)?;
        Ok(self.visible_jobs(caller).iter().map(|job| self.describe_job(job)).collect())
    }

    /// A job as replies, events and control files show it.
    pub fn describe_job(&self, job: &Job) -> JobInfo {
        let (life, progress, now) = (job.life(), job.progress(), Instant::now());
        JobInfo {
            id: job.id(),
            kind: job.kind().name(),
            subject: job.subject().to_owned(),
            state: life.state.name(),
            progress: progress.percent(),
            done: progress.done(),
            total: progress.total(),
            unit: job.kind().unit().name(),
            // Whole units are enough to look at, and what is less than one is none.
            rate: progress.rate(now).round() as u64,
            remaining: progress.remaining(now).map(|rest| rest.as_secs()),
            limit: job.limit(),
            owner: job.owner(),
            created: shown_time(job.created()),
            started: life.started.map(shown_time),
            finished: life.finished.map(shown_time),
            error: life.error,
        }
    }
}
