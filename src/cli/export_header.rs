//! `evsfs disk export-header`: the exit door.
//!
//! The daemon opens the data key for whoever may change keys; this program, with the rights of whoever
//! typed the command, puts it into a LUKS header or a file. The payload is left as it is.

use super::cryptsetup::{Cryptsetup, HeaderPlan};
use super::disk::named;
use super::failure::Outcome;
use super::job;
use super::job_args::WorkArgs;
use super::moving_args::{ExportHeaderArgs, HeaderFormat};
use super::new_file::NewFile;
use super::object::Object;
use super::secret_source::Source;
use super::session::Session;
use crate::daemon::{Dk, SecretFile, SecretText, forbid_dumps};
use crate::error::{Error, ErrorKind, Result};
use serde_json::Value;
use std::io::Write;
use zeroize::Zeroizing;

/// Runs the command.
pub(super) fn run(session: &mut Session<'_>, args: &ExportHeaderArgs) -> Outcome {
    let name = args.name.as_str();
    forbid_dumps()?;
    NewFile::must_be_new(&args.output)?;
    let disk = session.call(&named("disk.show", name)?)?;
    let luks = match version(args.format) {
        None if args.joined => {
            return Err(Error::new(ErrorKind::Invalid, "a bare key stands before no payload")
                .remedy("leave out --joined, or choose luks1 or luks2")
                .into());
        }
        None if args.iter_time.is_some() => {
            return Err(Error::new(ErrorKind::Invalid, "a bare key has no passphrase to be tried")
                .remedy("leave out --iter-time, or choose luks1 or luks2")
                .into());
        }
        None => None,
        Some(version) => {
            must_have_sectors_of(version, &disk)?;
            let cryptsetup = Cryptsetup::find()?;
            let source = Source::of_header(session, &args.passphrase.as_secret())?;
            Some((version, cryptsetup, source.take_new(session, "passphrase")?))
        }
    };
    if args.materialize {
        let work = WorkArgs { limit: args.limit.clone(), no_wait: false };
        job::carry_out(session, named("disk.materialize", name)?, &work)?;
    }
    let output = NewFile::create(&args.output)?;
    let mut answer = session.call(&named("disk.export-key", name)?)?;
    let key = Dk::from_hex(&taken(&mut answer)?)?;
    match luks {
        None => output.file().write_all(key.expose()).map_err(|cause| output.failed(cause))?,
        Some((version, cryptsetup, passphrase)) => {
            let plan = plan(version, args, &answer)?;
            write_header(&output, &cryptsetup, plan, &key, &passphrase)?;
        }
    }
    drop(key);
    output.finish()?;
    session.answer(&answer, |answer| told(args, Object::of(answer)))?;
    if !session.global.json {
        warn(session, args, Object::of(&answer), Object::of(&disk));
    }
    Ok(())
}

fn write_header(
    output: &NewFile,
    cryptsetup: &Cryptsetup,
    plan: HeaderPlan,
    key: &Dk,
    passphrase: &SecretText,
) -> Result<()> {
    let key = SecretFile::new(key.expose())?;
    let passphrase = SecretFile::new(passphrase.expose())?;
    cryptsetup.format(output.file(), plan, &key, &passphrase)
}

/// The version of LUKS; `None` for the bare key.
fn version(format: HeaderFormat) -> Option<u8> {
    match format {
        HeaderFormat::Luks1 => Some(1),
        HeaderFormat::Luks2 => Some(2),
        HeaderFormat::Dk => None,
    }
}

fn must_have_sectors_of(version: u8, disk: &Value) -> Result<()> {
    let sector_size = Object::of(disk).get("sector_size").and_then(Value::as_u64);
    if version == 2 || sector_size == Some(512) {
        return Ok(());
    }
    let message = format!(
        "LUKS1 knows sectors of 512 bytes only, and this disk has {}",
        sector_size.unwrap_or_default()
    );
    Err(Error::new(ErrorKind::Unsupported, message).remedy("say --format luks2"))
}

/// Takes the key out of the answer, which is shown later.
fn taken(answer: &mut Value) -> Result<Zeroizing<String>> {
    match answer.as_object_mut().and_then(|members| members.remove("key")) {
        Some(Value::String(digits)) => Ok(Zeroizing::new(digits)),
        _ => Err(Error::new(ErrorKind::Internal, "the daemon's answer has no key in it")),
    }
}

fn plan(version: u8, args: &ExportHeaderArgs, answer: &Value) -> Result<HeaderPlan> {
    let number = |key| Object::of(answer).get(key).and_then(Value::as_u64).unwrap_or_default();
    let (offset, sector_size) = (number("payload_offset"), number("sector_size"));
    let data_offset = match (args.joined, offset) {
        (false, offset) => offset,
        (true, 0) => HeaderPlan::header_len(version),
        (true, offset) => {
            let message = format!("the payload begins at offset {offset} of its file");
            return Err(Error::new(ErrorKind::Unsupported, message).remedy("leave out --joined"));
        }
    };
    Ok(HeaderPlan { version, sector_size, data_offset, iter_time: args.iter_time })
}

/// What there is now, and how it is used.
fn told(args: &ExportHeaderArgs, answer: Object<'_>) -> String {
    let (name, file, payload) = (&args.name, args.output.display(), answer.text("payload"));
    let what = match args.format {
        HeaderFormat::Dk => "data key",
        HeaderFormat::Luks1 | HeaderFormat::Luks2 => "header",
    };
    let used = match (args.format, args.joined) {
        (HeaderFormat::Dk, _) => format!(
            "cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 \
             --sector-size {} --offset {} --key-file {file} {payload} {name}",
            answer.text("sector_size"),
            answer.get("payload_offset").and_then(Value::as_u64).unwrap_or_default() / 512,
        ),
        (_, false) => format!("cryptsetup open --header {file} {payload} {name}"),
        (_, true) => format!("cat {file} {payload} > {name}.luks"),
    };
    format!("the {what} of disk {name:?} is in {file}\npayload: {payload}\nuse: {used}\n")
}

fn warn(session: &mut Session<'_>, args: &ExportHeaderArgs, answer: Object<'_>, disk: Object<'_>) {
    let file = args.output.display();
    let holder = match args.format {
        HeaderFormat::Dk => format!("whoever has {file}"),
        HeaderFormat::Luks1 | HeaderFormat::Luks2 => {
            format!("whoever has {file} and its passphrase")
        }
    };
    session.note(&format!(
        "{holder} can read the payload from now on, whatever becomes of key {:?}",
        disk.text("key")
    ));
    if !args.materialize {
        session.note(
            "other programs read noise where the disk was never written, until it is \
             exported with --materialize",
        );
    }
    if answer.is("attached") {
        session.note(&format!(
            "the disk is attached: before another program opens the payload, \
             evsfs disk detach {}",
            args.name
        ));
    }
}
