//! Unmounting for a daemon that has given up the right to.
//!
//! A process of its own, started before the daemon restricts itself, that can do one thing: take one
//! mount away. It holds no key, reads one byte for each wish and answers with a line, which is empty
//! when the wish was fulfilled; it ends when the daemon does, however that ends.

use crate::error::{Error, ErrorKind, Result};
use crate::fuse::{Lazily, unmount};
use crate::sync::Mutex;
use crate::sys;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const WHEN_IDLE: u8 = b'i';
const LAZILY: u8 = b'l';
/// How an answer begins that says the mount is in use.
const BUSY: &str = "busy: ";

/// Whose process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Of the user who started it.
    Inherited,
    /// Root's, which the daemon must be able to become yet.
    OfRoot,
}

/// The daemon's end.
pub(super) struct Unmounter {
    child: Child,
    // One wish at a time.
    pipes: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Unmounter {
    /// Starts the process, which is of the user `rights` says.
    ///
    /// # Errors
    /// `io`.
    pub fn start(mountpoint: &Path, rights: Rights) -> Result<Unmounter> {
        let starting = |cause| Error::io("starting the process that unmounts", cause);
        let mut command = Command::new("/proc/self/exe");
        if rights == Rights::OfRoot {
            command.gid(0).uid(0);
        }
        let mut child = command
            .arg0("evsfs")
            .args(["mount", "--unmounter", "--"])
            .arg(mountpoint)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(starting)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let pipes = pipes.map(|(wishes, answers)| (wishes, BufReader::new(answers)));
        Ok(Unmounter { child, pipes: Mutex::new(pipes) })
    }

    /// Unmounts.
    ///
    /// # Errors
    /// `in-use`, `io`.
    pub fn unmount(&self, lazily: Lazily) -> Result<()> {
        let asking = |cause| Error::io("asking for the unmount", cause);
        let mut pipes = self.pipes.lock();
        let Some((wishes, answers)) = &mut *pipes else {
            return Err(Error::new(ErrorKind::Internal, "there is nobody to unmount"));
        };
        let wish = match lazily {
            Lazily::No => WHEN_IDLE,
            Lazily::Yes => LAZILY,
        };
        wishes.write_all(&[wish]).map_err(asking)?;
        let mut answer = String::new();
        answers.read_line(&mut answer).map_err(asking)?;
        match (answer.strip_suffix('\n'), answer.strip_prefix(BUSY)) {
            (Some(""), _) => Ok(()),
            (Some(_), Some(why)) => Err(Error::new(ErrorKind::InUse, why.trim_end())),
            (Some(why), None) => Err(Error::new(ErrorKind::Io, why)),
            (None, _) => Err(Error::new(ErrorKind::Io, "the process that unmounts has ended")),
        }
    }
}

impl Drop for Unmounter {
    fn drop(&mut self) {
        *self.pipes.lock() = None;
        // It ends at once, and nobody else would collect it.
        let _ = self.child.wait();
    }
}

/// Is the process: fulfils wishes until the daemon has ended.
pub fn serve_unmounts(mountpoint: &Path) -> u8 {
    // A signal to the whole group is for the daemon, which will want the unmount then.
    if sys::block_termination_signals().is_err() {
        return 1;
    }
    let (mut wishes, mut answers) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut wish = [0];
    while wishes.read_exact(&mut wish).is_ok() {
        let lazily = if wish[0] == LAZILY { Lazily::Yes } else { Lazily::No };
        let answer = match unmount(mountpoint, lazily) {
            Ok(()) => String::new(),
            Err(error) if error.kind() == ErrorKind::InUse => format!("{BUSY}{error}"),
            Err(error) => error.to_string(),
        };
        let line = answer.replace('\n', " ") + "\n";
        if answers.write_all(line.as_bytes()).and_then(|()| answers.flush()).is_err() {
            break;
        }
    }
    0
}
