//! What can be seen of a project, in the same words for the model and the real one.

use std::fmt;

/// All that `agency show`, `.evs/default-encryption`, `disk list`, `backup list` and `key list` tell a caller, but
/// ids and times of creation.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Shown {
    pub agency: bool,
    /// `off`, or the alias of the key.
    pub default_encryption: String,
    pub disks: Vec<DiskRow>,
    pub backups: Vec<BackupRow>,
    pub keys: Vec<KeyRow>,
}

/// A disk. The key of a destroyed one is `gone`; of an error the code is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskRow {
    pub name: String,
    pub status: String,
    pub size: u64,
    pub sector_size: u64,
    pub owner: u32,
    /// Alias, state and version.
    pub key: Option<(String, String, u32)>,
    pub read_only: bool,
    pub error: Option<String>,
}

/// A backup. The key is alias and state, as of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupRow {
    pub name: String,
    pub disk: String,
    pub status: String,
    pub size: u64,
    pub owner: u32,
    pub key: Option<(String, String)>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    pub alias: String,
    pub state: String,
    pub origin: String,
    pub description: String,
    pub deletion_date: Option<String>,
    pub expiry_date: Option<String>,
    /// The interval, and the next date.
    pub rotation: Option<(String, String)>,
    /// How many disks each version holds.
    pub versions: Vec<usize>,
    pub disks: Vec<String>,
    pub attached_disks: Vec<String>,
    pub foreign_disks: Option<usize>,
    pub backups: Vec<String>,
    pub foreign_backups: Option<usize>,
}

impl Shown {
    /// The same without the dates, for where nobody drives the clock.
    pub fn undated(mut self) -> Shown {
        let some = |date: &mut Option<String>| {
            if let Some(date) = date {
                "a date".clone_into(date);
            }
        };
        for key in &mut self.keys {
            some(&mut key.deletion_date);
            some(&mut key.expiry_date);
            if let Some((_, date)) = &mut key.rotation {
                "a date".clone_into(date);
            }
        }
        self
    }
}

/// One line each, so that two of them can be held side by side.
impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  agency: {}, default encryption: {}", self.agency, self.default_encryption)?;
        self.disks.iter().try_for_each(|disk| writeln!(f, "  {disk:?}"))?;
        self.backups.iter().try_for_each(|backup| writeln!(f, "  {backup:?}"))?;
        self.keys.iter().try_for_each(|key| writeln!(f, "  {key:?}"))
    }
}
