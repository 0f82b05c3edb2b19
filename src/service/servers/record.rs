//! What is remembered of a server, at `servers/<id>.toml`, and of its disks' part in it.

use crate::error::Result;
use crate::id::{Name, ServerId, Uid};
use crate::records::RecordPath;
use crate::service::Stage;
use serde::{Deserialize, Serialize};

/// A server's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerRecord {
    /// The server's id.
    pub id: ServerId,
    /// The server's name.
    pub name: Name,
    /// How far its making or unmaking has got.
    pub stage: Stage,
    /// Whether its data disks are deleted with it, once it is being deleted.
    #[serde(default)]
    pub with_data_disks: bool,
    /// Who created it.
    pub owner: Uid,
    /// When, in RFC 3339.
    pub created: String,
    /// The image its system disk was made from, as it was named then.
    pub image: Name,
}

/// To which server a disk belongs, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// The server.
    pub id: ServerId,
    /// As what.
    pub role: DiskRole,
}

/// What a disk is to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskRole {
    /// It comes and goes with the server.
    System,
    /// It was made with the server.
    Data,
}

impl ServerRecord {
    /// Where a server's record lies.
    ///
    /// # Errors
    /// None in practice: ids make valid paths.
    pub fn path_of(id: ServerId) -> Result<RecordPath> {
        RecordPath::parse(&format!("servers/{id}.toml"))
    }

    /// The id that a name in that directory stands for.
    pub(super) fn id_of(name: &str) -> Option<ServerId> {
        ServerId::parse(name.strip_suffix(".toml")?).ok()
    }
}
