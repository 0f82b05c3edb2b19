//! `evsfs disk rewrap`.

use super::failure::{Failure, Outcome};
use super::object::Object;
use super::request::Request;
use super::session::Session;
use crate::error::Result;
use crate::id::Name;
use serde_json::Value;

/// Wraps the data key of one disk by the newest version of its master key.
pub(super) fn one(session: &mut Session<'_>, name: &str) -> Outcome {
    let disk = session.call(&request(name)?)?;
    session.answer(&disk, sentence)
}

/// Does so with all encrypted disks, one after the other; an interruption leaves each of them
/// under its old version or the newest. A refused disk does not keep the others from it.
pub(super) fn all(session: &mut Session<'_>) -> Outcome {
    let listed = session.call(&Request::new("disk.list"))?;
    let names: Vec<String> = Object::list(&listed)
        .filter(|disk| disk.is("encrypted"))
        .map(|disk| disk.text("name"))
        .collect();
    let (mut done, mut refusals) = (Vec::new(), Vec::new());
    for (at, name) in (1..).zip(&names) {
        match session.call(&request(name)?) {
            Ok(disk) => {
                session.note(&format!("{at}/{}: {}", names.len(), sentence(&disk).trim_end()));
                done.push(disk);
            }
            Err(Failure::Refused(refusal)) => {
                session.note(&format!("{at}/{}: {}", names.len(), refusal.message));
                refusals.push(refusal);
            }
            Err(other) => return Err(other),
        }
    }
    session.answer(&Value::Array(done), |done| {
        let (done, all) = (Object::list(done).count(), names.len());
        format!("{done} of {all} encrypted disks are under the newest versions of their keys\n")
    })?;
    match refusals.into_iter().next() {
        Some(first) => Err(Failure::Refused(first)),
        None => Ok(()),
    }
}

fn request(name: &str) -> Result<Request> {
    Ok(Request::new("disk.rewrap").with("name", Name::parse(name)?.as_str()))
}

fn sentence(disk: &Value) -> String {
    let disk = Object::of(disk);
    let (name, key, version) = (disk.text("name"), disk.text("key"), disk.text("key_version"));
    format!("disk {name:?} is under version {version} of key {key:?}\n")
}
