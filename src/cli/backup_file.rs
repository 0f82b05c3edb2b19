//! `evsfs backup export` and `import`: backups as files.
//!
//! What is in such a file the daemon knows alone; here it is a stream of bytes.

use super::data_file::DataFile;
use super::failure::Outcome;
use super::new_file::NewFile;
use super::object::Object;
use super::request::Request;
use super::session::Session;
use super::transfer::{Transfer, parsed_limit};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Name;
use serde_json::Value;
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes copied at once.
const PIECE: usize = 1 << 20;
/// How files in a directory that was named are called.
const EXTENSION: &str = "evsbackup";
/// Stands for standard input or output.
const STANDARD: &str = "-";

/// Writes a backup to a new file, into a directory, or to standard output.
pub(super) fn export(
    session: &mut Session<'_>,
    name: &str,
    file: &Path,
    limit: Option<&str>,
) -> Outcome {
    let (name, limit) = (Name::parse(name)?, parsed_limit(limit)?);
    let backup = session.call(&named("backup.show", &name))?;
    let total = stored_in(session, &backup)?;
    let as_bar = session.terminal.shows_bars();
    if file == Path::new(STANDARD) {
        if std::io::stdout().is_terminal() {
            let error = Error::new(ErrorKind::Invalid, "an export is nothing for a terminal");
            return Err(error.remedy("name a file, or send it into a pipe").into());
        }
        let data = DataFile::to_read(session, "backups", name.as_str())?;
        let failed = |cause| Error::io("writing the export to standard output", cause);
        let (stdout, stderr) = (&mut *session.stdout, &mut *session.stderr);
        let transfer = Transfer::begin("export", name.as_str(), total, as_bar, stderr);
        let transfer = transfer.held_to(limit);
        pour(&data, transfer, |bytes| stdout.write_all(bytes).map_err(failed))?;
        return Ok(session.stdout.flush().map_err(failed)?);
    }
    let path = placed(file, &name);
    let target = NewFile::create(&path)?;
    let data = DataFile::to_read(session, "backups", name.as_str())?;
    let transfer = Transfer::begin("export", name.as_str(), total, as_bar, session.stderr);
    let transfer = transfer.held_to(limit);
    pour(&data, transfer, |bytes| {
        target.file().write_all(bytes).map_err(|cause| target.failed(cause))
    })?;
    target.finish()?;
    session.answer(&backup, |_| format!("backup {:?} is in {}\n", name.as_str(), path.display()))
}

/// The bytes that a backup and all it is built upon hold, about as many as an export has.
fn stored_in(session: &mut Session<'_>, backup: &Value) -> Outcome<Option<u64>> {
    let stored = |backup: &Value| backup.get("stored").and_then(Value::as_u64);
    let mut total = stored(backup);
    for parent in backup.get("chain").and_then(Value::as_array).into_iter().flatten() {
        let name = Name::parse(parent.as_str().unwrap_or_default())?;
        let of_parent = stored(&session.call(&named("backup.show", &name))?);
        total = total.zip(of_parent).map(|(total, more)| total.saturating_add(more));
    }
    Ok(total)
}

/// Hands all of a backup's content on.
fn pour(
    data: &DataFile,
    mut transfer: Transfer<'_>,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Outcome {
    let mut bytes = vec![0; transfer.piece(PIECE)];
    loop {
        match data.file().read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(len) => {
                take(&bytes[..len])?;
                transfer.advance(len as u64);
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(data.failed("reading", cause)),
        }
    }
}

/// Makes a backup of a file, of one in a directory, or of standard input. `people` makes the answer.
pub(super) fn import(
    session: &mut Session<'_>,
    name: &str,
    file: &Path,
    limit: Option<&str>,
    people: impl FnOnce(&Value) -> String,
) -> Outcome {
    let (name, limit) = (Name::parse(name)?, parsed_limit(limit)?);
    type Source = (Box<dyn Read>, String, Option<u64>);
    let (mut source, from, total): Source = if file == Path::new(STANDARD) {
        (Box::new(std::io::stdin()), "standard input".to_owned(), None)
    } else {
        let path = placed(file, &name);
        let opened = File::open(&path);
        let source =
            opened.map_err(|cause| Error::io(format!("opening {}", path.display()), cause))?;
        // A pipe has no length.
        let len = source.metadata().ok().filter(std::fs::Metadata::is_file).map(|it| it.len());
        (Box::new(source), path.display().to_string(), len)
    };
    session.call(&named("backup.import", &name))?;
    // From here on whatever ends this program gives the import up: the daemon sees the file closed.
    let data = match DataFile::to_write(session, "backups", name.as_str()) {
        Ok(data) => data,
        Err(failure) => {
            // Nobody has it open, so that nothing else gives it up.
            let _ = session.call(&named("backup.delete", &name));
            return Err(failure);
        }
    };
    let mut transfer = Transfer::of(session, "import", name.as_str(), total).held_to(limit);
    let mut bytes = Vec::with_capacity(PIECE);
    loop {
        bytes.clear();
        let read = (&mut source).take(transfer.piece(PIECE) as u64).read_to_end(&mut bytes);
        read.map_err(|cause| Error::io(format!("reading {from}"), cause))?;
        if bytes.is_empty() {
            break;
        }
        data.file().write_all(&bytes).map_err(|cause| data.failed("writing", cause))?;
        transfer.advance(bytes.len() as u64);
    }
    drop(transfer);
    let backup = session.call(&named("backup.finish", &name))?;
    drop(data);
    let shown = Object::of(&backup);
    if shown.text("key_state") == "gone" {
        let key = shown.text("key");
        session.note(&format!(
            "the KMS here has no key {key}: no disk can be made of the backup until it has"
        ));
    }
    session.answer(&backup, people)
}

/// The file that is meant: in a directory it is named after the backup.
fn placed(file: &Path, name: &Name) -> PathBuf {
    match file.is_dir() {
        true => file.join(format!("{name}.{EXTENSION}")),
        false => file.to_owned(),
    }
}

fn named(op: &str, name: &Name) -> Request {
    Request::new(op).with("name", name.as_str())
}
