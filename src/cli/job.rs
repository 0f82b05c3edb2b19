//! `evsfs job`, and waiting for the jobs that other commands begin.

use super::agency;
use super::failure::{Failure, Outcome};
use super::job_args::{JobCommand, WorkArgs};
use super::object::Object;
use super::progress::{Progress, amount};
use super::request::Request;
use super::session::Session;
use super::table::{Align, Table, facts};
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::id::JobId;
use serde_json::Value;
use std::time::Duration;

/// How often a job that is waited for is looked at: at first, and later.
const POLLS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// The members of a job, in the order `show` gives them.
const MEMBERS: [&str; 16] = [
    "id",
    "kind",
    "subject",
    "state",
    "progress",
    "done",
    "total",
    "unit",
    "rate",
    "remaining",
    "limit",
    "owner",
    "created",
    "started",
    "finished",
    "error",
];

/// Runs one `job` command.
pub(super) fn run(session: &mut Session<'_>, command: &JobCommand) -> Outcome {
    match command {
        JobCommand::List => {
            let jobs = session.call(&Request::new("job.list"))?;
            if Object::list(&jobs).next().is_none() && !session.global.json {
                session.note("no jobs yet");
                return Ok(());
            }
            session.answer(&jobs, table)
        }
        JobCommand::Show { id } => {
            let job = session.call(&request("job.show", id)?)?;
            session.answer(&job, shown)
        }
        JobCommand::Watch { id } => {
            let job = wait(session, id)?;
            session.answer(&job, sentence)
        }
        JobCommand::Cancel { id } => {
            let job = session.call(&request("job.cancel", id)?)?;
            session.answer(&job, |job| match Object::of(job).text("state").as_str() {
                "cancelled" => format!("job {id} is cancelled\n"),
                _ => format!("job {id} is about to end; follow it: evsfs job watch {id}\n"),
            })
        }
    }
}

/// Goes about the job that `request` begins as its arguments say: answers its id at once, or waits
/// for its end and answers what `people` makes of it.
pub(super) fn begin(
    session: &mut Session<'_>,
    request: Request,
    args: &WorkArgs,
    people: impl FnOnce(&Value) -> String,
) -> Outcome {
    match carry_out(session, request, args)? {
        Some(job) => session.answer(&job, people),
        None => Ok(()),
    }
}

/// As [`begin`], but leaves the answer to the caller when the job has ended; `None` when its id was
/// the answer.
pub(super) fn carry_out(
    session: &mut Session<'_>,
    request: Request,
    args: &WorkArgs,
) -> Outcome<Option<Value>> {
    let request = request.with_given("limit", args.limit.as_deref());
    let begun = agency::call_or_offer(session, &request)?;
    let id = Object::of(&begun).text("job");
    if args.no_wait {
        return session.answer(&begun, |_| format!("{id}\n")).map(|()| None);
    }
    wait(session, &id).map(Some)
}

/// Shows a job's progress until it ends, and ends as it does.
fn wait(session: &mut Session<'_>, id: &str) -> Outcome<Value> {
    let request = request("job.show", id)?;
    let mut progress = Progress::new(session.terminal.shows_bars());
    let mut polls = POLLS.iter().copied().chain(std::iter::repeat(POLLS[1]));
    loop {
        let job = match session.call(&request) {
            Ok(job) => job,
            Err(failure) => {
                progress.clear();
                return Err(failure);
            }
        };
        progress.show(&job, session.stderr);
        match Object::of(&job).text("state").as_str() {
            "queued" | "running" => std::thread::sleep(polls.next().unwrap_or(POLLS[1])),
            "done" => {
                progress.clear();
                return Ok(job);
            }
            state => {
                progress.clear();
                return Err(why(&job, id, state));
            }
        }
    }
}

/// Why a job has not done its work: what kept it from that, with its code.
fn why(job: &Value, id: &str, state: &str) -> Failure {
    let given = Object::of(job).get("error").cloned();
    let refusal = given.and_then(|error| serde_json::from_value::<Refusal>(error).ok());
    refusal.map_or_else(
        || Error::new(ErrorKind::WrongStatus, format!("job {id} was {state}")).into(),
        Failure::from,
    )
}

fn request(op: &str, id: &str) -> Result<Request> {
    let known = JobId::parse(id).map_err(|_| {
        Error::new(ErrorKind::Invalid, format!("{id:?} is not the id of a job"))
            .remedy("evsfs job list")
    })?;
    Ok(Request::new(op).with("id", known.to_string()))
}

fn table(jobs: &Value) -> String {
    let mut table = Table::new(&[
        ("ID", Align::Left),
        ("KIND", Align::Left),
        ("SUBJECT", Align::Left),
        ("STATE", Align::Left),
        ("DONE", Align::Right),
        ("TOTAL", Align::Right),
        ("OWNER", Align::Right),
        ("CREATED", Align::Left),
    ]);
    for job in Object::list(jobs) {
        table.row([
            job.text("id"),
            job.text("kind"),
            job.text("subject"),
            job.text("state"),
            amount(job, "done"),
            amount(job, "total"),
            job.text("owner"),
            job.text("created"),
        ]);
    }
    table.to_string()
}

fn shown(job: &Value) -> String {
    let object = Object::of(job);
    let error = object.get("error").map(|error| {
        let error = Object::of(error);
        match error.text("message") {
            message if message.is_empty() => message,
            message => format!("{message} ({})", error.text("code")),
        }
    });
    let facts_of = object.facts(&MEMBERS).into_iter().map(|(name, text)| match name.as_str() {
        "done" | "total" => {
            let text = amount(object, &name);
            (name, text)
        }
        "error" => (name, error.clone().unwrap_or_default()),
        _ => (name, text),
    });
    facts(facts_of)
}

fn sentence(job: &Value) -> String {
    let job = Object::of(job);
    format!("{} of {} is done: {}\n", job.text("kind"), job.text("subject"), amount(job, "done"))
}
