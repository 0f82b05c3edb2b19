//! Families of the KMS.

use super::exposition::{Exposition, Kind};
use crate::auth::Caller;
use crate::service::Service;

/// Adds what the KMS was asked for, if the caller may read the audit log, which says the same.
pub(super) fn add(page: &mut Exposition, service: &Service, caller: Caller) {
    let help = "How long the KMS took for what it was asked, by the event of the audit log and by \
                outcome: ok, refused, or unreachable when the HSM did not answer.";
    let name = "evsfs_kms_call_duration_seconds";
    let mut family = page.family(name, Kind::Histogram, "seconds", help);
    if !service.may_read_audit(caller) {
        return;
    }
    for call in service.kms_calls() {
        let labels = [("operation", call.operation), ("outcome", call.outcome.name())];
        family.histogram(&labels, &call.durations);
    }
}
