//! How a command ends when it does not end well.

use crate::error::Error;
use crate::error::Refusal;

/// The outcome of a command or a part of it.
pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command stops.
#[derive(Debug)]
pub(super) enum Failure {
    /// The daemon or this program refused; the user is told.
    Refused(Box<Refusal>),
    /// Whoever reads stdout has gone, as `head` does; nobody is left to be told.
    OutputClosed,
    /// The answer, which was given, is a bad one; nothing is to be added but this exit code.
    Told(u8),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(Box::new(refusal))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::from(Refusal::from(&error))
    }
}
