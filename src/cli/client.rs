//! The way to the daemon: `MOUNT/.evs/control`.

use super::failure::{Failure, Outcome};
use super::mounts;
use super::request::Request;
use crate::error::{Error, ErrorKind, Refusal, Result};
use rustix::io::Errno;
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// An answer longer than this is no answer of a daemon in its right mind.
const MAX_ANSWER: u64 = 64 << 20;
/// More than an answer with a key in it takes.
const ROOM: usize = 16 << 10;

/// Carries one request to a daemon and its answer back.
pub(super) trait Transport {
    /// Where the daemon's mount is.
    ///
    /// # Errors
    /// `no-mount` when that cannot be said.
    fn mountpoint(&mut self) -> Result<PathBuf>;

    /// Writes `line` and reads the answer to its end.
    ///
    /// # Errors
    /// `no-mount` and `denied` when the daemon cannot be reached; `io`.
    fn exchange(&mut self, line: &str) -> Result<Vec<u8>>;
}

/// Asks the daemon for `request` and returns what stands under `ok`.
pub(super) fn call(transport: &mut dyn Transport, request: &Request) -> Outcome<Value> {
    // Either may hold a key.
    let answer = Zeroizing::new(transport.exchange(&request.line()?)?);
    read_answer(&answer)
}

/// `{"ok":...}` or `{"error":{...}}`, also as the one line a child writes.
pub(super) fn read_answer(bytes: &[u8]) -> Outcome<Value> {
    #[derive(serde::Deserialize)]
    struct Answer {
        // Told apart from an absent one: `{"ok":null}` is an answer.
        #[serde(default, deserialize_with = "present")]
        ok: Option<Value>,
        error: Option<Refusal>,
    }

    fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
        serde::Deserialize::deserialize(from).map(Some)
    }

    match serde_json::from_slice(bytes) {
        Ok(Answer { error: Some(refusal), .. }) => Err(refusal.into()),
        Ok(Answer { ok: Some(value), error: None }) => Ok(value),
        Ok(Answer { ok: None, error: None }) => Err(not_understood("it is neither ok nor error")),
        Err(_) if bytes.is_empty() => Err(not_understood("it is empty")),
        Err(cause) => Err(not_understood(&cause.to_string())),
    }
}

fn not_understood(why: &str) -> Failure {
    Error::new(ErrorKind::Internal, format!("the daemon's answer is not understood, {why}"))
        .remedy("see that program and daemon are of one version: evsfs --version, .evs/version")
        .into()
}

/// The control file of a mount.
#[derive(Debug)]
pub(super) struct ControlFile {
    named: Option<PathBuf>,
    found: Option<PathBuf>,
}

impl ControlFile {
    /// The control file of the mount that is named, or else found when it is first needed.
    pub fn of(named: Option<PathBuf>) -> Self {
        ControlFile { named, found: None }
    }
}

impl Transport for ControlFile {
    fn mountpoint(&mut self) -> Result<PathBuf> {
        if self.found.is_none() {
            self.found = Some(mounts::find(self.named.as_deref())?);
        }
        Ok(self.found.clone().expect("just found"))
    }

    fn exchange(&mut self, line: &str) -> Result<Vec<u8>> {
        let mount = self.mountpoint()?;
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(mount.join(".evs/control"))
            .map_err(|cause| unreachable_mount(&mount, cause))?;
        let asking = |cause| Error::io(format!("asking the daemon of {}", mount.display()), cause);
        // One write is one command (INTERFACE section 1), so a short one is not continued. A
        // refused write may have its reason in the answer, which is the better one to show.
        let written = file.write(line.as_bytes());
        // Room for an answer with a key in it: growing would leave a copy behind.
        let mut answer = Vec::with_capacity(ROOM);
        let read = file.take(MAX_ANSWER).read_to_end(&mut answer);
        match (written, read) {
            (_, Ok(_)) if !answer.is_empty() => Ok(answer),
            (Err(cause), _) | (Ok(_), Err(cause)) => match Errno::from_io_error(&cause) {
                Some(Errno::NOTCONN | Errno::CONNABORTED) => Err(unreachable_mount(&mount, cause)),
                _ => Err(asking(cause)),
            },
            (Ok(written), Ok(_)) if written < line.len() => {
                Err(asking(std::io::Error::from(std::io::ErrorKind::WriteZero)))
            }
            (Ok(_), Ok(_)) => Ok(answer),
        }
    }
}

/// Why the daemon of a mount cannot be asked.
fn unreachable_mount(mount: &Path, cause: std::io::Error) -> Error {
    let shown = mount.display();
    match Errno::from_io_error(&cause) {
        Some(Errno::NOENT | Errno::NOTDIR) => {
            Error::new(ErrorKind::NoMount, format!("no evsfs is mounted on {shown}"))
                .remedy(format!("evsfs mount {shown}"))
        }
        Some(Errno::NOTCONN | Errno::CONNABORTED) => {
            Error::new(ErrorKind::NoMount, format!("the daemon of {shown} has ended"))
                .remedy(format!("evsfs umount {shown} && evsfs mount {shown}"))
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            Error::new(ErrorKind::Denied, format!("{shown} does not let this user in"))
                .remedy("ask the account administrator for a role, and for allow_other = true")
        }
        _ => Error::io(format!("opening the control file of {shown}"), cause),
    }
}

#[cfg(test)]
mod tests {
    use super::{ControlFile, Transport, read_answer};
    use crate::cli::failure::Failure;
    use crate::error::ErrorKind;

    fn refusal(bytes: &[u8]) -> crate::error::Refusal {
        match read_answer(bytes) {
            Err(Failure::Refused(refusal)) => *refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_what_stands_under_ok_or_the_refusal() {
        assert_eq!(read_answer(b"{\"ok\":[1]}\n").unwrap(), serde_json::json!([1]));
        assert_eq!(read_answer(b"{\"ok\":null}").unwrap(), serde_json::Value::Null);
        let error = br#"{"error":{"code":"EVS.1046","kind":"in-use","message":"m"}}"#;
        assert_eq!((refusal(error).code.as_str(), refusal(error).exit_code()), ("EVS.1046", 4));
    }

    #[test]
    fn an_answer_that_is_none_is_an_internal_error_and_no_panic() {
        for bytes in [&b""[..], b"{}", b"[]", b"ok", b"{\"error\":{}}", b"\xff", b"{\"ok\":1} x"] {
            assert_eq!(refusal(bytes).exit_code(), 1, "{bytes:?}");
        }
    }

    #[test]
    fn a_directory_that_is_no_mount_is_refused_with_exit_11() {
        let directory = tempfile::tempdir().unwrap();
        let mut control = ControlFile::of(Some(directory.path().to_owned()));
        let error = control.exchange("{}\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMount);
        assert!(error.suggested_remedy().unwrap().starts_with("evsfs mount /"));
    }
}
