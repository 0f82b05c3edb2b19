//! `evsfs disk suspend` and `evsfs disk resume`.

use super::disk_args::DisksArgs;
use super::failure::Outcome;
use super::object::Object;
use super::request::Request;
use super::session::Session;
use crate::id::Name;
use serde_json::Value;

/// Has the daemon `suspend` or `resume` one disk, or all of them.
pub(super) fn change(session: &mut Session<'_>, verb: &str, disks: &DisksArgs) -> Outcome {
    let request = Request::new(&format!("disk.{verb}"));
    let request = match &disks.name {
        Some(name) => request.with("name", Name::parse(name)?.as_str()),
        None => request.with("all", true),
    };
    let answer = session.call(&request)?;
    session.answer(&answer, |answer| match answer {
        Value::Array(disks) if disks.is_empty() => format!("no disk to {verb}\n"),
        Value::Array(disks) => disks.iter().map(sentence).collect(),
        disk => sentence(disk),
    })
}

fn sentence(disk: &Value) -> String {
    let disk = Object::of(disk);
    format!("disk {:?} is {}\n", disk.text("name"), disk.text("status"))
}
