//! The PIN of a token, from a descriptor or from a person; never from arguments or the environment.

use super::failure::Outcome;
use super::session::Session;
use crate::config::Config;
use crate::config::HsmChoice;
use crate::daemon;
use crate::daemon::{Pin, Unlock};
use crate::error::{Error, ErrorKind, Result};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// What the HSM of this configuration needs from the command line or the terminal.
pub(super) fn unlock(
    session: &mut Session<'_>,
    config: &Config,
    pin_fd: Option<u32>,
) -> Outcome<Unlock> {
    let HsmChoice::Pkcs11 { token, .. } = &config.kms.hsm else {
        return match pin_fd {
            None => Ok(Unlock::default()),
            Some(_) => {
                let message = format!("{} names no token", config.file.display());
                Err(Error::new(ErrorKind::Invalid, message).remedy("leave out --pin-fd").into())
            }
        };
    };
    let pin = match pin_fd {
        Some(number) => Some(from_descriptor(number)?),
        None if daemon::wants_pin(config) && session.terminal.is_interactive() => {
            Some(from_person(&format!("PIN of token \"{token}\": "))?)
        }
        None => None,
    };
    Ok(Unlock { pin })
}

/// What the parent wrote into our stdin, which is let go of then.
pub(super) fn from_parent() -> Result<Unlock> {
    let pin = Pin::read(&mut Unbuffered, "evsfs mount")?;
    rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(rustix::stdio::dup2_stdin)
        .map_err(|cause| Error::io("letting go of stdin", cause.into()))?;
    Ok(Unlock { pin: Some(pin) })
}

fn from_descriptor(number: u32) -> Result<Pin> {
    // Opened again rather than taken over: the descriptor may be one of the standard three.
    let mut file = std::fs::File::open(format!("/proc/self/fd/{number}")).map_err(|cause| {
        Error::new(ErrorKind::Invalid, format!("descriptor {number} of --pin-fd cannot be read"))
            .remedy("open a file or pipe there, as in: evsfs mount --pin-fd 3 3< FILE")
            .caused_by(cause)
    })?;
    Pin::read(&mut file, &format!("descriptor {number}"))
}

/// Asks on the terminal and shows nothing of what is typed.
fn from_person(question: &str) -> Result<Pin> {
    let asking = |cause| Error::io("asking on the terminal", cause);
    let mut stderr = std::io::stderr();
    let hidden = Hidden::begin()?;
    std::io::Write::write_all(&mut stderr, question.as_bytes()).map_err(asking)?;
    let pin = Pin::read(&mut Unbuffered, "the terminal");
    drop(hidden);
    // The end of the line that was not shown.
    std::io::Write::write_all(&mut stderr, b"\n").map_err(asking)?;
    pin
}

/// Stdin without the buffer of the standard library, which would keep what was typed.
struct Unbuffered;

impl std::io::Read for Unbuffered {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), into)?)
    }
}

/// The terminal as it was; put back when dropped.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn begin() -> Result<Hidden> {
        let hiding = |cause: rustix::io::Errno| Error::io("hiding what is typed", cause.into());
        let before = tcgetattr(rustix::stdio::stdin()).map_err(hiding)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &quiet).map_err(hiding)?;
        Ok(Hidden { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The terminal may have gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}
