//! `.evs/jobs/ID`

use super::object::Object;
use crate::auth::Caller;
use crate::error::Result;
use crate::fs::files::control_files;
use crate::fs::namespace::Namespace;
use crate::fs::values::gone;
use crate::fs::verbs::{not_written, wants};
use crate::id::JobId;
use crate::service::{Command, JobCommand, JobInfo};

control_files! {
    /// The files of a job's control directory.
    JobFile {
        Id = "id" Value,
        Kind = "kind" Value,
        Subject = "subject" Value,
        State = "state" Value,
        Progress = "progress" Value,
        Done = "done" Value,
        Total = "total" Value,
        Unit = "unit" Value,
        Rate = "rate" Value,
        Remaining = "remaining" Value,
        Limit = "limit" Value,
        Owner = "owner" Value,
        Created = "created" Value,
        Started = "started" Value,
        Finished = "finished" Value,
        Error = "error" Value,
        Cancel = "cancel" Verb,
    }
}

impl Namespace {
    pub(super) fn jobs(&self, caller: Caller) -> Vec<(String, Object)> {
        let visible = self.service().visible_jobs(caller).into_iter();
        visible.map(|job| (job.id().to_string(), Object::Job(job.id()))).collect()
    }

    pub(super) fn job_named(&self, caller: Caller, name: &str) -> Option<Object> {
        let id = JobId::parse(name).ok()?;
        // One name an object: an id can be written in several ways.
        let is_canonical = id.to_string() == name;
        self.service().visible_job(caller, id).filter(|_| is_canonical)?;
        Some(Object::Job(id))
    }

    pub(super) fn job_value(&self, caller: Caller, id: JobId, file: JobFile) -> Result<String> {
        let job = self.service().visible_job(caller, id).ok_or_else(gone)?;
        Ok(shown(&self.service().describe_job(&job), file))
    }

    pub(super) fn job_command(
        &self,
        caller: Caller,
        id: JobId,
        file: JobFile,
        text: &str,
    ) -> Result<Command> {
        self.service().visible_job(caller, id).ok_or_else(gone)?;
        match file {
            JobFile::Cancel if text.is_empty() => Ok(JobCommand::Cancel(id).into()),
            JobFile::Cancel => Err(wants("cancel", "a newline")),
            _ => Err(not_written()),
        }
    }
}

fn shown(job: &JobInfo, file: JobFile) -> String {
    let number = |value: Option<u64>| value.map(|number| number.to_string()).unwrap_or_default();
    let value = match file {
        JobFile::Id => job.id.to_string(),
        JobFile::Kind => job.kind.to_owned(),
        JobFile::Subject => job.subject.clone(),
        JobFile::State => job.state.to_owned(),
        JobFile::Progress => number(job.progress),
        JobFile::Done => job.done.to_string(),
        JobFile::Total => number(job.total),
        JobFile::Unit => job.unit.to_owned(),
        JobFile::Rate => job.rate.to_string(),
        JobFile::Remaining => number(job.remaining),
        JobFile::Limit => number(job.limit),
        JobFile::Owner => job.owner.to_string(),
        JobFile::Created => job.created.clone(),
        JobFile::Started => job.started.clone().unwrap_or_default(),
        JobFile::Finished => job.finished.clone().unwrap_or_default(),
        JobFile::Error => job
            .error
            .as_ref()
            .map(|error| format!("{} {}", error.code, error.message))
            .unwrap_or_default(),
        JobFile::Cancel => String::new(),
    };
    value + "\n"
}
