//! What is remembered of an image, at `images/<id>/image.toml` (INTERFACE section 7).

use crate::archive::ArchiveRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{DiskId, ImageId, Name, Uid};
use crate::records::RecordPath;
use crate::service::Stage;
use crate::units::{ByteLen, SectorSize};
use serde::{Deserialize, Serialize};

/// An image's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRecord {
    /// The image's id.
    pub id: ImageId,
    /// The image's name.
    pub name: Name,
    /// How far its making or unmaking has got.
    pub stage: Stage,
    /// Size in bytes.
    size: u64,
    /// Sector size in bytes.
    sector_size: u64,
    /// The encryption attribute (RULES P5).
    encrypted: bool,
    /// Who created it.
    pub owner: Uid,
    /// When, in RFC 3339.
    pub created: String,
    /// What it was made from: `disk:NAME`, `image:NAME` or `file`.
    pub source: String,
    /// The archive, once it is whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub archive: Option<ArchiveRecord>,
}

/// What an image about to be made shall be.
pub(super) struct Shape {
    pub size: ByteLen,
    pub sector_size: SectorSize,
    pub encrypted: bool,
}

impl ImageRecord {
    /// The record of an image about to be made.
    pub(super) fn new(
        name: Name,
        shape: &Shape,
        owner: Uid,
        created: String,
        source: String,
    ) -> Self {
        ImageRecord {
            id: ImageId::random(),
            name,
            stage: Stage::Creating,
            size: shape.size.get(),
            sector_size: shape.sector_size.len().get(),
            encrypted: shape.encrypted,
            owner,
            created,
            source,
            archive: None,
        }
    }

    /// Checks what the type system cannot: an image that is ready has an archive, and it is what the
    /// record says.
    ///
    /// # Errors
    /// `integrity`, naming the image.
    pub(super) fn check(self) -> Result<ImageRecord> {
        let is_sound = match (&self.archive, self.stage) {
            (None, stage) => stage != Stage::Ready,
            (Some(archive), _) => {
                archive.size().get() == self.size
                    && archive.sector_size().len().get() == self.sector_size
                    && archive.is_encrypted() == self.encrypted
                    && archive.parent().is_none()
            }
        };
        if is_sound {
            return Ok(self);
        }
        let message = format!("the record of image {} contradicts itself", self.id);
        Err(Error::new(ErrorKind::Integrity, message).remedy("evsfs check"))
    }

    /// The image's size.
    pub fn size(&self) -> ByteLen {
        ByteLen::new(self.size)
    }

    /// The image's sector size.
    pub fn sector_size(&self) -> SectorSize {
        // `check` has compared it with the archive's, which is one.
        SectorSize::from_bytes(self.sector_size).unwrap_or(SectorSize::S4096)
    }

    /// The encryption attribute.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// What a data key made for the image is bound to.
    pub(super) fn key_context(&self) -> Result<DiskId> {
        DiskId::parse(&self.id.to_string())
    }

    /// Where an image's record lies.
    ///
    /// # Errors
    /// None in practice: ids make valid paths.
    pub fn path_of(id: ImageId) -> Result<RecordPath> {
        RecordPath::parse(&format!("images/{id}/image.toml"))
    }
}
