//! What the project as a whole has decided, remembered in `project.toml`.

use super::agency::Agency;
use super::default_encryption::DefaultEncryption;
use super::permit::Permit;
use crate::error::Result;
use crate::records::{RecordPath, Records};
use crate::sync::{RwLock, RwLockWriteGuard};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const RECORD: &str = "project.toml";

/// The agency and the default encryption. The only owner of the project's record.
pub struct Project {
    records: Arc<Records>,
    // Protects the decisions; held while they are written, so that one change follows another.
    decisions: RwLock<Decisions>,
}

/// The record. What was never decided is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decisions {
    #[serde(default)]
    agency: Agency,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    default_encryption: Option<DefaultEncryption>,
}

impl Project {
    /// Reads what was decided.
    ///
    /// # Errors
    /// `integrity` when the record was edited; `io`.
    pub fn load(records: Arc<Records>) -> Result<Project> {
        let decisions = records.load(&RecordPath::parse(RECORD)?)?.unwrap_or_default();
        Ok(Project { records, decisions: RwLock::new(decisions) })
    }

    /// Whether the agency is there.
    pub fn has_agency(&self) -> bool {
        self.decisions.read().agency == Agency::Present
    }

    /// Demands the agency before EVS turns to the KMS. `may_create` says whether the caller has
    /// the KMS Administrator permission, which decides what is the remedy.
    ///
    /// # Errors
    /// `no-agency`: EVS.2143 for a caller who may create the first agency; EVS.2055 otherwise.
    pub fn require_agency(&self, may_create: bool) -> Result<()> {
        let agency = self.decisions.read().agency;
        agency.require(may_create)
    }

    /// Decides that there is an agency.
    ///
    /// # Errors
    /// `exists` when it is there.
    pub fn create_agency(&self, _permit: Permit) -> Result<Decision<'_>> {
        self.decide(|now| Ok(Decisions { agency: now.agency.created()?, ..now }))
    }

    /// Decides that there is no agency; attached disks go on (RULES A4).
    ///
    /// # Errors
    /// `not-found` when there is none.
    pub fn delete_agency(&self, _permit: Permit) -> Result<Decision<'_>> {
        self.decide(|now| Ok(Decisions { agency: now.agency.deleted()?, ..now }))
    }

    /// The default encryption, if the project has chosen one.
    pub fn default_encryption(&self) -> Option<DefaultEncryption> {
        self.decisions.read().default_encryption
    }

    /// Chooses the default encryption, from now on and after restarts.
    ///
    /// # Errors
    /// `io` and `no-space` from the state directory.
    pub fn choose_default_encryption(
        &self,
        _permit: Permit,
        choice: DefaultEncryption,
    ) -> Result<()> {
        self.decide(|now| Ok(Decisions { default_encryption: Some(choice), ..now }))?.carry_out()
    }

    fn decide(&self, change: impl FnOnce(Decisions) -> Result<Decisions>) -> Result<Decision<'_>> {
        let decisions = self.decisions.write();
        let next = change(*decisions)?;
        Ok(Decision { project: self, decisions, next })
    }
}

/// A change that is allowed. Nobody else decides, or asks what was decided, until it is carried out
/// or dropped.
#[must_use = "nothing has changed before it is carried out"]
pub struct Decision<'a> {
    project: &'a Project,
    decisions: RwLockWriteGuard<'a, Decisions>,
    next: Decisions,
}

impl Decision<'_> {
    /// Carries it out. Written first: when that fails, nothing has changed.
    ///
    /// # Errors
    /// `io` and `no-space` from the state directory.
    pub fn carry_out(mut self) -> Result<()> {
        self.project.records.save(&RecordPath::parse(RECORD)?, &self.next)?;
        *self.decisions = self.next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Action, Authority, Caller, DefaultKey};
    use crate::crypto::{RecordKey, Secret};
    use crate::error::ErrorKind;
    use crate::id::{KeyId, Uid};
    use crate::records::MemoryStore;

    fn records() -> Arc<Records> {
        let key = RecordKey::derive(&Secret::random().unwrap()).unwrap();
        Arc::new(Records::open(Arc::new(MemoryStore::new()), key).unwrap())
    }

    fn permit() -> Permit {
        let authority = Authority::new(Uid::ROOT, &[]);
        authority.authorize(Caller::new(Uid::ROOT), Action::ManageAgency).unwrap()
    }

    #[test]
    fn each_decision_lasts_and_leaves_the_other_alone() {
        let records = records();
        let project = Project::load(records.clone()).unwrap();
        assert_eq!((project.has_agency(), project.default_encryption()), (false, None));
        let choice = DefaultEncryption::On(DefaultKey::Own(KeyId::random()));
        project.create_agency(permit()).unwrap().carry_out().unwrap();
        project.choose_default_encryption(permit(), choice).unwrap();
        let project = Project::load(records.clone()).unwrap();
        assert_eq!((project.has_agency(), project.default_encryption()), (true, Some(choice)));
        project.delete_agency(permit()).unwrap().carry_out().unwrap();
        let project = Project::load(records).unwrap();
        assert_eq!((project.has_agency(), project.default_encryption()), (false, Some(choice)));
    }

    #[test]
    fn a_record_from_before_there_was_a_default_encryption_is_read() {
        #[derive(Serialize)]
        struct Older {
            agency: &'static str,
        }
        let records = records();
        let path = RecordPath::parse(RECORD).unwrap();
        records.save(&path, &Older { agency: "present" }).unwrap();
        let project = Project::load(records).unwrap();
        assert_eq!((project.has_agency(), project.default_encryption()), (true, None));
    }

    /// RULES A2 and A4.
    #[test]
    fn the_agency_is_created_once_and_deleted_once() {
        let project = Project::load(records()).unwrap();
        let kind = |result: Result<Decision<'_>>| result.err().unwrap().kind();
        assert_eq!(kind(project.delete_agency(permit())), ErrorKind::NotFound);
        assert_eq!(project.require_agency(true).unwrap_err().kind(), ErrorKind::NoAgency);
        project.create_agency(permit()).unwrap().carry_out().unwrap();
        project.require_agency(false).unwrap();
        assert_eq!(kind(project.create_agency(permit())), ErrorKind::Exists);
        project.delete_agency(permit()).unwrap().carry_out().unwrap();
        assert_eq!(kind(project.delete_agency(permit())), ErrorKind::NotFound);
        project.create_agency(permit()).unwrap().carry_out().unwrap();
    }
}
