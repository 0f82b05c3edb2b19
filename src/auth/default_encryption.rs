//! What becomes of disks whose creator does not say whether to encrypt them (RULES D4).

use crate::id::{Alias, KeyId};
use serde::{Deserialize, Serialize};

/// The default encryption of a project. It overrides the configuration's `[defaults]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DefaultEncryption {
    /// New disks are not encrypted.
    Off,
    /// New disks are encrypted, under this key.
    On(DefaultKey),
}

/// The key of the default encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultKey {
    /// `evs/default`, which is made when it is first needed.
    EvsDefault,
    /// A key of the project's own. By its id: it stays the default under another alias, and a key
    /// that takes the alias of a deleted one does not become it.
    Own(KeyId),
}

impl From<DefaultEncryption> for String {
    fn from(choice: DefaultEncryption) -> String {
        match choice {
            DefaultEncryption::Off => "off".to_owned(),
            DefaultEncryption::On(DefaultKey::EvsDefault) => {
                format!("on {}", Alias::evs_default())
            }
            DefaultEncryption::On(DefaultKey::Own(id)) => format!("on {id}"),
        }
    }
}

impl TryFrom<String> for DefaultEncryption {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let key = match text.strip_prefix("on ") {
            None if text == "off" => return Ok(DefaultEncryption::Off),
            None => return Err(format!("{text:?} is neither off nor on with a key")),
            Some(key) => key,
        };
        if key == Alias::evs_default().as_str() {
            return Ok(DefaultEncryption::On(DefaultKey::EvsDefault));
        }
        match KeyId::parse(key) {
            Ok(id) => Ok(DefaultEncryption::On(DefaultKey::Own(id))),
            Err(_) => Err(format!("{key:?} is not the id of a key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for choice in [
            DefaultEncryption::Off,
            DefaultEncryption::On(DefaultKey::EvsDefault),
            DefaultEncryption::On(DefaultKey::Own(KeyId::random())),
        ] {
            assert_eq!(DefaultEncryption::try_from(String::from(choice)), Ok(choice));
        }
        for text in ["", "on", "on ", "on finance", "OFF", "off "] {
            assert!(DefaultEncryption::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
