//! What is remembered of a job, at `jobs/<id>.toml`.

use super::kind::JobKind;
use super::state::JobState;
use crate::error::{Refusal, Result};
use crate::id::{JobId, Uid};
use crate::records::RecordPath;
use serde::{Deserialize, Serialize};

/// A job's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobRecord {
    /// The job's id.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// To what.
    pub subject: String,
    /// Who began it.
    pub owner: Uid,
    /// Units a second that it keeps to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u64>,
    /// When it was asked for.
    pub created: jiff::Timestamp,
    /// Where it was when this was written.
    pub state: JobState,
    /// What had been done by then.
    pub done: u64,
    /// Of what.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    /// When its work began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started: Option<jiff::Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finished: Option<jiff::Timestamp>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<Refusal>,
}

impl JobRecord {
    /// Where all records of jobs lie.
    pub fn directory() -> Result<RecordPath> {
        RecordPath::parse("jobs")
    }

    /// Where a job's record lies.
    ///
    /// # Errors
    /// None in practice: ids make valid paths.
    pub fn path_of(id: JobId) -> Result<RecordPath> {
        RecordPath::parse(&format!("jobs/{id}.toml"))
    }

    /// The id that a name in that directory stands for.
    pub fn id_of(name: &str) -> Option<JobId> {
        JobId::parse(name.strip_suffix(".toml")?).ok()
    }
}
