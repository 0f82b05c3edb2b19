//! What wants an administrator.

use super::key::DAMAGED;
use super::time::shown_time;
use crate::auth::{Action, Caller, Permit};
use crate::kms::{KeyState, KeyView};
use crate::service::{JobState, Service};
use jiff::Timestamp;
use serde::Serialize;

/// From so many days before imported material is given up, or a rotation fails to come, it is told.
const SOON_DAYS: i64 = 14;
const DAY: i64 = 24 * 3600;

/// Something that wants an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttentionInfo {
    /// What it is about: `key`, `disk`, `backup`, `image`, `server`, `job` or `mount`.
    pub about: &'static str,
    /// The object's name, alias or id.
    pub name: String,
    /// What is the matter.
    pub message: String,
    /// What helps.
    pub remedy: Option<String>,
}

impl AttentionInfo {
    /// All it can be about.
    pub const SUBJECTS: [&'static str; 7] =
        ["mount", "key", "disk", "backup", "image", "server", "job"];

    fn new(about: &'static str, name: impl ToString, message: String) -> Self {
        AttentionInfo { about, name: name.to_string(), message, remedy: None }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Service {
    /// What wants an administrator, as far as the caller may know: the most urgent first.
    pub(in crate::service) fn attention(&self, permit: &Permit) -> Vec<AttentionInfo> {
        let caller = permit.caller();
        let mut needs = self.damage(caller);
        needs.extend(self.keys_at_risk(caller));
        needs.extend(self.faulty_disks(caller));
        needs.extend(self.damaged_backups(caller));
        needs.extend(self.failed_jobs(caller));
        needs
    }

    /// Records that cannot be used.
    fn damage(&self, caller: Caller) -> Vec<AttentionInfo> {
        let mut needs = Vec::new();
        if self.authority.allows(caller, Action::SeeKeys) {
            for key in self.kms.damaged() {
                let name = match key.id {
                    Some(id) => id.to_string(),
                    None => key.file.display().to_string(),
                };
                let need =
                    AttentionInfo::new("key", name, format!("is {DAMAGED}: {}", key.problem));
                needs.push(need.remedy(key.remedy.clone()));
            }
        }
        // Whose they are cannot be said, so only those are told who may use everybody's.
        let owner = self.authority.mount_owner();
        if self.authority.allows(caller, Action::UseObject { owner }) {
            for lost in self.unserved.lock().iter() {
                let message = format!("is not served: {}", lost.problem);
                let need = AttentionInfo::new(lost.noun, &lost.id, message);
                needs.push(need.remedy(lost.remedy.clone()));
            }
        }
        needs
    }

    fn keys_at_risk(&self, caller: Caller) -> Vec<AttentionInfo> {
        let now = self.clock.now();
        let mut keys = self.visible_keys(caller);
        // The nearest date first.
        keys.sort_by_key(|key| key.deletion_date.or(key.expiry_date).unwrap_or(Timestamp::MAX));
        keys.iter().filter_map(|key| self.key_at_risk(key, now)).collect()
    }

    fn key_at_risk(&self, key: &KeyView, now: Timestamp) -> Option<AttentionInfo> {
        let alias = &key.alias;
        if let (KeyState::PendingDeletion, Some(date)) = (key.state, key.deletion_date) {
            if let Some(until) = self.kms.deletion_waits_until(key) {
                let until = shown_time(until);
                let message =
                    format!("its deletion waits until {until}: the clock was set forward");
                let help =
                    format!("evsfs key cancel-deletion {alias}, or confirm-deletion {alias}");
                return Some(AttentionInfo::new("key", alias, message).remedy(help));
            }
            let message = format!("will be deleted {}", in_days(now, date));
            let help = format!("evsfs key cancel-deletion {alias}");
            return Some(AttentionInfo::new("key", alias, message).remedy(help));
        }
        let date = key.expiry_date?;
        (date.as_second() - now.as_second() < SOON_DAYS * DAY).then(|| {
            let message = format!("its imported material expires {}", in_days(now, date));
            let help = format!("evsfs key import {alias} --file FILE, with a later date");
            AttentionInfo::new("key", alias, message).remedy(help)
        })
    }

    fn faulty_disks(&self, caller: Caller) -> Vec<AttentionInfo> {
        let mut needs = Vec::new();
        for entry in self.visible_disks(caller) {
            let disk = self.describe_disk(&entry);
            if disk.error.is_none() && !disk.status.starts_with("error") {
                continue;
            }
            let name = disk.name.as_str();
            let need = match disk.error {
                Some(error) => AttentionInfo::new("disk", name, error),
                None => AttentionInfo::new("disk", name, format!("has the status {}", disk.status)),
            };
            let help = match disk.status.starts_with("error") {
                true => format!("evsfs disk delete {name}"),
                false => format!("evsfs disk attach {name}, once the cause is gone"),
            };
            needs.push(need.remedy(help));
        }
        needs
    }

    fn damaged_backups(&self, caller: Caller) -> Vec<AttentionInfo> {
        let mut needs = Vec::new();
        for entry in self.visible_backups(caller) {
            let error = entry.state().error.clone();
            let name = entry.name();
            if let Some(error) = error {
                let need = AttentionInfo::new("backup", name, format!("is damaged: {error}"));
                needs.push(need.remedy(format!("make another, and: evsfs backup delete {name}")));
            }
        }
        needs
    }

    /// Jobs that failed within the last days; those before are history.
    fn failed_jobs(&self, caller: Caller) -> Vec<AttentionInfo> {
        let now = self.clock.now();
        let mut needs = Vec::new();
        for job in self.visible_jobs(caller).iter().rev() {
            let life = job.life();
            let is_recent =
                life.finished.is_some_and(|end| now.as_second() - end.as_second() < 7 * DAY);
            if life.state != JobState::Failed || !is_recent {
                continue;
            }
            let (kind, subject) = (job.kind().name(), job.subject());
            let why = life.error.as_ref().map(|error| format!(": {}", error.message));
            let message = format!("{kind} of {subject} failed{}", why.unwrap_or_default());
            let need = AttentionInfo::new("job", job.id(), message);
            needs.push(match life.error.and_then(|error| error.remedy) {
                Some(remedy) => need.remedy(remedy),
                None => need,
            });
        }
        needs
    }
}

/// `in 6 days (2026-12-01 10:00 UTC)`
fn in_days(now: Timestamp, date: Timestamp) -> String {
    let seconds = date.as_second() - now.as_second();
    let when = match seconds {
        ..=0 => "now".to_owned(),
        1..7200 => format!("in {} min", (seconds + 59) / 60),
        7200..172_800 => format!("in {} hours", (seconds + 3599) / 3600),
        _ => format!("in {} days", (seconds + DAY - 1) / DAY),
    };
    format!("{when} ({} UTC)", date.strftime("%Y-%m-%d %H:%M"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_go_is_told_in_whole_units_rounded_up() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        for (date, told) in [
            ("2026-11-24T09:00:00Z", "now (2026-11-24 09:00 UTC)"),
            ("2026-11-24T10:00:30Z", "in 1 min (2026-11-24 10:00 UTC)"),
            ("2026-11-24T13:30:00Z", "in 4 hours (2026-11-24 13:30 UTC)"),
            ("2026-12-01T10:00:00Z", "in 7 days (2026-12-01 10:00 UTC)"),
        ] {
            assert_eq!(in_days(now, date.parse().unwrap()), told);
        }
    }
}
