//! One job, as all who have to do with it share it.

use super::kind::JobKind;
use super::progress::Progress;
use super::record::JobRecord;
use super::state::{JobEvent, JobState};
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::id::{JobId, Uid};
use crate::sync::{Condvar, Mutex};
use std::time::Instant;

/// What is wanted of a job that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    GoOn,
    /// Its owner does not want it any more.
    Cancel,
    /// The daemon ends.
    Stop,
}

/// A job.
#[derive(Debug)]
pub struct Job {
    id: JobId,
    kind: JobKind,
    subject: String,
    owner: Uid,
    limit: Option<u64>,
    created: jiff::Timestamp,
    progress: Progress,
    // Protects the state and what goes with it.
    life: Mutex<Life>,
    // Protects the wish; waited on by work that is held back.
    wish: Mutex<Wish>,
    wished: Condvar,
}

/// The changing part of a [`Job`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Where it is.
    pub state: JobState,
    /// When its work began.
    pub started: Option<jiff::Timestamp>,
    /// When it ended.
    pub finished: Option<jiff::Timestamp>,
    /// Why it failed.
    pub error: Option<Refusal>,
}

impl Life {
    /// What it is after an event that can happen in this state.
    pub(super) fn after(
        &self,
        event: JobEvent,
        now: jiff::Timestamp,
        error: Option<Refusal>,
    ) -> Option<Life> {
        let state = self.state.after(event)?;
        let (started, finished) = match event {
            JobEvent::Start => (Some(now), self.finished),
            JobEvent::Requeue => (None, self.finished),
            JobEvent::Finish | JobEvent::Fail | JobEvent::Cancel => (self.started, Some(now)),
        };
        Some(Life { state, started, finished, error })
    }
}

impl Job {
    /// The job that a record tells of.
    pub(super) fn from_record(record: JobRecord) -> Job {
        Job {
            id: record.id,
            kind: record.kind,
            subject: record.subject,
            owner: record.owner,
            limit: record.limit,
            created: record.created,
            progress: Progress::of(record.done, record.total.unwrap_or(0)),
            life: Mutex::new(Life {
                state: record.state,
                started: record.started,
                finished: record.finished,
                error: record.error,
            }),
            wish: Mutex::new(Wish::GoOn),
            wished: Condvar::new(),
        }
    }

    /// What is to be remembered of it.
    pub(super) fn record(&self) -> JobRecord {
        self.record_with(self.life())
    }

    /// What will be to be remembered of it once its life has come to this.
    pub(super) fn record_with(&self, life: Life) -> JobRecord {
        let Life { state, started, finished, error } = life;
        JobRecord {
            id: self.id,
            kind: self.kind,
            subject: self.subject.clone(),
            owner: self.owner,
            limit: self.limit,
            created: self.created,
            state,
            done: self.progress.done(),
            total: self.progress.total(),
            started,
            finished,
            error,
        }
    }

    /// Its id.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// What it does.
    pub fn kind(&self) -> JobKind {
        self.kind
    }

    /// To what, in the words of the command that began it.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who began it.
    pub fn owner(&self) -> Uid {
        self.owner
    }

    /// Units a second that it keeps to.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// When it was asked for.
    pub fn created(&self) -> jiff::Timestamp {
        self.created
    }

    /// How far it has got.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Its state and what goes with it.
    pub fn life(&self) -> Life {
        self.life.lock().clone()
    }

    /// Moves the state on; says whether it could.
    pub(super) fn happen(
        &self,
        event: JobEvent,
        now: jiff::Timestamp,
        error: Option<Refusal>,
    ) -> bool {
        let mut life = self.life.lock();
        let Some(next) = life.after(event, now, error) else { return false };
        self.enter(&mut life, next);
        true
    }

    /// Makes what was recorded of its end visible.
    pub(super) fn end(&self, life: Life) {
        self.enter(&mut self.life.lock(), life);
    }

    fn enter(&self, life: &mut Life, next: Life) {
        *life = next;
        match life.state {
            JobState::Running => self.progress.begin(Instant::now()),
            _ => self.progress.end(),
        }
    }

    /// Asks the work to end; a stop does not undo a cancel.
    pub(super) fn ask(&self, asked: Wish) {
        let mut wish = self.wish.lock();
        if *wish == Wish::GoOn {
            *wish = asked;
        }
        drop(wish);
        self.wished.notify_all();
    }

    pub(super) fn wish(&self) -> Wish {
        *self.wish.lock()
    }

    /// Sleeps until a moment, or until the work is asked to end.
    ///
    /// # Errors
    /// `wrong-status` when it is.
    pub(super) fn pause_until(&self, moment: Instant) -> Result<()> {
        let mut wish = self.wish.lock();
        while *wish == Wish::GoOn {
            if self.wished.wait_until(&mut wish, moment).timed_out() {
                break;
            }
        }
        let why = match *wish {
            Wish::GoOn => return Ok(()),
            Wish::Cancel => "the job was cancelled",
            Wish::Stop => "the daemon was stopped",
        };
        Err(Error::new(ErrorKind::WrongStatus, why))
    }
}
