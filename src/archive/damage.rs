//! What is said of files that are not as they were written.

use crate::error::{Error, ErrorKind};

const REMEDY: &str =
    "put the file back from a copy, or delete the backup or image and make it anew";

/// `integrity`: the file at `place` is wrong at `offset`.
pub(super) fn damaged(place: impl std::fmt::Display, offset: u64, how: &str) -> Error {
    let text = format!("{place} is damaged at offset {offset}: it {how}");
    Error::new(ErrorKind::Integrity, text).remedy(REMEDY)
}

/// `integrity`: the file at `place` is wrong as a whole.
pub(super) fn refused(place: impl std::fmt::Display, why: &str) -> Error {
    Error::new(ErrorKind::Integrity, format!("{place} {why}")).remedy(REMEDY)
}
