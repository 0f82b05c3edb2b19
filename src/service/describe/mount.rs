//! The whole mount.

use super::attention::AttentionInfo;
use super::disk::DiskInfo;
use super::key::KeyInfo;
use super::time::shown_time;
use crate::auth::{AGENCY_NAME, Permit};
use crate::error::Result;
use crate::service::Service;
use serde::Serialize;

/// The whole mount.
#[derive(Debug, Clone, Serialize)]
pub struct StatusInfo {
    /// Where it is mounted.
    pub mountpoint: String,
    /// Where its state lies.
    pub state_dir: String,
    /// The program's version.
    pub version: &'static str,
    /// The daemon's process id.
    pub pid: u32,
    /// When the daemon started, RFC 3339.
    pub started: String,
    /// What is out of the daemon's reach; absent when nothing is.
    pub sandbox: Option<&'static str>,
    /// The agency's name, where there is one.
    pub agency: Option<&'static str>,
    /// The configured region.
    pub region: String,
    /// The configured project.
    pub project: String,
    /// The disks the caller may see.
    pub disks: Vec<DiskInfo>,
    /// The keys.
    pub keys: Vec<KeyInfo>,
    /// What wants an administrator, as far as the caller may know.
    pub attention: Vec<AttentionInfo>,
}

impl Service {
    /// Tells what is out of the daemon's reach from now on, for `status`.
    pub fn tell_sandbox(&self, sandbox: &'static str) {
        // The first word holds: a process cannot leave its sandbox.
        let _ = self.sandbox.set(sandbox);
    }

    /// Tells that files which are not there yet are out of the daemon's reach, wherever they are made.
    pub fn confine_payloads(&self) {
        self.payloads.confine();
    }

    pub(in crate::service) fn describe_mount(&self, permit: &Permit) -> Result<StatusInfo> {
        let caller = permit.caller();
        Ok(StatusInfo {
            mountpoint: self.settings.mountpoint.display().to_string(),
            state_dir: self.settings.state_dir.display().to_string(),
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started: shown_time(self.started),
            sandbox: self.sandbox.get().copied(),
            agency: self.project.has_agency().then_some(AGENCY_NAME),
            region: self.settings.region.clone(),
            project: self.settings.project.clone(),
            disks: self.list_disks(caller)?,
            keys: self.describe_keys(caller),
            attention: self.attention(permit),
        })
    }
}
