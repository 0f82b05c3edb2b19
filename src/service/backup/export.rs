//! A backup as one stream, read through `.evs/backups/NAME/data` (RULES A6).
//!
//! What an export holds is what the backup holds: ciphertext, and the data key wrapped by its master
//! key. No key is asked for, so that a backup can be carried away whose key is disabled. It is
//! always flat, the content of the whole chain as one full backup: it comes back on its own, under
//! any name, wherever the root key is, and no member of it can be missing or taken already.

use super::catalogue::BackupEntry;
use super::record::BackupRecord;
use super::stream::OutStream;
use crate::archive::{Unmetered, pack_flat};
use crate::auth::{Action, Caller};
use crate::error::{Error, Result};
use crate::id::{DiskId, Name};
use crate::service::Service;
use serde::{Deserialize, Serialize};
use std::io::{BufWriter, Write};
use std::sync::Arc;

/// What is handed to the pipe at once.
const PIECE: usize = 1 << 18;

/// What an export says of its backup, beside what the engines live by. It is sealed with that.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Packed {
    /// The name it had.
    pub name: Name,
    /// Of which disk it is.
    pub disk: DiskId,
    /// The disk's name.
    pub disk_name: Name,
    /// When it was asked for.
    pub created: jiff::Timestamp,
}

impl Packed {
    fn of(record: &BackupRecord) -> Packed {
        Packed {
            name: record.name.clone(),
            disk: record.disk,
            disk_name: record.disk_name.clone(),
            created: record.created,
        }
    }
}

impl Service {
    /// Begins to export a backup, which is neither merged nor deleted while this lasts.
    ///
    /// # Errors
    /// `not-found`; `wrong-status`; `quota` when too many are exported. Damage is found by reading.
    pub fn open_backup_export(
        &self,
        caller: Caller,
        entry: &Arc<BackupEntry>,
    ) -> Result<OutStream> {
        let _permit = self.permit(caller, Action::UseObject { owner: entry.owner() })?;
        let held = self.hold_backup(entry, "export")?;
        let packed = Packed::of(&entry.state().record);
        let service = self.itself()?;
        log::info!("event=backup-exported backup={} name={}", entry.id(), entry.name());
        self.backups.streams().outgoing(move |pipe| {
            let mut sink = BufWriter::with_capacity(PIECE, pipe);
            let made = service.open_chain(&held).and_then(|chain| {
                pack_flat(&chain, &packed, &service.records, &mut sink, &Unmetered)?;
                sink.flush().map_err(|cause| Error::io("writing the export", cause))
            });
            service.note_damage(held.newest(), &made);
            made
        })
    }
}
