//! Commands on jobs.

use super::command::Command;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind, Result};
use crate::id::JobId;
use crate::service::{Fields, Reply, Service};

/// A command on jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobCommand {
    /// All jobs the caller may see.
    List,
    /// One job.
    Show(JobId),
    /// Give a job up.
    Cancel(JobId),
}

impl JobCommand {
    pub(super) fn from_words(verb: &str, words: &mut Fields) -> Result<Option<JobCommand>> {
        Ok(Some(match verb {
            "list" => JobCommand::List,
            "show" => JobCommand::Show(id(words)?),
            "cancel" => JobCommand::Cancel(id(words)?),
            _ => return Ok(None),
        }))
    }
}

impl From<JobCommand> for Command {
    fn from(command: JobCommand) -> Self {
        Command::Job(command)
    }
}

impl Service {
    pub(super) fn execute_on_jobs(&self, caller: Caller, command: JobCommand) -> Result<Reply> {
        match command {
            JobCommand::List => Ok(Reply::Jobs(self.list_jobs(caller)?)),
            JobCommand::Show(id) => {
                let job = self.usable_job(caller, id)?;
                Ok(Reply::Job(Box::new(self.describe_job(&job))))
            }
            JobCommand::Cancel(id) => Ok(Reply::Job(Box::new(self.cancel_job(caller, id)?))),
        }
    }
}

fn id(words: &mut Fields) -> Result<JobId> {
    let text = words.need_text("id")?;
    JobId::parse(&text).map_err(|_| {
        Error::new(ErrorKind::Invalid, format!("{text:?} is not the id of a job"))
            .remedy("evsfs job list")
    })
}
