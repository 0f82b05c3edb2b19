//! The log of a serving process: to journald, to a file that does not grow for ever, or to stderr.
//!
//! One event is one line: `event=NAME`, what it is of, such as `disk=ID` or `key=ID`, and `error="..."`
//! last. To journald each of them is a field of the entry as well (`journalctl EVSFS_DISK=ID`), and `EVSFS_CODE` is the
//! code of the error that the line ends with.

use crate::error::{Error, ErrorKind, Result};
use log::{Log, Metadata, Record};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// What is logged unless `EVSFS_LOG` says otherwise. The protocol library warns of an unmount that
/// somebody else has made already, which is the ordinary way; the PKCS#11 one of sessions
/// that a token closed itself when it was removed.
const LEVELS: &str = "info,fuser=error,cryptoki=off";
/// A file is put aside when it has grown to this; one older file is kept.
const LONGEST: u64 = 10 << 20;
/// The end of the older file's name.
const OLDER: &str = ".1";
/// What fields of journald begin with, whose names are shared by all programs.
const PREFIX: &str = "EVSFS_";

/// Starts the log of a process whose stderr somebody reads: journald or a person.
pub(super) fn start() {
    let mut builder = builder();
    if !connected_to_journal() {
        return install(&mut builder);
    }
    // Without its socket journald still reads stderr.
    let Ok(journal) = JournalLog::empty() else { return install(&mut builder) };
    let journal = journal.with_syslog_identifier("evsfs".to_owned());
    let filter = builder.build();
    log::set_max_level(filter.filter());
    // A second start would be refused; there is only this one.
    let _ = log::set_boxed_logger(Box::new(Journal { filter, journal }));
}

/// Starts the log of a process that has let go of its terminal. Its stderr, which panics and foreign
/// libraries write to, is the same file; without one both are gone.
pub(super) fn start_in(path: PathBuf) {
    let mut builder = builder();
    match LogFile::open(path, LONGEST) {
        Ok(file) => {
            builder.target(env_logger::Target::Pipe(Box::new(file)));
        }
        Err(_) => {
            let nowhere =
                rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
            // Without even that, stderr stays what it was; the mount works all the same.
            let _ = nowhere.and_then(rustix::stdio::dup2_stderr);
        }
    }
    install(&mut builder);
}

fn builder() -> env_logger::Builder {
    // `EVSFS_LOG` sets the level as env_logger reads it.
    env_logger::Builder::from_env(env_logger::Env::new().filter_or("EVSFS_LOG", LEVELS))
}

fn install(builder: &mut env_logger::Builder) {
    // A second start would be refused; there is only this one.
    let _ = builder.try_init();
}

/// journald, with the fields of each line.
struct Journal {
    // Says what is logged, and logs nothing.
    filter: env_logger::Logger,
    journal: JournalLog,
}

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.matches(record) {
            return;
        }
        let line = record.args().to_string();
        let fields = fields(&line);
        let with_fields = Record::builder()
            .metadata(record.metadata().clone())
            .args(*record.args())
            .module_path(record.module_path())
            .file(record.file())
            .line(record.line())
            .key_values(&fields)
            .build();
        // Nobody is left to be told that it cannot be logged.
        let _ = self.journal.journal_send(&with_fields);
    }

    fn flush(&self) {}
}

/// The `key=value` words of a line as fields, and the code in brackets at its end.
fn fields(line: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut add = |key: &str, value: &str| {
        let key = format!("{PREFIX}{}", key.to_ascii_uppercase().replace('-', "_"));
        if !fields.iter().any(|(known, _)| *known == key) {
            fields.push((key, value.to_owned()));
        }
    };
    let mut rest = line;
    while let Some(at) = rest.find('=') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let start = before.rfind(|c: char| !is_key(c)).map_or(0, |at| at + 1);
        let key = &before[start..];
        let (value, next) = match after.strip_prefix('"') {
            // Comes last, and quotes names itself.
            Some(rest) if key == "error" => rest.rsplit_once('"').unwrap_or((rest, "")),
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once([' ', ';', ',']).unwrap_or((after, "")),
        };
        if key.starts_with(|c: char| c.is_ascii_lowercase()) && !value.is_empty() {
            add(key, value);
        }
        rest = next;
    }
    let end = line.trim_end_matches('"');
    if let Some((_, code)) = end.strip_suffix(')').and_then(|end| end.rsplit_once('('))
        && code
            .split_once('.')
            .is_some_and(|(family, _)| family.starts_with("EVS") || family == "KMS")
    {
        add("code", code);
    }
    fields
}

fn is_key(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
}

/// A file that is put aside, `.1` behind its name, when it has grown long. stderr follows it.
struct LogFile {
    path: PathBuf,
    file: File,
    len: u64,
    longest: u64,
    /// Whether stderr follows; it stays where it is in tests.
    has_stderr: bool,
}

impl LogFile {
    fn open(path: PathBuf, longest: u64) -> Result<LogFile> {
        let (file, len) = open(&path)?;
        let mut log = LogFile { path, file, len, longest, has_stderr: true };
        log.follow()?;
        log.put_aside_if_long();
        Ok(log)
    }

    /// Has stderr write to the present file.
    fn follow(&self) -> Result<()> {
        if !self.has_stderr {
            return Ok(());
        }
        rustix::stdio::dup2_stderr(&self.file)
            .map_err(|cause| Error::io("sending stderr to the log", cause.into()))
    }

    /// Goes on with the long file when it cannot be put aside: a log too many is better than none.
    fn put_aside_if_long(&mut self) {
        if self.len < self.longest {
            return;
        }
        // Tried again when as much has come on top.
        self.len = 0;
        let mut older = self.path.clone().into_os_string();
        older.push(OLDER);
        if std::fs::rename(&self.path, Path::new(&older)).is_err() {
            return;
        }
        if let Ok((file, len)) = open(&self.path) {
            (self.file, self.len) = (file, len);
            // Then it goes on writing to the older one.
            let _ = self.follow();
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Before a line, so that none is in two files.
        self.put_aside_if_long();
        let written = self.file.write(bytes)?;
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn open(path: &Path) -> Result<(File, u64)> {
    // A link in the log's place could make the daemon, who may be root, write elsewhere.
    let flags = OFlags::WRONLY
        | OFlags::CLOEXEC
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK;
    let opened: OwnedFd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|cause| Error::io(format!("opening {}", path.display()), cause.into()))?;
    let file = File::from(opened);
    let meta = file
        .metadata()
        .map_err(|cause| Error::io(format!("looking at {}", path.display()), cause))?;
    // Nor is another name of a file of somebody else's written to, or a device.
    if !meta.is_file() || meta.nlink() > 1 {
        let text = format!("{} is no file of the log's own", path.display());
        return Err(Error::new(ErrorKind::Invalid, text).remedy("remove it"));
    }
    Ok((file, meta.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_line_are_fields_and_the_code_at_its_end_too() {
        let all = |line: &str| {
            fields(line).into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
        };
        for (line, expected) in [
            (
                "event=key-created key=1-2 state=enabled",
                "EVSFS_EVENT=key-created EVSFS_KEY=1-2 EVSFS_STATE=enabled",
            ),
            (
                "event=not-attached-again disk=9 error=\"key \"finance\" is disabled: a=b (EVS.2040)\"",
                "EVSFS_EVENT=not-attached-again EVSFS_DISK=9 \
                 EVSFS_ERROR=key \"finance\" is disabled: a=b (EVS.2040) EVSFS_CODE=EVS.2040",
            ),
            (
                "event=token-late tries=3 why=\"it is slow\" error=\"no answer (EVSFS.kms-unreachable)\"",
                "EVSFS_EVENT=token-late EVSFS_TRIES=3 EVSFS_WHY=it is slow \
                 EVSFS_ERROR=no answer (EVSFS.kms-unreachable) EVSFS_CODE=EVSFS.kms-unreachable",
            ),
            ("mounted on /mnt version=0.1.0", "EVSFS_VERSION=0.1.0"),
            ("nothing (at all) = x A=b key=", ""),
            ("code=KMS.0209 said: (EVS.2040)", "EVSFS_CODE=KMS.0209"),
        ] {
            assert_eq!(all(line), expected, "{line}");
        }
    }

    #[test]
    fn a_long_log_is_put_aside_and_no_line_is_lost_or_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        let (file, len) = open(&path).unwrap();
        // The stderr of all tests stays where it is.
        let mut log = LogFile { path: path.clone(), file, len, longest: 100, has_stderr: false };
        for number in 0..9 {
            log.write_all(format!("line {number} of nine\n").as_bytes()).unwrap();
        }
        let text = std::fs::read_to_string(directory.path().join("daemon.log.1")).unwrap()
            + &std::fs::read_to_string(&path).unwrap();
        let all: String = (0..9).map(|number| format!("line {number} of nine\n")).collect();
        assert_eq!(text, all);
    }
}
