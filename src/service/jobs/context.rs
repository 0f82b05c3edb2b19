//! What work knows of the job that it is.

use super::job::Job;
use super::kind::JobUnit;
use super::limit::Limit;
use super::users::Users;
use crate::archive::Meter;
use crate::error::Result;
use crate::id::Uid;
use crate::service::Service;
use crate::sync::Mutex;
use crate::units::ByteLen;
use std::time::{Duration, Instant};

/// How often progress is told.
const TELLING: Duration = Duration::from_secs(1);

/// Lent to the work of a job, which may share it among threads.
pub struct JobContext<'s> {
    service: &'s Service,
    job: &'s Job,
    users: Users,
    // Protects the pace.
    pace: Mutex<Pace>,
}

struct Pace {
    limit: Option<Limit>,
    told: Instant,
}

impl<'s> JobContext<'s> {
    pub(super) fn new(service: &'s Service, job: &'s Job) -> Self {
        let now = Instant::now();
        let limit = job.limit().map(|per_second| Limit::new(per_second, now));
        let users = Users::new(now, service.requests_so_far());
        JobContext { service, job, users, pace: Mutex::new(Pace { limit, told: now }) }
    }

    /// Whose job it is.
    pub fn owner(&self) -> Uid {
        self.job.owner()
    }

    /// How much there is to do, in the unit of the job's kind; 0 while it is not known.
    pub fn set_total(&self, total: u64) {
        self.job.progress().set_total(total);
    }

    /// Reports that `amount` more is done, and waits as long as the job's limit and the users of disks
    /// demand.
    ///
    /// # Errors
    /// `wrong-status` when the job was cancelled or the daemon ends. The work removes what it has
    /// begun and returns the error.
    pub fn advance(&self, amount: u64) -> Result<()> {
        let now = Instant::now();
        self.job.progress().add(amount, now);
        let mut pace = self.pace.lock();
        let resume = pace.limit.as_mut().map_or(now, |limit| limit.spend(amount, now));
        let is_telling = now.duration_since(pace.told) >= TELLING;
        if is_telling {
            pace.told = now;
        }
        drop(pace);
        if is_telling {
            self.service.tell_of_job("job.progress", self.job);
        }
        self.job.pause_until(resume.max(now + self.pause_for_users(amount, now)))
    }

    fn pause_for_users(&self, amount: u64, now: Instant) -> Duration {
        if self.job.kind().unit() != JobUnit::Bytes {
            return Duration::ZERO;
        }
        if self.users.is_due(now) {
            self.users.look(now, self.service.requests_so_far());
        }
        self.users.pause(ByteLen::new(amount))
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// As for [`JobContext::advance`].
    pub fn check(&self) -> Result<()> {
        self.job.pause_until(Instant::now())
    }
}

/// Jobs that copy count bytes.
impl Meter for JobContext<'_> {
    fn advance(&self, bytes: ByteLen) -> Result<()> {
        JobContext::advance(self, bytes.get())
    }

    fn gives_way(&self) -> bool {
        self.users.are_active()
    }

    fn expect(&self, bytes: ByteLen) {
        self.set_total(bytes.get());
    }
}
