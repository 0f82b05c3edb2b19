//! A key whose record or material cannot be used: it alone is refused, by the name of its file.

use super::hsm::{CmkVersion, Hsm};
use super::key::KeyView;
use super::key_ring::{KeyRing, path_of};
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyId;
use crate::records::Records;
use std::path::PathBuf;

/// A record that was edited, deleted, put back as it was earlier, or contradicts itself or another; in an
/// examination also one whose material is damaged or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedKey {
    /// The key, as far as the file's name tells it.
    pub id: Option<KeyId>,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
    kind: ErrorKind,
}

/// What is found of keys by somebody who only looks.
#[derive(Debug)]
pub struct KeyFindings {
    /// The sound ones, by alias, the default key first.
    pub keys: Vec<KeyView>,
    /// The others.
    pub damaged: Vec<DamagedKey>,
}

/// Looks at all keys of a project, and does nothing to them, whatever is due. A key is sound when its
/// record is, and each version of its material that the HSM should hold can be used.
///
/// # Errors
/// What the store and the HSM report; damage is no error.
pub fn examine_keys(records: &Records, hsm: &dyn Hsm) -> Result<KeyFindings> {
    let ring = KeyRing::open(records.clone())?;
    let mut damaged = ring.damaged().to_vec();
    let mut keys = Vec::new();
    for key in ring.all() {
        match examine_material(hsm, key.cmks())? {
            None => keys.push(key.view()),
            Some(error) => {
                let file = records.place(&path_of(key.id)?);
                damaged.push(DamagedKey::new(Some(key.id), file, &error));
            }
        }
    }
    Ok(KeyFindings { keys, damaged })
}

fn is_gone_or_damaged(error: &Error) -> bool {
    error.kind() == ErrorKind::KeyGone || DamagedKey::is_damage(error)
}

/// What is wrong with the first material that is not there as it was made.
fn examine_material(hsm: &dyn Hsm, cmks: Vec<CmkVersion>) -> Result<Option<Error>> {
    for cmk in cmks {
        match hsm.generate_dk_wrapped(cmk, b"examination") {
            Ok(_) => {}
            Err(error) if is_gone_or_damaged(&error) => return Ok(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl DamagedKey {
    pub(super) fn new(id: Option<KeyId>, file: String, error: &Error) -> Self {
        let remedy = error.suggested_remedy().unwrap_or("evsfs check").to_owned();
        let (file, problem) = (PathBuf::from(file), error.explained());
        DamagedKey { id, file, problem, remedy, kind: error.kind() }
    }

    /// Whether an error is about what lies there, and not about the store.
    pub(super) fn is_damage(error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::Integrity | ErrorKind::Unsupported)
    }

    /// The refusal of whatever needs the key.
    pub fn refusal(&self) -> Error {
        Error::new(self.kind, self.problem.clone()).remedy(self.remedy.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or a medium that fails for a moment would leave out sound keys until the next start.
    #[test]
    fn a_store_that_cannot_be_read_damages_no_key() {
        let is_damage = |kind| DamagedKey::is_damage(&Error::new(kind, "a test"));
        assert!(is_damage(ErrorKind::Integrity) && is_damage(ErrorKind::Unsupported));
        assert!(!is_damage(ErrorKind::Io) && !is_damage(ErrorKind::NotFound));
    }
}
