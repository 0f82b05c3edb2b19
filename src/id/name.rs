//! Names that people choose, checked once at the door.

use crate::error::{Code, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The name of a disk, backup, image or server: `[A-Za-z0-9][A-Za-z0-9._-]{0,62}` (RULES D12).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// The alias of a master key: `[a-zA-Z0-9:_-]{1,255}` (RULES K3), or one of EVS's own under `evs/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alias(String);

/// A key's description: up to 255 characters, none of them a control character (RULES K3).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Description(String);

impl Name {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 63;

    /// Checks a name.
    ///
    /// # Errors
    /// `invalid` with EVS.1003.
    pub fn parse(text: &str) -> Result<Name> {
        let mut bytes = text.bytes();
        let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let goes_on_well =
            bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if starts_well && goes_on_well && text.len() <= Name::MAX_LEN {
            return Ok(Name(text.to_owned()));
        }
        Err(Error::new(ErrorKind::Invalid, format!("{} is not a valid name", quoted(text)))
            .code(Code::EVS_1003)
            .remedy(
                "use 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit",
            ))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Alias {
    /// The longest alias, in bytes.
    pub const MAX_LEN: usize = 255;
    /// The prefix of the aliases that belong to EVS.
    pub const EVS_PREFIX: &'static str = "evs/";
    /// The alias of the key that EVS makes for itself (RULES K2).
    pub const DEFAULT: &'static str = "evs/default";

    /// The default key's alias.
    pub fn evs_default() -> Alias {
        Alias(Alias::DEFAULT.to_owned())
    }

    /// Checks an alias that a user may give to a key of their own.
    ///
    /// # Errors
    /// `invalid` with KMS.1101, also for aliases under `evs/`.
    pub fn parse_customer(text: &str) -> Result<Alias> {
        if Alias::has_valid_form(text) {
            return Ok(Alias(text.to_owned()));
        }
        let why = if text.starts_with(Alias::EVS_PREFIX) {
            "lies under evs/, which belongs to EVS"
        } else {
            "is not a valid key alias"
        };
        Err(Error::new(ErrorKind::Invalid, format!("{} {why}", quoted(text)))
            .code(Code::KMS_1101)
            .remedy("use 1 to 255 letters, digits, ':', '_' or '-'"))
    }

    /// Checks an alias that names an existing key, the default key included.
    ///
    /// # Errors
    /// `invalid` with KMS.1101.
    pub fn parse(text: &str) -> Result<Alias> {
        match text.strip_prefix(Alias::EVS_PREFIX) {
            Some(rest) if Alias::has_valid_form(rest) => Ok(Alias(text.to_owned())),
            _ => Alias::parse_customer(text),
        }
    }

    /// Whether this is the default key's alias.
    pub fn is_default(&self) -> bool {
        self.0 == Alias::DEFAULT
    }

    /// Whether the alias belongs to EVS.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(Alias::EVS_PREFIX)
    }

    /// The alias as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn has_valid_form(text: &str) -> bool {
        (1..=Alias::MAX_LEN).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-'))
    }
}

impl Description {
    /// The longest description, in characters.
    pub const MAX_CHARS: usize = 255;

    /// Checks a description.
    ///
    /// # Errors
    /// `invalid` with KMS.1103.
    pub fn parse(text: &str) -> Result<Description> {
        if text.chars().count() <= Description::MAX_CHARS && !text.chars().any(char::is_control) {
            return Ok(Description(text.to_owned()));
        }
        Err(Error::new(ErrorKind::Invalid, "the description is too long or has control characters")
            .code(Code::KMS_1103)
            .remedy("use up to 255 characters on one line"))
    }

    /// The description as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text from outside, escaped and cut so that it can stand in a message.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() { format!("{shown:?}...") } else { format!("{shown:?}") }
}

macro_rules! as_text {
    ($($name:ident by $parse:path;)*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                $parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    )*};
}

as_text! {
    Name by Name::parse;
    Alias by Alias::parse;
    Description by Description::parse;
}

#[cfg(test)]
mod tests {
    use super::{Alias, Description, Name};

    #[test]
    fn names_that_could_leave_their_directory_or_line_are_refused() {
        let long = "a".repeat(256);
        for text in ["", ".", "..", ".evs", "a/b", "a\0b", "a\nb", "-a", "_a", "a b", "ä", &long] {
            assert!(Name::parse(text).is_err(), "{text:?}");
        }
        let longest = "a".repeat(63);
        for text in ["a", "0", "db-1.old_2", longest.as_str()] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
        }
        assert!(Name::parse(&"a".repeat(64)).is_err());
    }

    #[test]
    fn aliases_under_evs_belong_to_evs() {
        assert!(Alias::parse_customer("evs/default").is_err());
        assert!(Alias::parse_customer("evs/mine").is_err());
        assert!(Alias::parse("evs/default").unwrap().is_default());
        assert!(Alias::parse("evs/").is_err());
        assert!(Alias::parse("evs/../x").is_err());
        assert!(Alias::parse_customer("finance:2026_a-b").is_ok());
        assert!(Alias::parse_customer(&"k".repeat(256)).is_err());
    }

    #[test]
    fn descriptions_are_counted_in_characters_and_stay_on_one_line() {
        assert!(Description::parse(&"ä".repeat(255)).is_ok());
        assert!(Description::parse(&"a".repeat(256)).is_err());
        assert!(Description::parse("a\nb").is_err());
    }
}
