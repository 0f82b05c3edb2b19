//! How often the KMS was asked for what, with which outcome, and how long it took.

use super::Kms;
use super::audit_entry::AuditEvent;
use crate::error::{ErrorKind, Result};
use crate::measure::Distribution;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::time::Instant;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallOutcome {
    /// It was done.
    Ok,
    /// It was refused, or failed.
    Refused,
    /// The HSM did not answer.
    Unreachable,
}

/// The calls of one kind with one outcome, since the daemon started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KmsCalls {
    /// What was asked for, in the words of the audit log.
    pub operation: &'static str,
    /// What became of it.
    pub outcome: CallOutcome,
    /// How long each took: the HSM, the records, and the audit log.
    pub durations: Distribution,
}

/// All calls. Off the data path: a lock is cheap beside an HSM.
#[derive(Debug, Default)]
pub(super) struct Calls {
    // Protects the numbers; held for an addition or a copy.
    seen: Mutex<HashMap<(AuditEvent, CallOutcome), Distribution>>,
}

impl CallOutcome {
    /// Its name, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            CallOutcome::Ok => "ok",
            CallOutcome::Refused => "refused",
            CallOutcome::Unreachable => "unreachable",
        }
    }

    fn of<T>(done: &Result<T>) -> CallOutcome {
        match done {
            Ok(_) => CallOutcome::Ok,
            Err(error) if error.kind() == ErrorKind::KmsUnreachable => CallOutcome::Unreachable,
            Err(_) => CallOutcome::Refused,
        }
    }
}

impl Calls {
    /// A call that began at `begun` has ended.
    pub fn count<T>(&self, event: AuditEvent, begun: Instant, done: &Result<T>) {
        let mut seen = self.seen.lock();
        let of_this = seen.entry((event, CallOutcome::of(done))).or_insert(Distribution::EMPTY);
        of_this.add(begun.elapsed());
    }
}

impl Kms {
    /// What was asked for since the daemon started, sorted by operation and outcome.
    pub fn calls(&self) -> Vec<KmsCalls> {
        let seen = self.calls.seen.lock();
        let mut calls: Vec<KmsCalls> = seen
            .iter()
            .map(|((event, outcome), durations)| KmsCalls {
                operation: event.name(),
                outcome: *outcome,
                durations: *durations,
            })
            .collect();
        drop(seen);
        calls.sort_by_key(|call| (call.operation, call.outcome));
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, alias, new_key};
    use super::*;
    use crate::error::Error;

    #[test]
    fn every_call_is_counted_once_by_what_became_of_it() {
        let fixture = Fixture::new();
        fixture.kms.create(new_key("finance")).unwrap();
        fixture.kms.create(new_key("finance")).unwrap_err();
        fixture.kms.disable(&alias("finance")).unwrap();
        fixture.kms.disable(&alias("finance")).unwrap_err();
        fixture.kms.disable(&alias("finance")).unwrap_err();
        let calls = fixture.kms.calls();
        let counted: Vec<_> = calls
            .iter()
            .map(|call| (call.operation, call.outcome.name(), call.durations.count()))
            .collect();
        let expected = [
            ("createKey", "ok", 1),
            ("createKey", "refused", 1),
            ("disableKey", "ok", 1),
            ("disableKey", "refused", 2),
        ];
        assert_eq!(counted, expected);
    }

    /// Who pages people for one does not want to hear of the other.
    #[test]
    fn a_module_that_does_not_answer_is_counted_apart_from_a_refusal() {
        let calls = Calls::default();
        for kind in [ErrorKind::KmsUnreachable, ErrorKind::KeyDisabled] {
            calls.count(
                AuditEvent::CreateDatakey,
                Instant::now(),
                &Err::<(), _>(Error::new(kind, "")),
            );
        }
        let seen = calls.seen.lock();
        for outcome in [CallOutcome::Refused, CallOutcome::Unreachable] {
            assert_eq!(seen[&(AuditEvent::CreateDatakey, outcome)].count(), 1);
        }
    }
}
