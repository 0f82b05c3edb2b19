//! Commands on the audit log (RULES K11).

use super::command::Command;
use crate::auth::{Action, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::service::{Fields, Reply, Service};

/// Entries in one answer.
const ENTRIES: usize = 1000;

/// A command on the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditCommand {
    /// The entries after this one, some of them.
    Show(u64),
    /// Is the log whole?
    Verify,
}

impl AuditCommand {
    pub(super) fn from_words(verb: &str, words: &mut Fields) -> Result<Option<AuditCommand>> {
        Ok(Some(match verb {
            "show" => AuditCommand::Show(after(words)?),
            "verify" => AuditCommand::Verify,
            _ => return Ok(None),
        }))
    }
}

impl From<AuditCommand> for Command {
    fn from(command: AuditCommand) -> Self {
        Command::Audit(command)
    }
}

impl Service {
    pub(super) fn execute_on_audit(&self, caller: Caller, command: AuditCommand) -> Result<Reply> {
        let _permit = self.permit(caller, Action::ReadAudit)?;
        match command {
            AuditCommand::Show(after) => Ok(Reply::Audit(self.kms.audit_entries(after, ENTRIES)?)),
            AuditCommand::Verify => Ok(Reply::AuditReport(self.kms.verify_audit()?)),
        }
    }
}

/// The number of the entry after which a caller wants to read on.
fn after(words: &mut Fields) -> Result<u64> {
    let Some(text) = words.take_text("after")? else { return Ok(0) };
    text.parse().map_err(|_| {
        Error::new(ErrorKind::Invalid, format!("after {text:?} is not the number of an entry"))
    })
}
