//! Data keys that leave evsfs.

use crate::crypto::Dk;
use crate::id::Name;
use crate::service::{DiskEntry, Service};
use serde::{Serialize, Serializer};
use std::path::PathBuf;
use std::sync::Arc;

/// The cipher of all payloads, in the words of cryptsetup(8).
const CIPHER: &str = "aes-xts-plain64";

/// A disk's data key, and what else it takes to open its payload elsewhere.
#[derive(Debug, Clone, Serialize)]
pub struct DataKeyInfo {
    /// The disk.
    pub name: Name,
    /// Its size in bytes.
    pub size: u64,
    /// Its sector size in bytes.
    pub sector_size: u64,
    /// The cipher, in the words of cryptsetup(8).
    pub cipher: &'static str,
    /// The file or block device that holds its payload.
    pub payload: PathBuf,
    /// Where in there it begins, in bytes.
    pub payload_offset: u64,
    /// Whether it is a file in the mount at this moment.
    pub attached: bool,
    /// The 64 bytes of the key, in hexadecimal digits.
    key: ShownKey,
}

/// Written out in answers to whoever may have it, and nowhere else.
#[derive(Clone)]
struct ShownKey(Arc<Dk>);

impl Serialize for ShownKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_hex())
    }
}

impl std::fmt::Debug for ShownKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShownKey(..)")
    }
}

impl Service {
    pub(in crate::service) fn describe_data_key(&self, entry: &DiskEntry, dk: Dk) -> DataKeyInfo {
        let state = entry.state();
        let (record, attached) = (state.record.clone(), state.attachment.is_some());
        drop(state);
        DataKeyInfo {
            name: record.name.clone(),
            size: record.size().get(),
            sector_size: record.sector_size().len().get(),
            cipher: CIPHER,
            payload: self.payloads.path_of(&record),
            payload_offset: record.backing_offset.unwrap_or(0),
            attached,
            key: ShownKey(Arc::new(dk)),
        }
    }
}
