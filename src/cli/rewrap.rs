//! `evsfs disk rewrap`.

use super::failure::Outcome;
use super::job;
use super::job_args::WorkArgs;
use super::object::Object;
use super::request::Request;
use super::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Name;
use serde_json::Value;

/// Wraps the data key of one disk by the newest version of its master key.
pub(super) fn one(session: &mut Session<'_>, name: &str, work: &WorkArgs) -> Outcome {
    if work.limit.is_some() || work.no_wait {
        return Err(Error::new(ErrorKind::Invalid, "one disk is rewrapped at once, without a job")
            .remedy("leave out --limit and --no-wait, or say --all")
            .into());
    }
    let disk = session.call(&request(name)?)?;
    session.answer(&disk, sentence)
}

/// Does so with all encrypted disks, backups and images, in a job.
pub(super) fn all(session: &mut Session<'_>, work: &WorkArgs) -> Outcome {
    job::begin(session, Request::new("disk.rewrap").with("all", true), work, |job| {
        let job = Object::of(job);
        // The total of a job that had nothing to do is not known.
        let (done, all) = (job.text("done"), job.text("total"));
        let all = if all.is_empty() { &done } else { &all };
        format!("{done} of {all} data keys are under the newest versions of their master keys\n")
    })
}

fn request(name: &str) -> Result<Request> {
    Ok(Request::new("disk.rewrap").with("name", Name::parse(name)?.as_str()))
}

fn sentence(disk: &Value) -> String {
    let disk = Object::of(disk);
    let (name, key, version) = (disk.text("name"), disk.text("key"), disk.text("key_version"));
    format!("disk {name:?} is under version {version} of key {key:?}\n")
}
