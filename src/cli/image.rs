//! `evsfs image`.
//!
//! Files are opened here, with the caller's own rights, and their forms are read here; the daemon
//! sees plain content only, through `.evs/images/NAME/data` (RULES A6).

use super::agency;
use super::data_file::DataFile;
use super::disk::named;
use super::failure::Outcome;
use super::image_args::{ImageCommand, ImageFormat};
use super::image_source::ImageSource;
use super::image_target::ImageTarget;
use super::job;
use super::job_args::WorkArgs;
use super::object::Object;
use super::request::Request;
use super::session::Session;
use super::table::{Align, Table, facts};
use super::transfer::Transfer;
use crate::error::Result;
use crate::id::{Alias, Name};
use serde_json::Value;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The members of an image, in the order `show` gives them.
const MEMBERS: [&str; 13] = [
    "name",
    "id",
    "status",
    "size",
    "stored",
    "encrypted",
    "key",
    "key_state",
    "key_version",
    "sector_size",
    "owner",
    "created",
    "source",
];

/// Runs one `image` command.
pub(super) fn run(session: &mut Session<'_>, command: &ImageCommand) -> Outcome {
    match command {
        ImageCommand::Create { name, disk, work } => {
            let disk = Name::parse(disk)?;
            let request = named("image.create", name)?.with("disk", disk.as_str());
            make(session, name, request, work)
        }
        ImageCommand::Import { name, file, encrypted, key, work } => {
            let encrypted = encrypted.then_some(true);
            import(session, name, file, (encrypted, key.as_deref()), work)
        }
        ImageCommand::Copy { source, name, encrypted, unencrypted, key, work } => {
            let asked = encrypted.then_some(true).or(unencrypted.then_some(false));
            let source = Name::parse(source)?;
            let request = named("image.copy", name)?.with("source", source.as_str());
            make(session, name, with_encryption(request, asked, key.as_deref())?, work)
        }
        ImageCommand::Export { name, file, format } => export(session, name, file, *format),
        ImageCommand::List => {
            let images = session.call(&Request::new("image.list"))?;
            if Object::list(&images).next().is_none() && !session.global.json {
                session.note("no images yet; make one: evsfs image import NAME FILE");
                return Ok(());
            }
            session.answer(&images, table)
        }
        ImageCommand::Show { name } => {
            let image = session.call(&named("image.show", name)?)?;
            session.answer(&image, |image| facts(Object::of(image).facts(&MEMBERS)))
        }
        ImageCommand::Delete { name } => {
            let request = named("image.delete", name)?;
            session.confirm(&format!("This deletes image {name:?}"), name)?;
            let answer = session.call(&request)?;
            session.answer(&answer, |_| format!("image {name:?} is deleted\n"))
        }
    }
}

/// Has a job make an image, and answers the image.
fn make(session: &mut Session<'_>, name: &str, request: Request, work: &WorkArgs) -> Outcome {
    if job::carry_out(session, request, work)?.is_none() {
        return Ok(());
    }
    let image = session.call(&named("image.show", name)?)?;
    session.answer(&image, |image| table(&Value::Array(vec![image.clone()])))
}

pub(super) fn with_encryption(
    request: Request,
    encrypted: Option<bool>,
    key: Option<&str>,
) -> Result<Request> {
    let key = key.map(Alias::parse).transpose()?;
    Ok(request
        .with_given("encrypted", encrypted)
        .with_given("key", key.as_ref().map(Alias::as_str)))
}

fn import(
    session: &mut Session<'_>,
    name: &str,
    file: &Path,
    (encrypted, key): (Option<bool>, Option<&str>),
    work: &WorkArgs,
) -> Outcome {
    let mut source = ImageSource::open(file)?;
    // A disk has whole sectors; what a file is short of them is zeros.
    let size = source.size().next_multiple_of(512);
    let request = named("image.import", name)?.with("size", size);
    agency::call_or_offer(session, &with_encryption(request, encrypted, key)?)?;
    // From here on whatever ends this program gives the import up: the daemon sees the file closed.
    let data = DataFile::to_write(session, "images", name)?;
    let mut transfer = Transfer::of(session, "upload", name, source.data_len()?);
    source.pour(&mut transfer, |at, bytes| {
        data.file().write_all_at(bytes, at).map_err(|cause| data.failed("writing", cause))
    })?;
    drop(transfer);
    make(session, name, named("image.finish", name)?, work)
}

fn export(session: &mut Session<'_>, name: &str, file: &Path, format: ImageFormat) -> Outcome {
    let image = session.call(&named("image.show", name)?)?;
    let data = DataFile::to_read(session, "images", name)?;
    let mut source = ImageSource::raw(
        data.file().try_clone().map_err(|cause| data.failed("reading", cause))?,
        data.path(),
    )?;
    let mut target = ImageTarget::create(file, format, source.size())?;
    let mut transfer = Transfer::of(session, "download", name, source.data_len()?);
    source.pour(&mut transfer, |at, bytes| Ok(target.write(at, bytes)?))?;
    drop(transfer);
    target.finish()?;
    session.answer(&image, |_| format!("image {name:?} is in {}\n", file.display()))
}

/// The images of a list as a table.
fn table(images: &Value) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("SIZE", Align::Right),
        ("STATUS", Align::Left),
        ("ENCRYPTED", Align::Left),
        ("KEY", Align::Left),
        ("KEY-STATE", Align::Left),
        ("SOURCE", Align::Left),
        ("OWNER", Align::Left),
    ]);
    for image in Object::list(images) {
        let columns =
            ["name", "size", "status", "encrypted", "key", "key_state", "source", "owner"];
        table.row(columns.map(|column| image.text(column)));
    }
    table.to_string()
}
