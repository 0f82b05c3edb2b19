//! Where passphrases and PINs come from, and how they go to a child.
//!
//! In this order: the file or descriptor named by an option, the credential of the service manager
//! (`$CREDENTIALS_DIRECTORY/evsfs-NAME`, systemd.exec(5)), the person at the terminal. A person who
//! mistyped is asked once more; who gave a file is not.

use super::args::SecretArgs;
use super::failure::{Failure, Outcome};
use super::session::Session;
use crate::daemon::{HsmSecret, SecretText};
use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{ErrorKind as IoKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};

/// How often a person may type a secret.
const TRIES: u32 = 2;

/// A place a secret may be taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    Descriptor(i32),
    Terminal,
}

impl Source {
    /// What the options, or else the service manager, or else the terminal offer for the secret
    /// called `name`.
    ///
    /// # Errors
    /// `invalid` when nobody can be asked either.
    pub fn of(session: &Session<'_>, args: &SecretArgs, name: &str) -> Result<Source> {
        let (file, descriptor) = match name {
            "pin" => (&args.pin_file, args.pin_fd),
            _ => (&args.passphrase_file, args.passphrase_fd),
        };
        Source::among(session, (file, descriptor), name, name)
    }

    /// As [`Source::of`], for the passphrase of a LUKS header: the credential of that name is the root
    /// key's.
    pub fn of_header(session: &Session<'_>, args: &SecretArgs) -> Result<Source> {
        let given = (&args.passphrase_file, args.passphrase_fd);
        Source::among(session, given, "passphrase", "header-passphrase")
    }

    fn among(
        session: &Session<'_>,
        (file, descriptor): (&Option<PathBuf>, Option<i32>),
        name: &str,
        credential_name: &str,
    ) -> Result<Source> {
        match (file, descriptor) {
            (Some(file), _) => return Ok(Source::File(file.clone())),
            (None, Some(number)) => return Ok(Source::Descriptor(number)),
            (None, None) => {}
        }
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|directory| Path::new(&directory).join(format!("evsfs-{credential_name}")))
            .filter(|file| file.exists());
        match credential {
            Some(file) => Ok(Source::File(file)),
            None if session.terminal.is_interactive() => Ok(Source::Terminal),
            None => Err(Error::new(
                ErrorKind::Invalid,
                format!("there is no terminal to ask for the {name} on"),
            )
            .remedy(format!(
                "--{name}-file FILE, --{name}-fd N, or the credential evsfs-{credential_name}"
            ))),
        }
    }

    /// Takes the secret from there.
    pub fn take(&self, session: &mut Session<'_>, question: &str) -> Result<SecretText> {
        match self {
            Source::File(path) => read_file(path),
            Source::Descriptor(number) => SecretText::read_descriptor(*number),
            Source::Terminal => session.terminal.ask_secret(question),
        }
    }

    /// Takes a secret that is new, of which a person must type the same twice.
    pub fn take_new(&self, session: &mut Session<'_>, name: &str) -> Result<SecretText> {
        let secret = self.take(session, &format!("New {name}: "))?;
        if *self == Source::Terminal {
            let again = self.take(session, &format!("New {name} again: "))?;
            if !secret.ct_eq(&again) {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("the {name} was not typed the same twice"),
                )
                .remedy("try again"));
            }
        }
        Ok(secret)
    }
}

/// Does `work` with the secret that it needs, if any, and leaves it to it; does it once more when the
/// secret was typed and is not the right one.
pub(super) fn with_secret<T>(
    session: &mut Session<'_>,
    args: &SecretArgs,
    needed: Option<HsmSecret>,
    mut work: impl FnMut(&mut Session<'_>, Option<SecretText>) -> Outcome<T>,
) -> Outcome<T> {
    let Some(kind) = needed else { return work(session, None) };
    let name = kind.name();
    let source = Source::of(session, args, name)?;
    let mut tries = 1;
    loop {
        let capital = name[..1].to_uppercase() + &name[1..];
        let secret = source.take(session, &format!("{capital}: "))?;
        match work(session, Some(secret)) {
            Err(Failure::Refused(refusal))
                if refusal.kind == ErrorKind::WrongSecret.name()
                    && source == Source::Terminal
                    && tries < TRIES =>
            {
                session.note(&format!("that is not the {name}; once more"));
                tries += 1;
            }
            ended => return ended,
        }
    }
}

/// What a child gets as its stdin: a pipe when [`hand_over`] will follow, else nothing.
pub(super) fn child_stdin(secret: Option<&SecretText>) -> Stdio {
    if secret.is_some() { Stdio::piped() } else { Stdio::null() }
}

/// Gives the secret to a child through the pipe that is its stdin.
pub(super) fn hand_over(secret: Option<SecretText>, pipe: Option<ChildStdin>) -> Result<()> {
    let (Some(secret), Some(mut pipe)) = (secret, pipe) else { return Ok(()) };
    match pipe.write_all(secret.expose()) {
        // The child ended already and says itself why.
        Err(cause) if cause.kind() != IoKind::BrokenPipe => {
            Err(Error::io("handing the secret to the daemon", cause))
        }
        _ => Ok(()),
    }
}

/// What [`hand_over`] gave, in the child, which has no stdin afterwards.
pub(super) fn receive(needed: Option<HsmSecret>) -> Result<Option<SecretText>> {
    let Some(kind) = needed else { return Ok(None) };
    let secret = SecretText::read_descriptor(0).map_err(|cause| {
        Error::new(cause.kind(), format!("the daemon was not given the {}", kind.name()))
            .caused_by(cause)
    })?;
    let nothing = File::open("/dev/null").map_err(|cause| Error::io("opening /dev/null", cause))?;
    rustix::stdio::dup2_stdin(nothing)
        .map_err(|cause| Error::io("letting go of stdin", cause.into()))?;
    Ok(Some(secret))
}

fn read_file(path: &Path) -> Result<SecretText> {
    let place = path.display().to_string();
    let opening = |cause: std::io::Error| match cause.kind() {
        IoKind::NotFound => Error::new(ErrorKind::NotFound, format!("there is no {place}")),
        IoKind::PermissionDenied => {
            Error::new(ErrorKind::Denied, format!("{place} cannot be read")).caused_by(cause)
        }
        _ => Error::io(format!("opening {place}"), cause),
    };
    let mut file = File::open(path).map_err(opening)?;
    let status = file.metadata().map_err(opening)?;
    // A pipe, as a shell's <(...) makes one, has no readers but its own.
    if status.is_file() && status.permissions().mode() & 0o077 != 0 {
        return Err(Error::new(ErrorKind::Denied, format!("others can read {place}"))
            .remedy(format!("chmod 600 {place}")));
    }
    SecretText::read_line(&mut file as &mut dyn Read, &place)
}
