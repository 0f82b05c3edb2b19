//! `evsfs key`.

use super::args::{KeyCommand, Switch};
use super::blast_radius;
use super::blast_radius::counted;
use super::failure::Outcome;
use super::material;
use super::object::Object;
use super::preview;
use super::request::Request;
use super::session::Session;
use super::table::{Align, Table, facts};
use crate::error::Result;
use crate::id::{Alias, Description};
use serde_json::Value;

/// The members of a key, in the order `show` gives them.
const MEMBERS: [&str; 20] = [
    "alias",
    "id",
    "state",
    "origin",
    "created",
    "deletion_date",
    "deletion_waits_until",
    "version",
    "versions",
    "rotation",
    "rotation_date",
    "expiry_date",
    "description",
    "disks",
    "attached_disks",
    "foreign_disks",
    "backups",
    "foreign_backups",
    "images",
    "foreign_images",
];

/// Runs one `key` command.
pub(super) fn run(session: &mut Session<'_>, command: &KeyCommand) -> Outcome {
    match command {
        KeyCommand::Create { alias, external, description } => {
            let alias = Alias::parse_customer(alias)?;
            let description = description.as_deref().map(Description::parse).transpose()?;
            let request = Request::new("key.create")
                .with("alias", alias.as_str())
                .with("origin", if *external { "external" } else { "kms" })
                .with_given("description", description.as_ref().map(Description::as_str));
            let key = session.call(&request)?;
            session.answer(&key, |key| table(&Value::Array(vec![key.clone()])))
        }
        KeyCommand::List => {
            let keys = session.call(&Request::new("key.list"))?;
            if Object::list(&keys).next().is_none() && !session.global.json {
                session.note("no keys yet; create one: evsfs key create ALIAS");
                return Ok(());
            }
            session.answer(&keys, table)
        }
        KeyCommand::Show { alias } => {
            let key = session.call(&named("key.show", alias)?)?;
            session.answer(&key, shown)?;
            if !session.global.json && !Object::of(&key).text("deletion_waits_until").is_empty() {
                session.note(&format!(
                    "its deletion date has passed by a clock that was set forward; it is destroyed \
                     once the clock is believed, or at once by: evsfs key confirm-deletion {alias}"
                ));
            }
            Ok(())
        }
        KeyCommand::Enable { alias } => {
            let key = session.call(&named("key.enable", alias)?)?;
            session.answer(&key, |_| format!("key {alias:?} is enabled\n"))
        }
        KeyCommand::Disable { alias } => {
            blast_radius::agree_to_disable(session, alias)?;
            let key = session.call(&named("key.disable", alias)?)?;
            session.answer(&key, |_| {
                format!("key {alias:?} is disabled; attached disks go on until they are detached\n")
            })
        }
        KeyCommand::ScheduleDeletion { alias, days, dry_run: true } => {
            preview::key_deletion(session, alias, *days)
        }
        KeyCommand::ScheduleDeletion { alias, days, dry_run: false } => {
            let request = named("key.schedule-deletion", alias)?.with("days", *days);
            let loss =
                format!("After {days} days no disk under key {alias:?} can ever be read again");
            blast_radius::confirm(session, &loss, alias)?;
            let key = session.call(&request)?;
            session.answer(&key, |key| match Object::of(key).text("deletion_date") {
                date if date.is_empty() => format!("key {alias:?} will be deleted\n"),
                date => format!("key {alias:?} will be deleted at {date} UTC\n"),
            })
        }
        KeyCommand::CancelDeletion { alias } => {
            let key = session.call(&named("key.cancel-deletion", alias)?)?;
            session.answer(&key, |key| match Object::of(key).text("state") {
                state if state.is_empty() => format!("key {alias:?} stays\n"),
                state => format!("key {alias:?} stays and is {state}\n"),
            })
        }
        KeyCommand::Rotate { alias } => {
            let key = session.call(&named("key.rotate", alias)?)?;
            session.answer(&key, |key| {
                let version = Object::of(key).text("version");
                format!("key {alias:?} has version {version}, which protects new disks\n")
            })
        }
        KeyCommand::Rotation { alias, switch, days } => {
            let is_on = matches!(switch, Switch::On);
            let request = named("key.rotation", alias)?.with("on", is_on).with_given("days", *days);
            let key = session.call(&request)?;
            session.answer(&key, |key| match Object::of(key).text("rotation").as_str() {
                "off" | "" => format!("key {alias:?} does not rotate by itself\n"),
                days => format!("key {alias:?} rotates every {days} days\n"),
            })
        }
        KeyCommand::ImportParameters { alias } => material::parameters(session, alias),
        KeyCommand::Import { alias, file, wrapped, token, expires } => material::Import {
            alias,
            file,
            is_wrapped: *wrapped,
            token: token.as_deref(),
            expires: expires.as_deref(),
        }
        .run(session),
        KeyCommand::DeleteMaterial { alias } => {
            let request = named("key.delete-material", alias)?;
            let loss = format!(
                "No disk under key {alias:?} can be attached until the same material is imported"
            );
            blast_radius::confirm(session, &loss, alias)?;
            let key = session.call(&request)?;
            session.answer(&key, |_| format!("key {alias:?} waits for its material\n"))
        }
        KeyCommand::ConfirmDeletion { alias } => {
            let request = named("key.confirm-deletion", alias)?;
            let loss = format!(
                "The clock may be wrong. This destroys key {alias:?} now; no disk under it can ever \
                 be read again"
            );
            blast_radius::confirm(session, &loss, alias)?;
            let answer = session.call(&request)?;
            session.answer(&answer, |_| format!("key {alias:?} is destroyed\n"))
        }
        KeyCommand::SetAlias { alias, new_alias } => {
            let new = Alias::parse_customer(new_alias)?;
            let request = named("key.set-alias", alias)?.with("new_alias", new.as_str());
            let key = session.call(&request)?;
            session.answer(&key, |_| format!("key {alias:?} is {new_alias:?} now\n"))
        }
        KeyCommand::Describe { alias, text } => {
            let description = Description::parse(text)?;
            let request = named("key.describe", alias)?.with("description", description.as_str());
            let key = session.call(&request)?;
            session.answer(&key, |_| format!("key {alias:?} is described\n"))
        }
    }
}

/// The keys of a list as a table.
pub(super) fn table(keys: &Value) -> String {
    let mut table = Table::new(&[
        ("ALIAS", Align::Left),
        ("STATE", Align::Left),
        ("ORIGIN", Align::Left),
        ("CREATED", Align::Left),
        ("DELETION-DATE", Align::Left),
        ("DISKS", Align::Right),
    ]);
    for key in Object::list(keys) {
        let texts = ["alias", "state", "origin", "created", "deletion_date"];
        let disks = key.count("disks").to_string();
        table.row(texts.map(|column| key.text(column)).into_iter().chain([disks]));
    }
    table.to_string()
}

fn shown(key: &Value) -> String {
    let mut members = Object::of(key).facts(&MEMBERS);
    let versions = members.iter_mut().find(|(name, _)| name == "versions");
    if let (Some((_, shown)), Some(versions)) = (versions, Object::of(key).get("versions")) {
        *shown = Object::list(versions).map(version).collect::<Vec<_>>().join("; ");
    }
    facts(members)
}

fn version(version: Object<'_>) -> String {
    let count = |key: &str| version.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut held = counted(count("disks"), "disk");
    for noun in ["backup", "image"] {
        match count(&format!("{noun}s")) {
            0 => {}
            number => held.push_str(&format!(", {}", counted(number, noun))),
        }
    }
    format!("{} of {}, {held}", version.text("version"), version.text("created"))
}

pub(super) fn named(op: &str, alias: &str) -> Result<Request> {
    Ok(Request::new(op).with("alias", Alias::parse(alias)?.as_str()))
}
