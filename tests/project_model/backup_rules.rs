//! What the model says of backups (RULES P2 to P4, A5).

use crate::callers::Who;
use crate::command::{NewDisk, Restored, SLOTS};
use crate::model::{DENIED, Project};
use crate::refusal::{Outcome, Refusal};
use crate::shown::BackupRow;

/// A disk as it was once.
#[derive(Debug, Clone)]
pub struct Backup {
    /// What the disk was called.
    disk: &'static str,
    owner: Who,
    size: u64,
    sector: u64,
    /// The key of the disk, by its number.
    key: Option<u32>,
    content: [u8; SLOTS.len()],
}

impl Project {
    /// No key and no agency is asked for (RULES P3).
    pub fn create_backup(&mut self, who: Who, disk: &'static str, name: &'static str) -> Outcome {
        let of = self.usable(who, disk)?;
        let backup = Backup {
            disk,
            owner: of.owner,
            size: of.size,
            sector: of.sector,
            key: of.key.map(|(serial, _)| serial),
            content: of.content,
        };
        if self.backups.contains_key(name) {
            return Err(Refusal::new("exists"));
        }
        self.backups.insert(name, backup);
        Ok(())
    }

    /// RULES A5, A7.
    pub fn usable_backup(&self, who: Who, name: &str) -> Result<&Backup, Refusal> {
        if !who.is_known() {
            return Err(DENIED);
        }
        let backup = self.backups.get(name).filter(|backup| who.uses_disks_of(backup.owner));
        backup.ok_or(Refusal::new("not-found"))
    }

    /// A disk of any kind, under any key, of any backup; but who cannot read the one cannot make
    /// the other (RULES P2, P4).
    pub fn restore_disk(&mut self, who: Who, asked: &Restored) -> Outcome {
        if !who.creates_disks() {
            return Err(DENIED);
        }
        let backup = self.usable_backup(who, asked.backup)?.clone();
        let size = asked.size.unwrap_or(backup.size);
        if size < backup.size {
            return Err(Refusal::coded("invalid", "EVS.1010"));
        }
        if let Some(key) = backup.key {
            self.require_agency(who)?;
            self.open_data_key(key)?;
        }
        let by_itself = backup.key.is_some() || asked.key.is_some() || self.encrypts_by_default();
        let new = NewDisk {
            name: asked.name,
            size,
            encrypted: Some(asked.encrypted.unwrap_or(by_itself)),
            key: asked.key,
            sector: backup.sector,
        };
        self.create_disk(who, &new, backup.content)
    }

    pub fn backup_rows(&self, who: Who) -> Vec<BackupRow> {
        let visible = self.backups.iter().filter(|(_, backup)| who.uses_disks_of(backup.owner));
        let row = |(name, backup): (&&str, &Backup)| BackupRow {
            name: (*name).to_owned(),
            disk: backup.disk.to_owned(),
            status: "available".to_owned(),
            size: backup.size,
            owner: backup.owner.uid(),
            key: backup.key.map(|key| self.shown_key(key)),
        };
        visible.map(row).collect()
    }

    /// Those under a key which a caller sees, and how many others there are.
    pub fn backups_under(&self, who: Who, key: u32) -> (Vec<String>, usize) {
        let under = self.backups.iter().filter(|(_, backup)| backup.key == Some(key));
        let (visible, foreign): (Vec<_>, Vec<_>) =
            under.partition(|(_, backup)| who.uses_disks_of(backup.owner));
        (visible.into_iter().map(|(name, _)| (*name).to_owned()).collect(), foreign.len())
    }
}
