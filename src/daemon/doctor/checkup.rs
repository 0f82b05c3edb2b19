//! All looks, in their order.

use super::{hsm, machine, memory, mounts, place, user};
use crate::config::Config;
use crate::daemon::service_user::ServiceUser;
use crate::error::Error;
use serde::Serialize;
use std::path::Path;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Works, with a drawback.
    Warn,
    /// A mount cannot be made, or not as configured.
    Fail,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Where it belongs: `machine`, `configuration`, `keys` or `mount`.
    pub area: &'static str,
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub message: String,
    /// What helps.
    pub remedy: Option<String>,
}

/// Checks of one area.
pub(super) struct Area<'a> {
    name: &'static str,
    checks: &'a mut Vec<Check>,
}

impl Area<'_> {
    /// All is well.
    pub fn ok(&mut self, name: &'static str, message: impl Into<String>) {
        self.add(name, Health::Ok, message.into(), None);
    }

    /// It works, with a drawback.
    pub fn warn(
        &mut self,
        name: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(name, Health::Warn, message.into(), Some(remedy.into()));
    }

    /// It does not work.
    pub fn fail(
        &mut self,
        name: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(name, Health::Fail, message.into(), Some(remedy.into()));
    }

    /// It does not work, for this reason.
    pub fn refused(&mut self, name: &'static str, error: &Error) {
        let remedy = error.suggested_remedy().map(str::to_owned);
        self.add(name, Health::Fail, error.explained(), remedy);
    }

    fn add(&mut self, name: &'static str, health: Health, message: String, remedy: Option<String>) {
        self.checks.push(Check { area: self.name, name, health, message, remedy });
    }
}

/// Looks at the machine, and at all that the configuration in `file` names.
pub fn checkup(file: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    let config = Config::load(file);
    let wanted = config.as_ref().ok();
    machine::look(&mut Area { name: "machine", checks: &mut checks }, wanted);
    match &config {
        Ok(config) => as_the_daemon(config, file, &mut checks),
        Err(error) => {
            memory::look(&mut Area { name: "machine", checks: &mut checks });
            Area { name: "configuration", checks: &mut checks }.refused("mount.toml", error);
        }
    }
    mounts::look(&mut Area { name: "mount", checks: &mut checks }, wanted);
    checks
}

/// Looks with the eyes of the user whom the daemon would be at what that user must have or reach.
fn as_the_daemon(config: &Config, file: &Path, checks: &mut Vec<Check>) {
    let looked = ServiceUser::act_for(config, |_| {
        memory::look(&mut Area { name: "machine", checks });
        let mut area = Area { name: "configuration", checks };
        area.ok("mount.toml", format!("{} is sound", file.display()));
        user::look(&mut area, config);
        place::look(&mut area, config);
        hsm::look(&mut Area { name: "keys", checks }, config);
        Ok(())
    });
    if let Err(error) = looked {
        Area { name: "configuration", checks }.refused("user", &error);
    }
}
