//! What goes on in the mount at this moment, for who watches it.

use super::attention::AttentionInfo;
use super::job::JobInfo;
use super::key::KeyInfo;
use super::time::shown_time;
use crate::auth::Permit;
use crate::disk::{DiskOperation, OperationCounters};
use crate::id::Name;
use crate::measure::BOUNDS;
use crate::service::{DiskEntry, JobState, Service};
use serde::Serialize;

/// What goes on in the mount: counters, of which two answers give rates.
#[derive(Debug, Clone, Serialize)]
pub struct ActivityInfo {
    /// When this was, RFC 3339.
    pub time: String,
    /// The daemon's clock, which nobody sets: nanoseconds, to be subtracted from another answer's.
    pub clock: u64,
    /// Where it is mounted.
    pub mountpoint: String,
    /// The daemon's process id.
    pub pid: u32,
    /// The upper bounds in seconds of the classes that `buckets` counts; one more has none.
    pub bounds: Vec<f64>,
    /// The disks the caller may see.
    pub disks: Vec<DiskActivityInfo>,
    /// The keys.
    pub keys: Vec<KeyInfo>,
    /// The jobs the caller may see that have not ended.
    pub jobs: Vec<JobInfo>,
    /// What wants an administrator.
    pub attention: Vec<AttentionInfo>,
}

/// A disk at work.
#[derive(Debug, Clone, Serialize)]
pub struct DiskActivityInfo {
    /// Its name.
    pub name: Name,
    /// Its status.
    pub status: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The alias of its key.
    pub key: Option<String>,
    /// The state of its key.
    pub key_state: Option<&'static str>,
    /// The number of its attachment: another one counts from 0 again. None while it is detached.
    pub attachment: Option<u64>,
    /// Files that are open on it.
    pub open_files: usize,
    /// Bytes changed since the last flush began that went well.
    pub unflushed: u64,
    /// Reading, since it was attached.
    pub read: Option<OperationInfo>,
    /// Writing.
    pub write: Option<OperationInfo>,
    /// Discarding and zeroing.
    pub discard: Option<OperationInfo>,
    /// Making durable.
    pub flush: Option<OperationInfo>,
}

/// One operation's counters.
#[derive(Debug, Clone, Serialize)]
pub struct OperationInfo {
    /// Requests that went well.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests that failed or were refused.
    pub errors: u64,
    /// How long those that went well took, all together, in nanoseconds.
    pub nanoseconds: u64,
    /// How many took how long, by the classes of `bounds`.
    pub buckets: Vec<u64>,
}

impl Service {
    pub(in crate::service) fn describe_activity(&self, permit: &Permit) -> ActivityInfo {
        let caller = permit.caller();
        let clock = self.clock.monotonic().as_nanos();
        let jobs = self.visible_jobs(caller);
        let is_at_work = |state| matches!(state, JobState::Queued | JobState::Running);
        ActivityInfo {
            time: shown_time(self.clock.now()),
            clock: u64::try_from(clock).unwrap_or(u64::MAX),
            mountpoint: self.settings.mountpoint.display().to_string(),
            pid: std::process::id(),
            bounds: BOUNDS.iter().map(|(nanos, _)| *nanos as f64 / 1e9).collect(),
            disks: self
                .visible_disks(caller)
                .iter()
                .map(|entry| self.describe_disk_activity(entry))
                .collect(),
            keys: self.describe_keys(caller),
            jobs: jobs
                .iter()
                .filter(|job| is_at_work(job.life().state))
                .map(|job| self.describe_job(job))
                .collect(),
            attention: self.attention(permit),
        }
    }

    fn describe_disk_activity(&self, entry: &DiskEntry) -> DiskActivityInfo {
        let disk = self.describe_disk(entry);
        let attachment = entry.state().attachment.clone();
        let activity = attachment.as_ref().map(|open| open.disk().activity());
        let of = |operation| activity.map(|activity| OperationInfo::of(activity.of(operation)));
        DiskActivityInfo {
            name: disk.name,
            status: disk.status,
            size: disk.size,
            encrypted: disk.encrypted,
            key: disk.key,
            key_state: disk.key_state,
            attachment: attachment.as_ref().map(|open| open.id().get()),
            open_files: attachment.as_ref().map_or(0, |open| open.open_count()),
            unflushed: activity.map_or(0, |activity| activity.unflushed_bytes),
            read: of(DiskOperation::Read),
            write: of(DiskOperation::Write),
            discard: of(DiskOperation::Discard),
            flush: of(DiskOperation::Flush),
        }
    }
}

impl OperationInfo {
    fn of(seen: &OperationCounters) -> OperationInfo {
        OperationInfo {
            requests: seen.durations.count(),
            bytes: seen.bytes,
            errors: seen.errors,
            nanoseconds: seen.durations.nanos,
            buckets: seen.durations.counts.to_vec(),
        }
    }
}
