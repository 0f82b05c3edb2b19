//! Starting, running, cancelling and ending jobs.

use super::context::JobContext;
use super::job::{Job, Wish};
use super::kind::JobKind;
use super::queue::Work;
use super::record::JobRecord;
use super::state::{JobEvent, JobState};
use crate::auth::{Action, Caller};
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::id::JobId;
use crate::service::{JobInfo, Service};
use crate::sync::thread;
use crate::sys;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Ended jobs that are remembered.
const REMEMBERED: usize = 100;

/// What a job shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// To what, in the words of the command that begins it, as lists show it.
    pub subject: String,
    /// How much there is to do, in the kind's unit, where it is known already.
    pub total: Option<u64>,
    /// How many units a second it may do.
    pub limit: Option<u64>,
}

impl Service {
    /// Has work done on a thread of its own, after the jobs that wait already. Whether the caller may
    /// have it done was decided before.
    ///
    /// # Errors
    /// `quota`; `wrong-status` when the daemon is being stopped; `io`, `no-space` when it cannot
    /// be recorded. Nothing is done then.
    pub fn start_job(
        &self,
        caller: Caller,
        new: NewJob,
        work: impl FnOnce(&Service, &JobContext<'_>) -> Result<()> + Send + 'static,
    ) -> Result<JobInfo> {
        let job = Arc::new(Job::from_record(JobRecord {
            id: JobId::random(),
            kind: new.kind,
            subject: new.subject,
            owner: caller.uid(),
            limit: new.limit,
            created: self.clock.now(),
            state: JobState::Queued,
            done: 0,
            total: new.total,
            started: None,
            finished: None,
            error: None,
        }));
        self.save_job(&job)?;
        if let Err(refusal) = self.enqueue_job(&job, Box::new(work)) {
            self.forget_job(&job);
            return Err(refusal);
        }
        log::info!(
            "event=job-queued job={} kind={} uid={}",
            job.id(),
            job.kind().name(),
            caller.uid()
        );
        Ok(self.describe_job(&job))
    }

    pub(super) fn enqueue_job(&self, job: &Arc<Job>, work: Work) -> Result<()> {
        // Told first: a job that is quick must not end before it was queued.
        self.tell_of_job("job.queued", job);
        if !self.jobs.enqueue(job.clone(), work)? {
            return Ok(());
        }
        let thread = self.itself().and_then(|service| {
            let run = move || service.run_jobs();
            thread::Builder::new()
                .name("evsfs-job".to_owned())
                .spawn(run)
                .map_err(|cause| Error::io("starting a thread for jobs", cause))
        });
        match thread {
            Ok(thread) => self.jobs.started(thread),
            Err(error) => {
                for job in self.jobs.not_started() {
                    self.end_job(&job, JobEvent::Fail, Some(Refusal::from(&error)));
                }
            }
        }
        Ok(())
    }

    /// What a thread of jobs does.
    fn run_jobs(&self) {
        // Users' disks are served first.
        if let Err(error) = sys::yield_to_other_threads() {
            log::info!("event=job-priority-not-lowered error=\"{error}\"");
        }
        while let Some((job, work)) = self.jobs.next() {
            self.run_job(&job, work);
        }
    }

    fn run_job(&self, job: &Job, work: Work) {
        if !job.happen(JobEvent::Start, self.clock.now(), None) {
            return;
        }
        if let Err(error) = self.save_job(job) {
            return self.end_job(job, JobEvent::Fail, Some(Refusal::from(&error)));
        }
        log::info!("event=job-started job={} kind={}", job.id(), job.kind().name());
        self.tell_of_job("job.started", job);
        let context = JobContext::new(self, job);
        let done = catch_unwind(AssertUnwindSafe(|| work(self, &context))).unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "the work of the job panicked"))
        });
        match (done, job.wish()) {
            // Asked to end too late: it is done.
            (Ok(()), _) => self.end_job(job, JobEvent::Finish, None),
            (Err(_), Wish::Cancel) => self.end_job(job, JobEvent::Cancel, None),
            (Err(_), Wish::Stop) => self.interrupt_job(job),
            (Err(error), Wish::GoOn) => {
                self.end_job(job, JobEvent::Fail, Some(Refusal::from(&error)));
            }
        }
    }

    /// The daemon ends before a job does.
    fn interrupt_job(&self, job: &Job) {
        if !job.kind().resumes() {
            return self.end_job(job, JobEvent::Fail, Some(stopped()));
        }
        job.happen(JobEvent::Requeue, self.clock.now(), None);
        if let Err(error) = self.save_job(job) {
            log::warn!("event=record-not-saved job={} error=\"{error}\"", job.id());
        }
    }

    /// Ends a job that nobody else can end any more: one that was withdrawn, or that its thread ran.
    /// Its record is written first, so that who sees that it has ended finds nothing half-written.
    pub(super) fn end_job(&self, job: &Job, event: JobEvent, error: Option<Refusal>) {
        let Some(life) = job.life().after(event, self.clock.now(), error) else { return };
        let (id, kind, state) = (job.id(), job.kind().name(), life.state.name());
        match &life.error {
            Some(Refusal { code, message, .. }) => {
                log::warn!(
                    "event=job-{state} job={id} kind={kind} code={code} error=\"{message}\""
                );
            }
            None => log::info!("event=job-{state} job={id} kind={kind}"),
        }
        if let Err(error) = self.save_record(&job.record_with(life.clone())) {
            log::warn!("event=record-not-saved job={id} error=\"{error}\"");
        }
        job.end(life);
        self.tell_of_job(&format!("job.{state}"), job);
        self.forget_old_jobs();
    }

    /// Gives a job up: one that waits at once, one that runs as soon as its work notices.
    ///
    /// # Errors
    /// `not-found`, also for another owner's job (RULES A7); `wrong-status` for one that has ended.
    pub(in crate::service) fn cancel_job(&self, caller: Caller, id: JobId) -> Result<JobInfo> {
        let job = self.usable_job(caller, id)?;
        let state = job.life().state;
        if state.is_final() {
            let message = format!("job {id} is {} already", state.name());
            return Err(Error::new(ErrorKind::WrongStatus, message)
                .remedy(format!("see: evsfs job show {id}")));
        }
        job.ask(Wish::Cancel);
        if self.jobs.withdraw(id) {
            self.end_job(&job, JobEvent::Cancel, None);
        }
        log::info!("event=job-asked-to-end job={id} uid={}", caller.uid());
        Ok(self.describe_job(&job))
    }

    /// Ends all jobs with the daemon, and waits for that.
    pub fn stop_jobs(&self) {
        for job in self.jobs.close() {
            if !job.kind().resumes() {
                self.end_job(&job, JobEvent::Fail, Some(stopped()));
            }
        }
    }

    /// The job with this id, if the caller may use it.
    ///
    /// # Errors
    /// `not-found`, also for another owner's job (RULES A7); `denied` for strangers.
    pub(in crate::service) fn usable_job(&self, caller: Caller, id: JobId) -> Result<Arc<Job>> {
        let _known = self.permit(caller, Action::EnterControl)?;
        self.visible_job(caller, id).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no job {id}"))
                .remedy("evsfs job list")
        })
    }

    /// The job with this id, if the caller may see it.
    pub fn visible_job(&self, caller: Caller, id: JobId) -> Option<Arc<Job>> {
        self.jobs.get(id).filter(|job| self.may_see(caller, job))
    }

    /// All jobs that the caller may see, the newest last.
    pub fn visible_jobs(&self, caller: Caller) -> Vec<Arc<Job>> {
        let mut jobs = self.jobs.all();
        jobs.retain(|job| self.may_see(caller, job));
        jobs
    }

    fn may_see(&self, caller: Caller, job: &Job) -> bool {
        self.authority.allows(caller, Action::UseObject { owner: job.owner() })
    }

    pub(super) fn save_job(&self, job: &Job) -> Result<()> {
        self.save_record(&job.record())
    }

    fn save_record(&self, record: &JobRecord) -> Result<()> {
        self.records.save(&JobRecord::path_of(record.id)?, record)
    }

    fn forget_job(&self, job: &Job) {
        self.jobs.remove(job.id());
        let removed = JobRecord::path_of(job.id()).and_then(|path| self.records.remove(&path));
        if let Err(error) = removed {
            log::warn!("event=record-not-removed job={} error=\"{error}\"", job.id());
        }
    }

    /// Forgets the oldest of those that have ended.
    pub(super) fn forget_old_jobs(&self) {
        let mut ended: Vec<_> = self
            .jobs
            .all()
            .into_iter()
            .filter_map(|job| Some((job.life().finished?, job)))
            .collect();
        ended.sort_by_key(|(finished, job)| (*finished, job.id()));
        let too_many = ended.len().saturating_sub(REMEMBERED);
        for (_, job) in ended.drain(..too_many) {
            self.forget_job(&job);
        }
    }
}

/// Why a job failed that ended with the daemon.
fn stopped() -> Refusal {
    Refusal::from(
        &Error::new(ErrorKind::WrongStatus, "the daemon was stopped").remedy("start it again"),
    )
}
