//! One event.

use crate::auth::{AGENCY_NAME, Action};
use crate::id::{Alias, BackupId, DiskId, ImageId, JobId, KeyId, Name, ServerId, Uid};
use crate::kms::KeyView;
use crate::service::describe::shown_time;
use crate::service::{BackupEntry, DiskEntry, ImageEntry, JobInfo, ServerEntry};
use serde::Serialize;

/// Something that happened, as a line, and what a caller must be allowed in order to read it.
#[derive(Debug)]
pub struct Event {
    line: String,
    needs: Action,
}

#[derive(Serialize)]
struct Line<'a, T> {
    time: String,
    event: &'a str,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct DiskLine<'a> {
    name: &'a Name,
    id: DiskId,
    status: &'static str,
    size: u64,
    owner: Uid,
}

#[derive(Serialize)]
struct ImageLine<'a> {
    name: &'a Name,
    id: ImageId,
    size: u64,
    encrypted: bool,
    owner: Uid,
}

#[derive(Serialize)]
struct BackupLine<'a> {
    name: &'a Name,
    id: BackupId,
    size: u64,
    encrypted: bool,
    owner: Uid,
    #[serde(flatten)]
    news: BackupNews<'a>,
}

/// What an event of a backup says beside what the backup is.
#[derive(Serialize, Default)]
pub(super) struct BackupNews<'a> {
    /// The disk that was made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_to: Option<&'a Name>,
    /// What has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<&'a str>,
    /// The code of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'a str>,
    /// The failure in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
}

#[derive(Serialize)]
struct ServerLine<'a> {
    name: &'a Name,
    id: ServerId,
    owner: Uid,
}

#[derive(Serialize)]
struct KeyLine<'a> {
    alias: &'a Alias,
    id: KeyId,
    state: &'static str,
    version: u32,
}

#[derive(Serialize)]
struct AgencyLine {
    agency: Option<&'static str>,
}

#[derive(Serialize)]
struct JobLine<'a> {
    id: JobId,
    kind: &'static str,
    subject: &'a str,
    state: &'static str,
    done: u64,
    total: Option<u64>,
    rate: u64,
    owner: Uid,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl Event {
    /// Of a disk; `event` is one of the module's table.
    pub fn of_disk(event: &str, now: jiff::Timestamp, disk: &DiskEntry) -> Event {
        let state = disk.state();
        let (status, size) = (state.status.name(), state.record.size().get());
        drop(state);
        let what = DiskLine { name: disk.name(), id: disk.id(), status, size, owner: disk.owner() };
        Event::new(event, now, what, Action::UseObject { owner: disk.owner() })
    }

    /// Of an image.
    pub fn of_image(event: &str, now: jiff::Timestamp, image: &ImageEntry) -> Event {
        let state = image.state();
        let (size, encrypted) = (state.record.size().get(), state.record.is_encrypted());
        drop(state);
        let (name, id, owner) = (image.name(), image.id(), image.owner());
        let what = ImageLine { name, id, size, encrypted, owner };
        Event::new(event, now, what, Action::UseObject { owner })
    }

    /// Of a backup.
    pub(super) fn of_backup(
        event: &str,
        now: jiff::Timestamp,
        backup: &BackupEntry,
        news: BackupNews<'_>,
    ) -> Event {
        let state = backup.state();
        let (size, encrypted) = (state.record.size, state.record.encrypted);
        drop(state);
        let (name, id, owner) = (backup.name(), backup.id(), backup.owner());
        let what = BackupLine { name, id, size, encrypted, owner, news };
        Event::new(event, now, what, Action::UseObject { owner })
    }

    /// Of a server.
    pub fn of_server(event: &str, now: jiff::Timestamp, server: &ServerEntry) -> Event {
        let (name, id, owner) = (server.name(), server.id(), server.owner());
        Event::new(event, now, ServerLine { name, id, owner }, Action::UseObject { owner })
    }

    /// Of a key.
    pub fn of_key(event: &str, now: jiff::Timestamp, key: &KeyView) -> Event {
        let what = KeyLine {
            alias: &key.alias,
            id: key.id,
            state: key.state.name(),
            version: key.version,
        };
        Event::new(event, now, what, Action::SeeKeys)
    }

    /// Of the agency.
    pub fn of_agency(event: &str, now: jiff::Timestamp, is_present: bool) -> Event {
        let what = AgencyLine { agency: is_present.then_some(AGENCY_NAME) };
        Event::new(event, now, what, Action::SeeKeys)
    }

    /// Of a job.
    pub fn of_job(event: &str, now: jiff::Timestamp, job: &JobInfo) -> Event {
        let what = JobLine {
            id: job.id,
            kind: job.kind,
            subject: &job.subject,
            state: job.state,
            done: job.done,
            total: job.total,
            rate: job.rate,
            owner: job.owner,
            code: job.error.as_ref().map(|error| error.code.as_str()),
            message: job.error.as_ref().map(|error| error.message.as_str()),
        };
        Event::new(event, now, what, Action::UseObject { owner: job.owner })
    }

    /// That a reader has missed some.
    pub(super) fn lost() -> &'static str {
        "{\"event\":\"lost\"}\n"
    }

    fn new(event: &str, now: jiff::Timestamp, what: impl Serialize, needs: Action) -> Event {
        let line = Line { time: shown_time(now), event, what };
        // Texts and numbers alone, which always become JSON.
        let mut line = serde_json::to_string(&line).unwrap_or_default();
        line.push('\n');
        Event { line, needs }
    }

    /// One line of JSON with its newline.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// What a caller must be allowed in order to read it.
    pub fn needs(&self) -> Action {
        self.needs
    }
}
