//! Jobs of the last daemon.

use super::job::Job;
use super::kind::JobKind;
use super::queue::Work;
use super::record::JobRecord;
use super::state::JobEvent;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::id::{JobId, Name};
use crate::records::Records;
use crate::service::Service;
use std::sync::Arc;

/// Looks whether a record of a state directory that no daemon works on can be read.
///
/// # Errors
/// `integrity`, naming what is damaged.
pub fn check_job_record(records: &Records, name: &str) -> Result<()> {
    let id = JobRecord::id_of(name).ok_or_else(|| {
        Error::new(ErrorKind::Integrity, format!("jobs/{name} is not the record of a job"))
    })?;
    load(records, id).map(drop)
}

fn load(records: &Records, id: JobId) -> Result<JobRecord> {
    let path = JobRecord::path_of(id)?;
    match records.load::<JobRecord>(&path)? {
        Some(record) if record.id == id => Ok(record),
        _ => Err(Error::new(ErrorKind::Integrity, format!("{path} is not the job's record"))),
    }
}

impl Service {
    /// Reads all jobs; those that the last daemon did not end are resumed, or have failed. To be called
    /// once all objects are there that jobs work on. A damaged record is left out and logged.
    ///
    /// # Errors
    /// `io` when the state directory cannot be read.
    pub fn load_jobs(&self) -> Result<()> {
        let mut interrupted = Vec::new();
        for name in self.records.list(&JobRecord::directory()?)? {
            let Some(id) = JobRecord::id_of(&name) else { continue };
            match load(&self.records, id).map(|record| Arc::new(Job::from_record(record))) {
                Ok(job) if job.life().state.is_final() => self.jobs.add(job),
                Ok(job) => interrupted.push(job),
                Err(error) => self.leave_out("job", &id.to_string(), &error),
            }
        }
        interrupted.sort_by_key(|job| (job.created(), job.id()));
        for job in interrupted {
            self.jobs.add(job.clone());
            job.happen(JobEvent::Requeue, self.clock.now(), None);
            let resumed = self.work_again(&job).map(|work| self.enqueue_job(&job, work));
            match resumed {
                Some(Ok(())) => log::info!("event=job-resumed job={}", job.id()),
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

    /// The work of a job that can begin anew.
    fn work_again(&self, job: &Job) -> Option<Work> {
        let owner = Caller::new(job.owner());
        match job.kind() {
            JobKind::RewrapAll => {
                Some(Box::new(move |service, context| service.rewrap_all(owner, context)))
            }
            JobKind::Materialize => {
                let name = Name::parse(job.subject()).ok()?;
                Some(Box::new(move |service, context| {
                    let (entry, _permit) = service.usable(owner, &name)?;
                    service.materialize(owner, &entry, context)
                }))
            }
            // What they were making is gone.
            JobKind::DiskCreate
            | JobKind::ImageCreate
            | JobKind::ImageImport
            | JobKind::ImageCopy
            | JobKind::ServerCreate
            | JobKind::Backup
            | JobKind::VerifyBackup
            | JobKind::DeleteBackup => None,
        }
    }
}
