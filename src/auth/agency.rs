//! The agency: the project's standing permission for EVS to use the KMS (RULES A2 to A4).
//!
//! ```text
//! never ──create──▶ present ──delete──▶ removed
//!                      ▲                   │
//!                      └──────create───────┘
//! ```

use super::permit::Permit;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::records::{RecordPath, Records};
use crate::sync::{RwLock, RwLockWriteGuard};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The agency's name.
pub const AGENCY_NAME: &str = "EVSAccessKMS";

/// Whether EVS may use the KMS, remembered in `project.toml`.
pub struct Agency {
    records: Arc<Records>,
    path: RecordPath,
    // Protects the state only; written after the record is safe.
    state: RwLock<AgencyState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AgencyState {
    Never,
    Present,
    Removed,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectRecord {
    agency: AgencyState,
}

impl Agency {
    /// Reads the agency's state.
    ///
    /// # Errors
    /// `integrity` when the record was edited; `io`.
    pub fn load(records: Arc<Records>) -> Result<Agency> {
        let path = RecordPath::parse("project.toml")?;
        let state = records
            .load::<ProjectRecord>(&path)?
            .map_or(AgencyState::Never, |project| project.agency);
        Ok(Agency { records, path, state: RwLock::new(state) })
    }

    /// Whether the agency is there.
    pub fn is_present(&self) -> bool {
        *self.state.read() == AgencyState::Present
    }

    /// Demands the agency before EVS turns to the KMS. `may_create` says whether the caller has
    /// the KMS Administrator permission, which decides what is the remedy.
    ///
    /// # Errors
    /// `no-agency`: EVS.2143 for a caller who may create the first agency; EVS.2055 otherwise.
    pub fn require(&self, may_create: bool) -> Result<()> {
        let state = *self.state.read();
        let (code, why) = match (state, may_create) {
            (AgencyState::Present, _) => return Ok(()),
            (AgencyState::Never, true) => (
                Code::EVS_2143,
                "encryption is used for the first time and EVS has no agency for the KMS yet",
            ),
            (AgencyState::Never, false) => (
                Code::EVS_2055,
                "encryption is used for the first time and you lack the KMS Administrator permission",
            ),
            (AgencyState::Removed, _) => {
                (Code::EVS_2055, "the agency that let EVS use the KMS was removed")
            }
        };
        let remedy = if may_create {
            "evsfs agency create"
        } else {
            "ask the account administrator for the KMS Administrator permission, or to run: evsfs agency create"
        };
        Err(Error::new(ErrorKind::NoAgency, why).code(code).remedy(remedy))
    }

    /// Is about to create the agency.
    ///
    /// # Errors
    /// `exists` when it is there.
    pub fn create(&self, _permit: Permit) -> Result<AgencyChange<'_>> {
        self.change(AgencyState::Present, || {
            Error::new(ErrorKind::Exists, format!("the agency {AGENCY_NAME} is there already"))
                .remedy("evsfs agency show")
        })
    }

    /// Is about to delete the agency; attached disks go on (RULES A4).
    ///
    /// # Errors
    /// `not-found` when there is none.
    pub fn delete(&self, _permit: Permit) -> Result<AgencyChange<'_>> {
        self.change(AgencyState::Removed, || {
            Error::new(ErrorKind::NotFound, "there is no agency").remedy("evsfs agency create")
        })
    }

    fn change(&self, to: AgencyState, refusal: impl FnOnce() -> Error) -> Result<AgencyChange<'_>> {
        let state = self.state.write();
        let is_change = match to {
            AgencyState::Present => *state != AgencyState::Present,
            AgencyState::Removed | AgencyState::Never => *state == AgencyState::Present,
        };
        if !is_change {
            return Err(refusal());
        }
        Ok(AgencyChange { agency: self, state, to })
    }
}

/// A change that is allowed. Nobody else changes the agency, or asks for it, until this is carried
/// out or dropped.
#[must_use = "nothing has changed before it is carried out"]
pub struct AgencyChange<'a> {
    agency: &'a Agency,
    state: RwLockWriteGuard<'a, AgencyState>,
    to: AgencyState,
}

impl AgencyChange<'_> {
    /// Carries the change out.
    ///
    /// # Errors
    /// `io` and `no-space` from the state directory; nothing has changed then.
    pub fn carry_out(mut self) -> Result<()> {
        self.agency.records.save(&self.agency.path, &ProjectRecord { agency: self.to })?;
        *self.state = self.to;
        Ok(())
    }
}
