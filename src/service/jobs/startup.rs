//! Jobs of the last daemon.

use super::job::Job;
use super::kind::JobKind;
use super::queue::Work;
use super::record::JobRecord;
use super::state::JobEvent;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::id::JobId;
use crate::service::Service;
use std::sync::Arc;

impl Service {
    /// Reads all jobs; those that the last daemon did not end are resumed, or have failed. To be called
    /// once all objects are there that jobs work on. A damaged record is left out and logged.
    ///
    /// # Errors
    /// `io` when the state directory cannot be read.
    pub(in crate::service) fn load_jobs(&self) -> Result<()> {
        let mut interrupted = Vec::new();
        for name in self.records.list(&JobRecord::directory()?)? {
            let Some(id) = JobRecord::id_of(&name) else { continue };
            match self.load_job(id) {
                Ok(job) if job.life().state.is_final() => self.jobs.add(job),
                Ok(job) => interrupted.push(job),
                Err(error) => log::error!("job={id} is not listed: {error}"),
            }
        }
        interrupted.sort_by_key(|job| (job.created(), job.id()));
        for job in interrupted {
            self.jobs.add(job.clone());
            job.happen(JobEvent::Requeue, self.clock.now(), None);
            let resumed = self.work_again(&job).map(|work| self.enqueue_job(&job, work));
            match resumed {
                Some(Ok(())) => log::info!("job={} is resumed", job.id()),
                Some(Err(error)) => {
                    self.end_job(&job, JobEvent::Fail, Some(Refusal::from(&error)));
                }
                None => {
                    let error = Error::new(ErrorKind::Io, "the daemon ended while the job ran")
                        .remedy("start it again");
                    self.end_job(&job, JobEvent::Fail, Some(Refusal::from(&error)));
                }
            }
        }
        self.forget_old_jobs();
        Ok(())
    }

    fn load_job(&self, id: JobId) -> Result<Arc<Job>> {
        let path = JobRecord::path_of(id)?;
        let record = self.records.load::<JobRecord>(&path)?;
        match record {
            Some(record) if record.id == id => Ok(Arc::new(Job::from_record(record))),
            _ => Err(Error::new(ErrorKind::Integrity, format!("{path} is not the job's record"))),
        }
    }

    /// The work of a job that can begin anew.
    fn work_again(&self, job: &Job) -> Option<Work> {
        let owner = Caller::new(job.owner());
        match job.kind() {
            JobKind::RewrapAll => {
                Some(Box::new(move |service, context| service.rewrap_all(owner, context)))
            }
        }
    }
}
