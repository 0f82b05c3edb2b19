//! What lies in a token, and how it is found.
//!
//! Objects in the token, all of them secret keys that are sensitive and not extractable:
//!
//! | label | what |
//! |---|---|
//! | `evsfs:<key id>:<version>` | one version of a master key: AES-256, made by the token |
//! | `evsfs:record-key` | HMAC key, made by `evsfs init`, that records are authenticated under |

use super::hsm::CmkVersion;
use super::pkcs11_fault::Fault;
use crate::id::KeyId;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};

const PREFIX: &str = "evsfs:";
/// The label of the record key.
pub(super) const RECORD_KEY: &str = "evsfs:record-key";

/// A key that stays in the token.
pub(super) fn protected(label: &str, kind: KeyType) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(kind),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
    ]
}

/// The objects of a label.
pub(super) fn search(session: &Session, label: &str) -> Result<Vec<ObjectHandle>, Fault> {
    Ok(session.find_objects(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Label(label.as_bytes().to_vec()),
    ])?)
}

/// Whether the session sees what is private: logging out empties what it finds.
pub(super) fn is_logged_in(session: &Session) -> Result<bool, Fault> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}

/// The label of the material of `cmk`.
pub(super) fn label_of(cmk: CmkVersion) -> String {
    format!("{PREFIX}{}:{}", cmk.key, cmk.version)
}

/// Whose material an object of this label is.
pub(super) fn parse_label(label: &[u8]) -> Option<CmkVersion> {
    let label = std::str::from_utf8(label).ok()?;
    let (key, version) = label.strip_prefix(PREFIX)?.split_once(':')?;
    let cmk = CmkVersion { key: KeyId::parse(key).ok()?, version: version.parse().ok()? };
    // Other spellings of the same id or number are no labels of ours.
    (label_of(cmk) == label).then_some(cmk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_as_it_is_written_and_in_no_other_spelling() {
        let cmk = CmkVersion { key: KeyId::random(), version: 12 };
        assert_eq!(parse_label(label_of(cmk).as_bytes()), Some(cmk));
        let key = cmk.key;
        for other in [
            RECORD_KEY.to_owned(),
            format!("evsfs:{key}:012"),
            format!("evsfs:{key}:+12"),
            format!("evsfs:{key}:"),
            format!("evsfs:{key}"),
            format!("evsfs:{}:12", key.to_string().to_uppercase()),
            format!("other:{key}:12"),
        ] {
            assert_eq!(parse_label(other.as_bytes()), None, "{other}");
        }
        assert_eq!(parse_label(&[0xff, 0xfe]), None);
    }
}
