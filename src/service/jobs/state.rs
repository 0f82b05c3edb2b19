//! The life of a job.
//!
//! ```text
//!            start            finish
//! queued ───────────▶ running ───────▶ done
//!   ▲ │ │              │ │ │
//!   │ │ │ requeue      │ │ │ fail
//!   └─┼─┼──────────────┘ │ └─────────▶ failed
//!     │ └────────────────┼───────────▶ failed
//!     │ cancel           │ cancel
//!     └──────────────────┴───────────▶ cancelled
//! ```

use serde::{Deserialize, Serialize};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Its work is done now.
    Running,
    /// Its work is done.
    Done,
    /// Its work ended with an error, or with the daemon.
    Failed,
    /// Its owner did not want it any more.
    Cancelled,
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobEvent {
    /// It is its turn.
    Start,
    /// The work went well.
    Finish,
    /// The work ended with an error, or cannot be begun any more.
    Fail,
    /// The work was given up on request.
    Cancel,
    /// The daemon ended, and the work can begin anew.
    Requeue,
}

impl JobState {
    /// Every state.
    pub const ALL: [JobState; 5] = [
        JobState::Queued,
        JobState::Running,
        JobState::Done,
        JobState::Failed,
        JobState::Cancelled,
    ];

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }

    /// The transition table: the state after `event`, or `None` where it cannot happen.
    pub const fn after(self, event: JobEvent) -> Option<JobState> {
        match (self, event) {
            (JobState::Queued, JobEvent::Start) => Some(JobState::Running),
            (JobState::Running, JobEvent::Finish) => Some(JobState::Done),
            (JobState::Running, JobEvent::Requeue) => Some(JobState::Queued),
            (JobState::Queued | JobState::Running, JobEvent::Fail) => Some(JobState::Failed),
            (JobState::Queued | JobState::Running, JobEvent::Cancel) => Some(JobState::Cancelled),
            _ => None,
        }
    }

    /// Whether nothing will happen to the job any more.
    pub const fn is_final(self) -> bool {
        matches!(self, JobState::Done | JobState::Failed | JobState::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::{JobEvent as E, JobState as S};

    #[test]
    fn every_pair_of_state_and_event_does_what_the_picture_says() {
        let allowed = [
            (S::Queued, E::Start, S::Running),
            (S::Queued, E::Fail, S::Failed),
            (S::Queued, E::Cancel, S::Cancelled),
            (S::Running, E::Finish, S::Done),
            (S::Running, E::Fail, S::Failed),
            (S::Running, E::Cancel, S::Cancelled),
            (S::Running, E::Requeue, S::Queued),
        ];
        for state in S::ALL {
            for event in [E::Start, E::Finish, E::Fail, E::Cancel, E::Requeue] {
                let listed = allowed.iter().find(|(from, by, _)| (*from, *by) == (state, event));
                assert_eq!(state.after(event), listed.map(|(_, _, to)| *to), "{state:?} {event:?}");
                assert!(!(state.is_final() && state.after(event).is_some()));
            }
        }
    }
}
