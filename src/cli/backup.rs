//! `evsfs backup`.

use super::backup_args::BackupCommand;
use super::backup_file;
use super::failure::Outcome;
use super::job;
use super::object::Object;
use super::preview;
use super::request::Request;
use super::session::Session;
use super::table::{Align, Table, facts};
use crate::error::Result;
use crate::id::Name;
use serde_json::Value;

/// The members of a backup, in the order `show` gives them.
const MEMBERS: [&str; 15] = [
    "name",
    "id",
    "disk",
    "status",
    "size",
    "stored",
    "encrypted",
    "key",
    "key_state",
    "owner",
    "created",
    "imported",
    "parent",
    "chain",
    "error",
];

/// Runs one `backup` command.
pub(super) fn run(session: &mut Session<'_>, command: &BackupCommand) -> Outcome {
    match command {
        BackupCommand::Create { disk, name, full, incremental, work } => {
            let name = name.as_deref().map(Name::parse).transpose()?;
            let request = Request::new("backup.create")
                .with("disk", Name::parse(disk)?.as_str())
                .with_given("name", name.as_ref().map(Name::as_str))
                .with("full", *full)
                .with("incremental", *incremental);
            job::begin(session, request, work, |job| {
                // The job says of what and under which name.
                format!("backup of disk {} is made\n", Object::of(job).text("subject"))
            })
        }
        BackupCommand::List => {
            let backups = session.call(&Request::new("backup.list"))?;
            if Object::list(&backups).next().is_none() && !session.global.json {
                session.note("no backups yet; make one: evsfs backup create DISK");
                return Ok(());
            }
            session.answer(&backups, table)
        }
        BackupCommand::Show { name } => {
            let backup = session.call(&named("backup.show", name)?)?;
            session.answer(&backup, |backup| facts(Object::of(backup).facts(&MEMBERS)))
        }
        BackupCommand::Verify { name, work } => {
            job::begin(session, named("backup.verify", name)?, work, |_| {
                format!("backup {name:?} and all it is built upon are as they were written\n")
            })
        }
        BackupCommand::Export { name, file, limit } => {
            backup_file::export(session, name, file, limit.as_deref())
        }
        BackupCommand::Import { name, file, limit } => {
            backup_file::import(session, name, file, limit.as_deref(), |backup| {
                table(&Value::Array(vec![backup.clone()]))
            })
        }
        BackupCommand::Delete { name, dry_run: true, .. } => {
            preview::backup_deletion(session, name)
        }
        BackupCommand::Delete { name, dry_run: false, work } => {
            let request = named("backup.delete", name)?;
            session.confirm(&format!("This deletes backup {name:?}"), name)?;
            job::begin(session, request, work, |_| format!("backup {name:?} is deleted\n"))
        }
    }
}

fn table(backups: &Value) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("DISK", Align::Left),
        ("SIZE", Align::Right),
        ("STORED", Align::Right),
        ("STATUS", Align::Left),
        ("ENCRYPTED", Align::Left),
        ("KEY", Align::Left),
        ("PARENT", Align::Left),
        ("CREATED", Align::Left),
    ]);
    for backup in Object::list(backups) {
        let columns =
            ["name", "disk", "size", "stored", "status", "encrypted", "key", "parent", "created"];
        table.row(columns.map(|column| backup.text(column)));
    }
    table.to_string()
}

fn named(op: &str, name: &str) -> Result<Request> {
    Ok(Request::new(op).with("name", Name::parse(name)?.as_str()))
}
