//! Disks that come from elsewhere.

use super::disk::{sector_size, size};
use crate::crypto::Dk;
use crate::error::Result;
use crate::id::{Alias, Name};
use crate::service::Fields;
use crate::units::{ByteLen, SectorSize};
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a disk that comes from elsewhere shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskImport {
    /// Its name.
    pub name: Name,
    /// Its size; `None`, for one whose payload stays where it is, is all there is.
    pub size: Option<ByteLen>,
    /// What comes in.
    pub content: ImportedContent,
    /// The master key; `None` leaves it to the project's default (RULES D4).
    pub key: Option<Alias>,
    /// The sector size; `None` leaves it to the project's default, where the size allows that.
    pub sector_size: Option<SectorSize>,
}

/// What comes in.
#[derive(Clone)]
pub enum ImportedContent {
    /// Plain bytes, for a disk that is encrypted or not; `None` leaves it to the project's default.
    Plain(Option<bool>),
    /// A payload, sealed already by this data key.
    Sealed(Arc<Dk>),
    /// The same, which stays where it is: in this file or device, from this offset on.
    InPlace(Arc<Dk>, PathBuf, ByteLen),
}

impl std::fmt::Debug for ImportedContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImportedContent::Plain(encrypted) => write!(f, "Plain({encrypted:?})"),
            ImportedContent::Sealed(_) => f.write_str("Sealed(..)"),
            ImportedContent::InPlace(_, path, start) => write!(f, "InPlace({path:?}, {start})"),
        }
    }
}

impl PartialEq for ImportedContent {
    fn eq(&self, other: &Self) -> bool {
        use ImportedContent as C;
        match (self, other) {
            (C::Plain(one), C::Plain(other)) => one == other,
            (C::Sealed(one), C::Sealed(other)) => one.ct_eq(other),
            (C::InPlace(one, path, start), C::InPlace(other, other_path, other_start)) => {
                one.ct_eq(other) && (path, start) == (other_path, other_start)
            }
            _ => false,
        }
    }
}

pub(super) fn import(words: &mut Fields) -> Result<DiskImport> {
    let dk = match words.take_text("data_key")?.map(Zeroizing::new) {
        Some(digits) => Some(Arc::new(Dk::from_hex(&digits)?)),
        None => None,
    };
    let name = words.need_name("name")?;
    let content = match (dk, words.take_text("backing")?) {
        (Some(dk), Some(path)) => {
            let start = words.take_text("offset")?.unwrap_or_else(|| "0".to_owned());
            ImportedContent::InPlace(dk, PathBuf::from(path), ByteLen::parse(&start)?)
        }
        (Some(dk), None) => ImportedContent::Sealed(dk),
        (None, Some(_)) => {
            return Err(crate::error::Error::new(
                crate::error::ErrorKind::Invalid,
                "\"backing\" is for a payload that brings its \"data_key\"",
            ));
        }
        (None, None) => ImportedContent::Plain(words.take_flag("encrypted")?),
    };
    let is_measured = matches!(content, ImportedContent::InPlace(..)) && !words.has("size");
    Ok(DiskImport {
        name,
        size: if is_measured { None } else { Some(size(words)?) },
        content,
        key: words.take_alias("key")?,
        sector_size: sector_size(words)?,
    })
}
