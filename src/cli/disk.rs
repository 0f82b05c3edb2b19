//! `evsfs disk`.

use super::agency;
use super::blast_radius;
use super::disk_args::{DiskCommand, DiskCreateArgs};
use super::disk_import;
use super::export_header;
use super::failure::Outcome;
use super::job;
use super::object::Object;
use super::preview;
use super::request::Request;
use super::rewrap;
use super::session::Session;
use super::suspended;
use super::table::{Align, Table, facts};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{Alias, Name};
use crate::service::DiskSource;
use crate::units::{ByteLen, SectorSize};
use serde_json::Value;

/// The members of a disk, in the order `show` gives them.
const MEMBERS: [&str; 16] = [
    "name",
    "id",
    "status",
    "size",
    "encrypted",
    "key",
    "key_state",
    "key_version",
    "sector_size",
    "owner",
    "created",
    "attached",
    "read_only",
    "source",
    "server",
    "error",
];

/// Runs one `disk` command.
pub(super) fn run(session: &mut Session<'_>, command: &DiskCommand) -> Outcome {
    match command {
        DiskCommand::Create(args) if args.from.is_some() => {
            if job::carry_out(session, creation(args)?, &args.work)?.is_none() {
                return Ok(());
            }
            let disk = session.call(&named("disk.show", &args.name)?)?;
            session.answer(&disk, |disk| table(&Value::Array(vec![disk.clone()])))
        }
        DiskCommand::Create(args) => {
            if args.work.limit.is_some() || args.work.no_wait {
                return Err(Error::new(ErrorKind::Invalid, "an empty disk is made at once")
                    .remedy("leave out --limit and --no-wait, or say --from")
                    .into());
            }
            let disk = agency::call_or_offer(session, &creation(args)?)?;
            session.answer(&disk, |disk| table(&Value::Array(vec![disk.clone()])))
        }
        DiskCommand::List => {
            let disks = session.call(&Request::new("disk.list"))?;
            if Object::list(&disks).next().is_none() && !session.global.json {
                session.note("no disks yet; create one: evsfs disk create NAME --size 10G");
                return Ok(());
            }
            session.answer(&disks, table)
        }
        DiskCommand::Show { name } => {
            let disk = session.call(&named("disk.show", name)?)?;
            session.answer(&disk, shown)
        }
        DiskCommand::Attach { name, read_only } => {
            let request = named("disk.attach", name)?.with("read_only", *read_only);
            let disk = agency::call_or_offer(session, &request)?;
            let path = session.mountpoint()?.join(name);
            session.answer(&disk, |_| format!("{}\n", path.display()))
        }
        DiskCommand::Detach { name, force } => {
            let request = named("disk.detach", name)?.with("force", *force);
            if *force {
                let loss = format!("Programs that have disk {name:?} open lose unwritten data");
                session.confirm(&loss, name)?;
            }
            let has_agreed = blast_radius::agree_to_detach(session, name)?;
            let disk = session.call(&request)?;
            if !has_agreed && let Some(warning) = blast_radius::stays_detached(name, &disk) {
                session.note(&warning);
            }
            session.answer(&disk, |_| format!("disk {name:?} is detached\n"))
        }
        DiskCommand::Suspend(disks) => suspended::change(session, "suspend", disks),
        DiskCommand::Resume(disks) => suspended::change(session, "resume", disks),
        DiskCommand::Extend { name, size } => {
            let size = parsed_size(size)?;
            let request = named("disk.extend", name)?.with("size", size.get());
            let disk = session.call(&request)?;
            session.answer(&disk, |_| format!("disk {name:?} has {size} now\n"))
        }
        DiskCommand::Rewrap { name: Some(name), work, .. } => rewrap::one(session, name, work),
        DiskCommand::Rewrap { name: None, work, .. } => rewrap::all(session, work),
        DiskCommand::Import(args) => disk_import::run(session, args),
        DiskCommand::ExportHeader(args) => export_header::run(session, args),
        DiskCommand::Delete { name, dry_run: true } => preview::disk_deletion(session, name),
        DiskCommand::Delete { name, dry_run: false } => {
            let request = named("disk.delete", name)?;
            session.confirm(&format!("This deletes disk {name:?} and all data on it"), name)?;
            let answer = session.call(&request)?;
            session.answer(&answer, |_| format!("disk {name:?} is deleted\n"))
        }
    }
}

/// The disks of a list as a table.
pub(super) fn table(disks: &Value) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("SIZE", Align::Right),
        ("STATUS", Align::Left),
        ("ENCRYPTED", Align::Left),
        ("KEY", Align::Left),
        ("KEY-STATE", Align::Left),
        ("OWNER", Align::Left),
    ]);
    for disk in Object::list(disks) {
        let columns = ["name", "size", "status", "encrypted", "key", "key_state", "owner"];
        table.row(columns.map(|column| disk.text(column)));
    }
    table.to_string()
}

fn shown(disk: &Value) -> String {
    facts(Object::of(disk).facts(&MEMBERS))
}

pub(super) fn named(op: &str, name: &str) -> Result<Request> {
    Ok(Request::new(op).with("name", Name::parse(name)?.as_str()))
}

pub(super) fn parsed_size(text: &str) -> Result<ByteLen> {
    ByteLen::parse(text).map_err(|cause| cause.code(Code::EVS_1010))
}

fn creation(args: &DiskCreateArgs) -> Result<Request> {
    let size = args.size.as_deref().map(parsed_size).transpose()?;
    let key = args.key.as_deref().map(Alias::parse).transpose()?;
    if let Some(bytes) = args.sector_size {
        SectorSize::from_bytes(bytes)?;
    }
    let encrypted = match (args.encrypted, args.unencrypted) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        // To name a key is to ask for encryption, whatever the default is.
        (false, false) => args.key.is_some().then_some(true),
    };
    let mut request = named("disk.create", &args.name)?
        .with_given("size", size.map(ByteLen::get))
        .with_given("encrypted", encrypted)
        .with_given("key", key.as_ref().map(Alias::as_str))
        .with_given("sector_size", args.sector_size);
    if let Some(source) = &args.from {
        request = request.with("from", DiskSource::parse(source)?.to_string());
    }
    match &args.backing {
        Some(path) if args.overwrite => request.with("overwrite", true).with_path("backing", path),
        Some(path) => request.with_path("backing", path),
        None => Ok(request),
    }
}
