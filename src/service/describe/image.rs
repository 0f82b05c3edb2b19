//! Images.

use crate::auth::{Action, Caller};
use crate::error::Result;
use crate::id::{ImageId, Name, Uid};
use crate::service::{ImageEntry, Service};
use serde::Serialize;

/// An image; the fields are the files of its control directory.
#[derive(Debug, Clone, Serialize)]
pub struct ImageInfo {
    /// Its id for life.
    pub id: ImageId,
    /// Its name.
    pub name: Name,
    /// `importing`, `creating`, `available` or `deleting`.
    pub status: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// The bytes of data it holds.
    pub stored: Option<u64>,
    /// Whether it is encrypted, for life.
    pub encrypted: bool,
    /// The alias of its master key, or the key's id when the key is gone.
    pub key: Option<String>,
    /// `enabled`, `disabled`, `pending-deletion`, `pending-import` or `gone`.
    pub key_state: Option<&'static str>,
    /// The version of the master key that wraps its data key.
    pub key_version: Option<u32>,
    /// The sector size in bytes.
    pub sector_size: u64,
    /// The uid of its owner.
    pub owner: Uid,
    /// When it was made, RFC 3339.
    pub created: String,
    /// What it was made from: `disk:NAME`, `image:NAME` or `file`.
    pub source: String,
}

impl Service {
    pub(in crate::service) fn list_images(&self, caller: Caller) -> Result<Vec<ImageInfo>> {
        let _permit = self.permit(caller, Action::EnterControl)?;
        Ok(self.visible_images(caller).iter().map(|entry| self.describe_image(entry)).collect())
    }

    /// An image as replies and control files show it.
    pub fn describe_image(&self, entry: &ImageEntry) -> ImageInfo {
        let state = entry.state();
        let (record, status) = (state.record.clone(), state.status);
        drop(state);
        let dk = record.archive.as_ref().and_then(|archive| archive.sealing()).map(|s| &s.dk);
        let view = dk.map(|dk| (dk.key, self.kms.by_id(dk.key).ok()));
        ImageInfo {
            id: record.id,
            name: record.name.clone(),
            status: status.name(),
            size: record.size().get(),
            stored: record.archive.as_ref().map(|archive| archive.stored().get()),
            encrypted: record.is_encrypted(),
            key: view.as_ref().map(|(id, view)| match view {
                Some(view) => view.alias.to_string(),
                None => id.to_string(),
            }),
            key_state: view.as_ref().map(|(_, view)| match view {
                Some(view) => view.state.name(),
                None => "gone",
            }),
            key_version: dk.map(|dk| dk.version),
            sector_size: record.sector_size().len().get(),
            owner: record.owner,
            created: record.created.clone(),
            source: record.source.clone(),
        }
    }
}
