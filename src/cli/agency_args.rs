//! The arguments of `evsfs agency`.

#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub(super) enum AgencyCommand {
    /// Create the agency EVSAccessKMS
    Create,
    /// Show the agency
    Show,
    /// Delete the agency: new encryption and attaching of encrypted disks stop
    Delete,
}

impl AgencyCommand {
    /// What did not happen when the command was refused.
    pub fn undone(self) -> &'static str {
        match self {
            AgencyCommand::Create => "the agency was not created",
            AgencyCommand::Show => "the agency cannot be shown",
            AgencyCommand::Delete => "the agency was not deleted",
        }
    }

    /// The words that name the command.
    pub fn path(self) -> &'static str {
        match self {
            AgencyCommand::Create => "agency create",
            AgencyCommand::Show => "agency show",
            AgencyCommand::Delete => "agency delete",
        }
    }
}
