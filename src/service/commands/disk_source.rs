//! What a disk can be made from.

use crate::error::{Error, ErrorKind, Result};
use crate::id::Name;

/// What fills a new disk (RULES P2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskSource {
    /// A backup.
    Backup(Name),
    /// An image.
    Image(Name),
}

impl DiskSource {
    /// Reads `backup:NAME` or `image:NAME`.
    ///
    /// # Errors
    /// `invalid` for anything else.
    pub fn parse(text: &str) -> Result<DiskSource> {
        match text.split_once(':') {
            Some(("backup", name)) => Name::parse(name).map(DiskSource::Backup),
            Some(("image", name)) => Name::parse(name).map(DiskSource::Image),
            _ => Err(Error::new(ErrorKind::Invalid, format!("{text:?} is not a source of a disk"))
                .remedy("use --from backup:NAME or --from image:NAME")),
        }
    }
}

impl std::fmt::Display for DiskSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DiskSource::Backup(name) => write!(f, "backup:{name}"),
            DiskSource::Image(name) => write!(f, "image:{name}"),
        }
    }
}
