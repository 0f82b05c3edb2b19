//! What is remembered of a disk, at `disks/<id>/disk.toml` (INTERFACE section 7).

use super::servers::Membership;
use crate::crypto::WrappedDk;
use crate::disk::Access;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{DiskId, Name, Uid};
use crate::records::RecordPath;
use crate::units::{ByteLen, SectorSize};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A disk's record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskRecord {
    /// The disk's id.
    pub id: DiskId,
    /// The disk's name.
    pub name: Name,
    /// How far its making or unmaking has got.
    pub stage: Stage,
    /// Size in bytes.
    size: u64,
    /// Sector size in bytes.
    sector_size: u64,
    /// The encryption attribute (RULES D2); true exactly when `dk` is there.
    encrypted: bool,
    /// Who created it.
    pub owner: Uid,
    /// When, in RFC 3339.
    created: String,
    /// Attached in this way when the daemon last ran (RULES D9).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    attached: Option<AttachedAs>,
    /// What it was made from, in the words of the command that made it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// Where the payload lies, if not beside this record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backing: Option<PathBuf>,
    /// Where in there it begins, in bytes, if not at the start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backing_offset: Option<u64>,
    /// Why it was not attached again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The data key, wrapped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dk: Option<WrappedDk>,
    /// The server it belongs to, and as what.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server: Option<Membership>,
}

/// How far the making or unmaking of a disk has got, so that a restart can end what a crash left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The payload may not exist yet; nobody was told of the disk.
    Creating,
    /// The disk exists.
    Ready,
    /// The payload may be gone already.
    Deleting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AttachedAs {
    Rw,
    Ro,
}

impl DiskRecord {
    /// The record of a disk about to be made.
    pub fn new(
        name: Name,
        size: ByteLen,
        sector_size: SectorSize,
        owner: Uid,
        created: jiff::Timestamp,
    ) -> Self {
        DiskRecord {
            id: DiskId::random(),
            name,
            stage: Stage::Creating,
            size: size.get(),
            sector_size: sector_size.len().get(),
            encrypted: false,
            owner,
            created: super::describe::shown_time(created),
            attached: None,
            source: None,
            backing: None,
            backing_offset: None,
            error: None,
            dk: None,
            server: None,
        }
    }

    /// Makes the disk an encrypted one, for life.
    pub fn seal_with(&mut self, dk: WrappedDk) {
        self.encrypted = true;
        self.dk = Some(dk);
    }

    /// Checks what the type system cannot: the attribute agrees with the key, sizes are sizes.
    ///
    /// # Errors
    /// `integrity`, naming the disk.
    pub fn check(self) -> Result<DiskRecord> {
        let is_sound = self.encrypted == self.dk.is_some()
            && SectorSize::from_bytes(self.sector_size).is_ok_and(|s| s.is_aligned(self.size))
            && self.size > 0
            // What lies in the state directory begins at its start.
            && (self.backing.is_some() || self.backing_offset.is_none());
        if is_sound {
            return Ok(self);
        }
        let message = format!("the record of disk {} contradicts itself", self.id);
        Err(Error::new(ErrorKind::Integrity, message).remedy("evsfs check"))
    }

    /// The disk's size.
    pub fn size(&self) -> ByteLen {
        ByteLen::new(self.size)
    }

    /// Sets a new size, which must be a multiple of the sector size.
    pub fn set_size(&mut self, size: ByteLen) {
        self.size = size.get();
    }

    /// The disk's sector size.
    pub fn sector_size(&self) -> SectorSize {
        // `check` has refused every other value.
        SectorSize::from_bytes(self.sector_size).unwrap_or(SectorSize::S4096)
    }

    /// The encryption attribute.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The data key and the disk it is bound to (RULES K6), this one.
    pub fn bound_dk(&self) -> Option<(DiskId, &WrappedDk)> {
        self.dk.as_ref().map(|dk| (self.id, dk))
    }

    /// When the disk was made, RFC 3339.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// How the disk was attached when this was written.
    pub fn attached(&self) -> Option<Access> {
        self.attached.map(|how| match how {
            AttachedAs::Rw => Access::ReadWrite,
            AttachedAs::Ro => Access::ReadOnly,
        })
    }

    /// Remembers an attachment, or that there is none.
    pub fn set_attached(&mut self, access: Option<Access>) {
        self.attached = access.map(|access| match access {
            Access::ReadWrite => AttachedAs::Rw,
            Access::ReadOnly => AttachedAs::Ro,
        });
    }

    /// Where a disk's record lies.
    ///
    /// # Errors
    /// None in practice: ids make valid paths.
    pub fn path_of(id: DiskId) -> Result<RecordPath> {
        RecordPath::parse(&format!("disks/{id}/disk.toml"))
    }
}
