//! Commands on the whole mount.

use super::command::Command;
use crate::auth::{Action, Caller};
use crate::error::Result;
use crate::service::{Fields, Reply, Service};

/// A command on the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountCommand {
    /// All of it at a glance.
    Status,
    /// What goes on in it at this moment.
    Activity,
    /// Bring those who read events to the end of the file: the mount is to be taken away.
    EndEvents,
    /// End the daemon.
    Stop(StopMode),
}

/// How to end the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Give open files the configured grace.
    Graceful,
    /// Detach everything at once.
    Forced,
}

impl MountCommand {
    pub(super) fn from_words(verb: &str, words: &mut Fields) -> Result<Option<MountCommand>> {
        Ok(Some(match verb {
            "status" => MountCommand::Status,
            "activity" => MountCommand::Activity,
            "end-events" => MountCommand::EndEvents,
            "stop" => MountCommand::Stop(stop_mode(words)?),
            _ => return Ok(None),
        }))
    }
}

impl From<MountCommand> for Command {
    fn from(command: MountCommand) -> Self {
        Command::Mount(command)
    }
}

impl Service {
    pub(super) fn execute_on_mount(&self, caller: Caller, command: MountCommand) -> Result<Reply> {
        match command {
            MountCommand::Status => {
                let permit = self.permit(caller, Action::EnterControl)?;
                Ok(Reply::Status(Box::new(self.describe_mount(&permit)?)))
            }
            MountCommand::Activity => {
                let permit = self.permit(caller, Action::EnterControl)?;
                Ok(Reply::Activity(Box::new(self.describe_activity(&permit))))
            }
            MountCommand::EndEvents => {
                let _permit = self.permit(caller, Action::StopMount)?;
                self.events().end_readers();
                Ok(Reply::DONE)
            }
            MountCommand::Stop(mode) => {
                let _permit = self.permit(caller, Action::StopMount)?;
                self.stop_switch().ask(mode);
                Ok(Reply::DONE)
            }
        }
    }
}

fn stop_mode(words: &mut Fields) -> Result<StopMode> {
    Ok(match words.take_flag("force")? {
        Some(true) => StopMode::Forced,
        Some(false) | None => StopMode::Graceful,
    })
}
