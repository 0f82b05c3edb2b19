//! Where a record lies inside the state directory.

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// A relative path such as `kms/keys/<uuid>.toml`, checked once.
///
/// Components are made of ASCII letters, digits, `.`, `_` and `-` and do not begin with a dot, so
/// a path can neither leave its store nor meet the store's own temporary files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPath(String);

impl RecordPath {
    /// The longest path, in bytes.
    pub const MAX_LEN: usize = 255;
    /// The deepest path, in components.
    pub const MAX_DEPTH: usize = 6;

    /// Checks a path.
    ///
    /// # Errors
    /// `invalid`.
    pub fn parse(text: &str) -> Result<Self> {
        let is_valid = text.len() <= RecordPath::MAX_LEN
            && text.split('/').count() <= RecordPath::MAX_DEPTH
            && text.split('/').all(is_component);
        if is_valid {
            return Ok(RecordPath(text.to_owned()));
        }
        let shown: String = text.chars().take(80).collect();
        Err(Error::new(ErrorKind::Invalid, format!("{shown:?} cannot be the path of a record")))
    }

    /// The path of `component` inside this one.
    ///
    /// # Errors
    /// `invalid` when the component is malformed or the result too long or deep.
    pub fn join(&self, component: &str) -> Result<Self> {
        RecordPath::parse(&format!("{}/{component}", self.0))
    }

    /// The path as text, components separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directories above the record, outermost first, each as a path of its own:
    /// `a` and `a/b` for `a/b/c`.
    pub(super) fn directories(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl std::fmt::Display for RecordPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` can be one component of a path.
pub(super) fn is_component(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::RecordPath;

    #[test]
    fn paths_that_could_leave_the_store_are_refused() {
        let long = "a".repeat(256);
        let texts =
            ["", "/", "/a", "a/", "a//b", "..", "a/../b", "a/.b", "a\0", "a b", "a\\b", "é"];
        for text in texts.into_iter().chain([long.as_str(), "1/2/3/4/5/6/7"]) {
            assert!(RecordPath::parse(text).is_err(), "{text:?}");
        }
        for text in ["project.toml", "kms/keys/0-1_2.toml"] {
            assert_eq!(RecordPath::parse(text).unwrap().as_str(), text);
        }
        assert!(RecordPath::parse("disks").unwrap().join("../x").is_err());
    }

    #[test]
    fn directories_are_named_from_the_outermost() {
        let path = RecordPath::parse("a/b/c.toml").unwrap();
        assert_eq!(path.directories().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(path.name(), "c.toml");
    }
}
