//! `evsfs disk import`: the entrance.
//!
//! Files are opened here, with the rights of whoever typed the command (RULES A6), and their content is
//! written to `.evs/disks/NAME/data`, read back and compared before the disk counts as made. A LUKS
//! volume is not encrypted anew: its key goes to the daemon, which wraps it, and its data is copied as
//! it is, or stays where it is.

use super::agency;
use super::cryptsetup::Cryptsetup;
use super::data_file::DataFile;
use super::disk::{named, table};
use super::failure::{Failure, Outcome};
use super::image_source::ImageSource;
use super::luks_volume::LuksVolume;
use super::moving_args::DiskImportArgs;
use super::request::Request;
use super::secret_source::Source;
use super::session::Session;
use super::transfer::Transfer;
use crate::daemon::{SecretFile, forbid_dumps};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Alias;
use crate::units::{ByteLen, SectorSize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes read back at once.
const PIECE: usize = 1 << 20;
/// How often a person may type the passphrase.
const TRIES: u32 = 2;

/// Runs the command.
pub(super) fn run(session: &mut Session<'_>, args: &DiskImportArgs) -> Outcome {
    let key = args.key.as_deref().map(Alias::parse).transpose()?;
    let request =
        named("disk.import", &args.name)?.with_given("key", key.as_ref().map(Alias::as_str));
    match (&args.raw, &args.luks) {
        (Some(file), _) => import_raw(session, args, request, file),
        (None, Some(file)) => import_luks(session, args, request, file),
        (None, None) => {
            Err(Error::new(ErrorKind::Invalid, "neither --raw nor --luks is given").into())
        }
    }
}

fn import_raw(
    session: &mut Session<'_>,
    args: &DiskImportArgs,
    request: Request,
    file: &Path,
) -> Outcome {
    if let Some(bytes) = args.sector_size {
        SectorSize::from_bytes(bytes)?;
    }
    let source = ImageSource::plain(file)?;
    let encrypted = match (args.encrypted, args.unencrypted) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        // To name a key is to ask for encryption, whatever the default is.
        (false, false) => args.key.is_some().then_some(true),
    };
    let request = request
        // A disk has whole sectors; what a file is short of them is zeros.
        .with("size", source.size().next_multiple_of(args.sector_size.unwrap_or(512)))
        .with_given("encrypted", encrypted)
        .with_given("sector_size", args.sector_size);
    bring(session, &args.name, &request, source)
}

fn import_luks(
    session: &mut Session<'_>,
    args: &DiskImportArgs,
    request: Request,
    path: &Path,
) -> Outcome {
    forbid_dumps()?;
    let cryptsetup = Cryptsetup::find()?;
    let (file, len) = ImageSource::open_file(path)?;
    let volume = cryptsetup.describe(&file, path)?;
    let digits = volume_key(session, args, &cryptsetup, &file)?;
    let request = request.with("sector_size", volume.sector_size).with_secret("data_key", digits);
    let Some(backing) = &args.backing else {
        let size = volume.size_in(len);
        if size == 0 {
            let message = format!("{} holds a header and no data", path.display());
            return Err(Error::new(ErrorKind::Invalid, message)
                .remedy("say where its data lies: --backing PATH@OFFSET")
                .into());
        }
        let source = ImageSource::part(file, path, volume.offset..volume.offset + size)?;
        return bring(session, &args.name, &request.with("size", size), source);
    };
    let (backing, offset) = place(backing, &volume)?;
    let request = request.with_given("size", volume.size).with("offset", offset);
    let disk = agency::call_or_offer(session, &request.with_path("backing", &backing)?)?;
    session.answer(&disk, |disk| table(&Value::Array(vec![disk.clone()])))
}

/// The key of a volume; asks once more when a person mistyped the passphrase.
fn volume_key(
    session: &mut Session<'_>,
    args: &DiskImportArgs,
    cryptsetup: &Cryptsetup,
    file: &File,
) -> Outcome<Zeroizing<String>> {
    let source = Source::of_header(session, &args.passphrase.as_secret())?;
    let mut tries = 1;
    loop {
        let passphrase = source.take(session, "Passphrase of the LUKS volume: ")?;
        let key = cryptsetup.volume_key(file, &SecretFile::new(passphrase.expose())?);
        match key {
            Err(error)
                if error.kind() == ErrorKind::WrongSecret
                    && source == Source::Terminal
                    && tries < TRIES =>
            {
                session.note("that is not the passphrase; once more");
                tries += 1;
            }
            ended => return Ok(ended?),
        }
    }
}

/// `PATH@OFFSET`, or `PATH` with the offset of the header.
fn place(backing: &Path, volume: &LuksVolume) -> Result<(PathBuf, u64)> {
    let bytes = backing.as_os_str().as_bytes();
    let Some(at) = bytes.iter().rposition(|byte| *byte == b'@') else {
        return Ok((backing.to_owned(), volume.offset));
    };
    let (path, offset) = (&bytes[..at], String::from_utf8_lossy(&bytes[at + 1..]));
    let offset = ByteLen::parse(&offset).map_err(|cause| {
        Error::new(ErrorKind::Invalid, format!("{offset:?} is no offset"))
            .remedy("write --backing PATH@OFFSET, such as /srv/old.luks@16M")
            .caused_by(cause)
    })?;
    Ok((PathBuf::from(std::ffi::OsStr::from_bytes(path)), offset.get()))
}

/// Has the daemon make a disk, writes its content, compares, and answers the disk.
fn bring(
    session: &mut Session<'_>,
    name: &str,
    request: &Request,
    mut source: ImageSource,
) -> Outcome {
    agency::call_or_offer(session, request)?;
    // From here on whatever ends this program gives the import up: the daemon sees the file closed.
    let data = DataFile::to_write_and_compare(session, "disks", name)?;
    let failed = |doing: &str, cause| data.failed(doing, cause);
    let mut transfer = Transfer::of(session, "import", name, source.data_len()?);
    let written = write(&mut source, &mut transfer, data.file(), failed)?;
    drop(transfer);
    let mut transfer = Transfer::of(session, "verify", name, written.len());
    written.must_be_in(data.file(), &mut transfer, failed)?;
    drop(transfer);
    let disk = session.call(&named("disk.finish", name)?)?;
    session.answer(&disk, |disk| table(&Value::Array(vec![disk.clone()])))
}

/// Writes all data of a source, and makes it durable.
fn write(
    source: &mut ImageSource,
    transfer: &mut Transfer<'_>,
    data: &File,
    failed: impl Fn(&str, std::io::Error) -> Failure,
) -> Outcome<Written> {
    let (mut runs, mut digest) = (Vec::<Range<u64>>::new(), Sha256::new());
    source.pour(transfer, |at, bytes| {
        data.write_all_at(bytes, at).map_err(|cause| failed("writing", cause))?;
        digest.update(bytes);
        let end = at + bytes.len() as u64;
        match runs.last_mut() {
            Some(last) if last.end == at => last.end = end,
            _ => runs.push(at..end),
        }
        Ok(())
    })?;
    data.sync_all().map_err(|cause| failed("writing", cause))?;
    Ok(Written { runs, digest: digest.finalize().into() })
}

/// What was written, from the start on.
struct Written {
    runs: Vec<Range<u64>>,
    digest: [u8; 32],
}

impl Written {
    fn len(&self) -> u64 {
        self.runs.iter().map(|run| run.end - run.start).sum()
    }

    /// Reads it back and compares.
    fn must_be_in(
        &self,
        data: &File,
        transfer: &mut Transfer<'_>,
        failed: impl Fn(&str, std::io::Error) -> Failure,
    ) -> Outcome {
        let mut digest = Sha256::new();
        let mut piece = vec![0; PIECE];
        for run in &self.runs {
            let mut at = run.start;
            while at < run.end {
                let len = usize::try_from(run.end - at).unwrap_or(PIECE).min(PIECE);
                data.read_exact_at(&mut piece[..len], at)
                    .map_err(|cause| failed("reading back", cause))?;
                digest.update(&piece[..len]);
                transfer.advance(len as u64);
                at += len as u64;
            }
        }
        if self.digest[..] == digest.finalize()[..] {
            return Ok(());
        }
        let message = "what was read back is not what was written";
        Err(Error::new(ErrorKind::Integrity, message)
            .remedy("see that nobody else writes there, and what the kernel says of the medium")
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_and_an_offset_or_that_of_the_header() {
        let volume = LuksVolume { offset: 4096, size: None, sector_size: 512 };
        for (text, path, offset) in [
            ("/srv/old", "/srv/old", 4096),
            ("/srv/old@0", "/srv/old", 0),
            ("/srv/o@d@16M", "/srv/o@d", 16 << 20),
        ] {
            assert_eq!(place(Path::new(text), &volume).unwrap(), (PathBuf::from(path), offset));
        }
        assert!(place(Path::new("/srv/o@d"), &volume).is_err());
    }

    #[test]
    fn a_copy_that_reads_back_as_something_else_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 3 << 20]).unwrap();
        let failed = |doing: &str, cause| Error::io(doing, cause).into();
        let (data, mut stderr) = (tempfile::tempfile().unwrap(), Vec::new());
        let mut transfer = Transfer::begin("import", "db", 3 << 20, false, &mut stderr);
        let mut source = ImageSource::plain(file.path()).unwrap();
        let written = write(&mut source, &mut transfer, &data, failed).unwrap();
        assert_eq!((written.len(), written.runs.len()), (3 << 20, 1));
        written.must_be_in(&data, &mut transfer, failed).unwrap();
        data.write_all_at(&[8], (2 << 20) + 5).unwrap();
        let damaged = written.must_be_in(&data, &mut transfer, failed);
        let Err(Failure::Refused(refusal)) = damaged else { panic!("{damaged:?}") };
        assert_eq!(refusal.kind, ErrorKind::Integrity.name());
    }
}
