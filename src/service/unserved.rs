//! What the state directory holds and the daemon does not serve.

use super::control_plane::Service;
use crate::error::Error;

/// An object whose record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unserved {
    /// `disk`, `backup`, `image`, `server` or `job`.
    pub noun: &'static str,
    /// The name of its directory or record, which is its id if it is one of ours.
    pub id: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl Service {
    /// Leaves an object out, aloud; all others are served.
    pub(super) fn leave_out(&self, noun: &'static str, id: &str, error: &Error) {
        let code = error.shown_code();
        log::error!("event=not-served {noun}={id} code={code} error=\"{}\"", error.explained());
        let remedy = error.suggested_remedy().unwrap_or("evsfs check").to_owned();
        let problem = error.explained();
        self.unserved.lock().push(Unserved { noun, id: id.to_owned(), problem, remedy });
    }
}
