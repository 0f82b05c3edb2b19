//! A mistake in `mount.toml`: the file, the key, the reason.

use crate::error::{Error, ErrorKind};
use std::path::Path;

/// How alike two words must be (Jaro-Winkler, 0 to 1) for one to be offered for the other.
const ALIKE: f64 = 0.8;

/// The refusal of a file because of the value, or the absence, of `key` (dotted, empty for the file
/// as a whole). Of a key that is quoted in TOML every character that is not for showing is escaped.
pub(super) fn mistake(file: &Path, key: &str, reason: impl std::fmt::Display) -> Error {
    let place = if key.is_empty() { String::new() } else { format!("{}: ", key.escape_debug()) };
    Error::new(ErrorKind::Invalid, format!("{}: {place}{reason}", file.display()))
        .remedy(format!("edit {}; every key is explained in mount.toml.example", file.display()))
}

/// The candidate that was probably meant.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// `"a", "b" or "c"`.
pub(super) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => format!("{only:?}"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|word| format!("{word:?}")).collect();
            format!("{} or {last:?}", first.join(", "))
        }
    }
}

/// The reason a word is none of those allowed, with the one that was probably meant.
pub(super) fn unknown_word(word: &str, allowed: &[&str]) -> String {
    match nearest(word, allowed.iter().copied()) {
        Some(meant) => format!("{word:?} is unknown; did you mean {meant:?}?"),
        None => format!("{word:?} is unknown; use {}", alternatives(allowed)),
    }
}
