//! `evsfs audit`: what the KMS was asked for, and whether that record is whole.

use super::audit_args::{AuditCommand, AuditVerifyArgs};
use super::failure::{Failure, Outcome};
use super::object::Object;
use super::refusal::one_line;
use super::request::Request;
use super::secret_source::with_secret;
use super::session::Session;
use super::table::{Align, NOTHING, Table};
use crate::config::{Config, locate};
use crate::daemon::{self, AuditFault};
use crate::error::{Error, ErrorKind};
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

/// How often a log that is followed is looked at.
const POLL: Duration = Duration::from_millis(300);

/// The members shown, their headings, and how wide they are when followed.
const COLUMNS: [(&str, &str, usize); 7] = [
    ("seq", "SEQ", 6),
    ("time", "TIME", 16),
    ("caller", "CALLER", 6),
    ("event", "EVENT", 25),
    ("outcome", "OUTCOME", 15),
    ("alias", "KEY", 16),
    ("disk", "DISK", 0),
];

/// Runs one `audit` command.
pub(super) fn run(session: &mut Session<'_>, command: &AuditCommand) -> Outcome {
    match command {
        AuditCommand::Show { follow } => {
            let mut log = open(session)?;
            if *follow { show_for_ever(session, &mut log) } else { show(session, &mut log) }
        }
        AuditCommand::Verify(args) => verify(session, args),
    }
}

/// `.evs/audit`, which only those find who may read it.
fn open(session: &mut Session<'_>) -> Outcome<File> {
    let mount = session.mountpoint()?;
    let file = mount.join(".evs/audit");
    File::open(&file).map_err(|cause| {
        let error = match cause.kind() {
            std::io::ErrorKind::NotFound if mount.join(".evs/control").exists() => {
                Error::new(ErrorKind::Denied, "you may not read the audit log")
                    .remedy("ask the account administrator for the kms-administrator role")
            }
            std::io::ErrorKind::NotFound => {
                Error::new(ErrorKind::NoMount, format!("no evsfs answers on {}", mount.display()))
                    .remedy("evsfs mount")
            }
            _ => Error::io(format!("opening {}", file.display()), cause),
        };
        error.into()
    })
}

fn show(session: &mut Session<'_>, log: &mut File) -> Outcome {
    let mut text = Vec::new();
    log.read_to_end(&mut text).map_err(|cause| Error::io("reading the audit log", cause))?;
    let entries: Vec<Value> = text.split(|byte| *byte == b'\n').filter_map(parse).collect();
    if entries.is_empty() && !session.global.json {
        session.note("nothing is recorded yet");
        return Ok(());
    }
    session.answer(&Value::Array(entries), |entries| {
        let aligned = |(member, heading, _)| match member {
            "seq" => (heading, Align::Right),
            _ => (heading, Align::Left),
        };
        let mut table = Table::new(&COLUMNS.map(aligned));
        for entry in Object::list(entries) {
            table.row(COLUMNS.map(|(member, ..)| entry.text(member)));
        }
        table.to_string()
    })
}

/// Shows what is there and then whatever comes, a line each, until the mount goes.
fn show_for_ever(session: &mut Session<'_>, log: &mut File) -> Outcome {
    if !session.global.json {
        write(session, &line(|(_, heading, _)| heading.to_owned()))?;
    }
    let (mut unread, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match log.read(&mut chunk) {
            Ok(0) => std::thread::sleep(POLL),
            Ok(read) => unread.extend_from_slice(&chunk[..read]),
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            Err(cause) => match Errno::from_io_error(&cause) {
                Some(Errno::NOTCONN | Errno::CONNABORTED | Errno::NODEV) => return Ok(()),
                _ => return Err(Error::io("reading the audit log", cause).into()),
            },
        }
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let bytes: Vec<u8> = unread.drain(..=end).collect();
            let Some(entry) = parse(&bytes) else { continue };
            let text = match session.global.json {
                true => format!("{entry}\n"),
                false => line(|(member, ..)| one_line(&Object::of(&entry).text(member))),
            };
            write(session, &text)?;
        }
    }
}

fn line(cell: impl Fn((&'static str, &'static str, usize)) -> String) -> String {
    let mut line = String::new();
    for column in COLUMNS {
        let text = cell(column);
        let text = if text.is_empty() { NOTHING } else { text.as_str() };
        let width = column.2;
        match column.0 {
            "seq" => line.push_str(&format!("{text:>width$}  ")),
            _ => line.push_str(&format!("{text:<width$}  ")),
        }
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

fn write(session: &mut Session<'_>, text: &str) -> Outcome {
    session.stdout.write_all(text.as_bytes()).and_then(|()| session.stdout.flush()).map_err(
        |cause| match cause.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Error::io("writing the answer to stdout", cause).into(),
        },
    )
}

/// An entry; a line that is damaged is for `verify` to find.
fn parse(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok().filter(Value::is_object)
}

fn verify(session: &mut Session<'_>, args: &AuditVerifyArgs) -> Outcome {
    let value = match &args.config {
        Some(file) => {
            let config = Config::load(&locate(Some(file))?)?;
            let needed = daemon::needed_secret(&config);
            let report = with_secret(session, &args.secret, needed, |_, secret| {
                Ok(daemon::verify_audit(&config, secret.as_ref())?)
            })?;
            serde_json::to_value(report).map_err(|cause| {
                Error::new(ErrorKind::Internal, "writing a report as JSON").caused_by(cause)
            })?
        }
        None => session.call(&Request::new("audit.verify"))?,
    };
    let fault = Option::<AuditFault>::deserialize(&value["fault"]).map_err(|cause| {
        Error::new(ErrorKind::Internal, "the daemon's report of a fault is none").caused_by(cause)
    })?;
    session.answer(&value, |value| match fault {
        None => format!("{} entries, all as they were written\n", value["entries"]),
        Some(_) => format!("{} entries as they were written, then a fault\n", value["entries"]),
    })?;
    let Some(fault) = fault else { return Ok(()) };
    Err(Error::new(ErrorKind::Integrity, one_line(&fault.to_string()))
        .remedy(
            "find out who can write the state directory; compare with a backup of kms/audit.jsonl",
        )
        .into())
}
