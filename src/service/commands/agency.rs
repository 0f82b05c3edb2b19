//! Commands on the agency (RULES A2 to A4).

use super::command::Command;
use crate::auth::{Action, Caller};
use crate::error::Result;
use crate::kms::AuditEvent;
use crate::service::{Reply, Service};

/// A command on the agency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgencyCommand {
    /// Let EVS use the KMS.
    Create,
    /// Is there an agency?
    Show,
    /// No longer let EVS use the KMS.
    Delete,
}

impl AgencyCommand {
    pub(super) fn from_words(verb: &str) -> Option<AgencyCommand> {
        match verb {
            "create" => Some(AgencyCommand::Create),
            "show" => Some(AgencyCommand::Show),
            "delete" => Some(AgencyCommand::Delete),
            _ => None,
        }
    }
}

impl From<AgencyCommand> for Command {
    fn from(command: AgencyCommand) -> Self {
        Command::Agency(command)
    }
}

impl Service {
    pub(super) fn execute_on_agency(
        &self,
        caller: Caller,
        command: AgencyCommand,
    ) -> Result<Reply> {
        let event = match command {
            AgencyCommand::Show => {
                let _permit = self.permit(caller, Action::SeeKeys)?;
                return Ok(Reply::Agency(self.describe_agency()));
            }
            AgencyCommand::Create => AuditEvent::CreateAgency,
            AgencyCommand::Delete => AuditEvent::DeleteAgency,
        };
        let kms = self.kms_for(caller);
        let permit = self
            .permit(caller, Action::ManageAgency)
            .inspect_err(|refusal| kms.record_refusal(event, None, refusal))?;
        kms.recorded(event, |recording| {
            let decision = match command {
                AgencyCommand::Delete => self.project.delete_agency(permit)?,
                AgencyCommand::Create | AgencyCommand::Show => {
                    self.project.create_agency(permit)?
                }
            };
            recording.allow()?;
            decision.carry_out()
        })?;
        let agency = self.describe_agency();
        let done = if agency.present { "created" } else { "deleted" };
        log::info!("event=agency-{done} uid={}", caller.uid());
        self.tell_of_agency(&format!("agency.{done}"));
        Ok(Reply::Agency(agency))
    }
}
