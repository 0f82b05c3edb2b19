//! The agency: the project's standing permission for EVS to use the KMS (RULES A2 to A4).

use crate::error::{Code, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The agency's name.
pub const AGENCY_NAME: &str = "EVSAccessKMS";

/// Whether EVS may use the KMS.
///
/// ```text
/// never ──create──▶ present ──delete──▶ removed
///                      ▲                   │
///                      └──────create───────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Agency {
    #[default]
    Never,
    Present,
    Removed,
}

impl Agency {
    /// The agency once it is created.
    ///
    /// # Errors
    /// `exists` when it is there.
    pub fn created(self) -> Result<Agency> {
        match self {
            Agency::Never | Agency::Removed => Ok(Agency::Present),
            Agency::Present => {
                let message = format!("the agency {AGENCY_NAME} is there already");
                Err(Error::new(ErrorKind::Exists, message).remedy("evsfs agency show"))
            }
        }
    }

    /// The agency once it is deleted.
    ///
    /// # Errors
    /// `not-found` when there is none.
    pub fn deleted(self) -> Result<Agency> {
        match self {
            Agency::Present => Ok(Agency::Removed),
            Agency::Never | Agency::Removed => {
                let error = Error::new(ErrorKind::NotFound, "there is no agency");
                Err(error.remedy("evsfs agency create"))
            }
        }
    }

    /// Refuses unless the agency is there; see [`super::Project::require_agency`].
    pub fn require(self, may_create: bool) -> Result<()> {
        let (code, why) = match (self, may_create) {
            (Agency::Present, _) => return Ok(()),
            (Agency::Never, true) => (
                Code::EVS_2143,
                "encryption is used for the first time and EVS has no agency for the KMS yet",
            ),
            (Agency::Never, false) => (
                Code::EVS_2055,
                "encryption is used for the first time and you lack the KMS Administrator permission",
            ),
            (Agency::Removed, _) => {
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
}
