//! A backup made of an export that a user writes to `.evs/backups/NAME/data` (RULES A6).
//!
//! The stream is taken apart as it comes and never lies anywhere as a whole: nothing is kept of it
//! before its seal, and no chunk before its digest, has turned out right. `finish` makes the backup
//! of it. Whoever closes `data` before that, as a program that is killed does, has given the import
//! up.
//!
//! No key is asked for. A backup whose master key is not in the KMS here is kept all the same, for
//! the key may come later; until then no disk is made of it (KMS.0207).

use super::catalogue::BackupEntry;
use super::export::Packed;
use super::record::{BackupRecord, BackupStage};
use super::status::{BackupEvent, BackupStatus};
use super::stream::InStream;
use crate::archive::{NewArchive, Unmetered, Unpacker, Written};
use crate::auth::{Action, Caller, Permit};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{BackupId, DiskId, Name};
use crate::service::{BackupInfo, Service};
use std::io::{BufReader, Read};
use std::sync::Arc;

/// What is taken from the pipe at once.
const PIECE: usize = 1 << 18;

/// An export that has been taken apart and is not yet a backup.
pub(super) struct Received {
    written: Written,
    packed: Packed,
}

/// `data`, open for writing. Dropping it gives the import up unless it was finished.
pub struct BackupUpload {
    service: Arc<Service>,
    entry: Arc<BackupEntry>,
    stream: Arc<InStream<Received>>,
}

impl Service {
    /// Makes a backup that waits for its content.
    pub(in crate::service) fn import_backup(
        &self,
        permit: &Permit,
        name: Name,
    ) -> Result<BackupInfo> {
        let id = BackupId::random();
        let now = self.clock.now();
        let record = BackupRecord {
            id,
            stage: BackupStage::Creating,
            // What it is of turns out later; meanwhile it is of a disk that there is not.
            disk: DiskId::random(),
            disk_name: name.clone(),
            name,
            owner: permit.caller().uid(),
            created: now,
            imported: Some(now),
            size: 0,
            encrypted: false,
            archive: None,
        };
        let entry = Arc::new(BackupEntry::new(record.clone(), BackupStatus::Importing));
        self.backups.add(entry.clone())?;
        // First, so that a restart knows what the files it finds are.
        self.save_backup(&record).inspect_err(|_| self.forget_import(&entry))?;
        log::info!("event=backup-waits-for-content backup={id} name={}", entry.name());
        Ok(self.describe_backup(&entry))
    }

    /// Opens `data` for writing.
    ///
    /// # Errors
    /// `wrong-status` when the backup is not being imported; `in-use` when somebody writes it;
    /// `quota` when too many are imported.
    pub fn open_backup_upload(
        &self,
        caller: Caller,
        entry: &Arc<BackupEntry>,
    ) -> Result<BackupUpload> {
        let _permit = self.permit(caller, Action::UseObject { owner: entry.owner() })?;
        let (service, unpacker, of) = (self.itself()?, self.itself()?, entry.clone());
        let mut state = entry.state();
        state.status.moved_by(BackupEvent::Received, entry.name(), "writing its content")?;
        if state.has_writer {
            let text = format!("backup {:?} is being written by somebody", entry.name().as_str());
            return Err(Error::new(ErrorKind::InUse, text).code(Code::EVS_1046));
        }
        state.has_writer = true;
        drop(state);
        let stream = self.backups.streams().incoming(move |pipe| {
            let unpacked = unpacker.unpack(of.id(), pipe);
            // Here, since not everybody who is refused lives to be told.
            unpacked.inspect_err(|error| unpacker.tell_of_failed_backup("import", &of, error))
        });
        let stream = stream.map(Arc::new).inspect_err(|_| entry.state().has_writer = false)?;
        let mut state = entry.state();
        // It may have been given up meanwhile.
        state.status.moved_by(BackupEvent::Received, entry.name(), "writing its content")?;
        state.upload = Some(stream.clone());
        drop(state);
        Ok(BackupUpload { service, entry: entry.clone(), stream })
    }

    fn unpack(&self, id: BackupId, stream: impl Read + Send) -> Result<Received> {
        let stream = BufReader::with_capacity(PIECE, stream);
        let mut unpacker = Unpacker::begin(stream, &self.records)?;
        let not_alone = || {
            let text = "the export is refused: it holds a chain, and only flat ones are taken";
            Error::new(ErrorKind::Unsupported, text).remedy("evsfs backup export NAME FILE")
        };
        if unpacker.members() != 1 {
            return Err(not_alone());
        }
        let member = unpacker.next_member::<Packed>()?.ok_or_else(not_alone)?;
        let target = NewArchive::create(&self.place_of_backup(id))?;
        let (written, packed) = member.store(None, target, &Unmetered)?;
        match unpacker.next_member::<Packed>()? {
            None => Ok(Received { written, packed }),
            Some(_) => Err(not_alone()),
        }
    }

    /// The content is complete: makes the backup of it, or nothing.
    pub(in crate::service) fn finish_backup(
        &self,
        _permit: &Permit,
        entry: &Arc<BackupEntry>,
    ) -> Result<BackupInfo> {
        let mut state = entry.state();
        let received = state.status.moved_by(BackupEvent::Received, entry.name(), "finish")?;
        let Some(stream) = state.upload.take() else {
            let name = entry.name().as_str();
            let text = format!("nothing was written to `data` of backup {name:?}");
            return Err(Error::new(ErrorKind::WrongStatus, text).code(Code::EVS_1046));
        };
        // From here on whoever closes `data` gives nothing up any more.
        state.status = received;
        let mut record = state.record.clone();
        drop(state);
        let made = stream.finish().and_then(|received| {
            let Received { written, packed } = received;
            let archive = written.record().clone();
            record.disk = packed.disk;
            record.disk_name = packed.disk_name;
            record.created = packed.created;
            record.size = archive.size().get();
            record.encrypted = archive.is_encrypted();
            record.archive = Some(archive);
            record.stage = BackupStage::Ready;
            log::info!("event=backup-renamed backup={} exported-as={}", record.id, packed.name);
            self.save_backup(&record)
                .and_then(|()| written.keep().map(drop))
                .inspect_err(|error| self.tell_of_failed_backup("import", entry, error))
        });
        made.inspect_err(|_| self.forget_import(entry))?;
        entry.state().record = record;
        entry.end(BackupEvent::Created);
        self.tell_of_backup("backup.created", entry);
        log::info!("event=backup-imported backup={} name={}", entry.id(), entry.name());
        Ok(self.describe_backup(entry))
    }

    /// Gives an import up that is not finished.
    ///
    /// # Errors
    /// `wrong-status` when it is.
    pub(super) fn give_up_import(&self, entry: &BackupEntry) -> Result<()> {
        let mut state = entry.state();
        state.status = state.status.moved_by(BackupEvent::GiveUp, entry.name(), "giving it up")?;
        let stream = state.upload.take();
        drop(state);
        // What was received so far goes with it.
        drop(stream.map(|stream| stream.finish()));
        self.forget_import(entry);
        log::info!("event=backup-given-up backup={} name={}", entry.id(), entry.name());
        Ok(())
    }

    fn forget_import(&self, entry: &BackupEntry) {
        if let Err(error) = self.remove_backup_files(entry.id()) {
            log::warn!("event=backup-left-half-made backup={} error=\"{error}\"", entry.id());
        }
        self.backups.remove(entry);
    }
}

impl BackupUpload {
    /// Hands the next bytes of the export on; `offset` must be where those before them ended.
    ///
    /// # Errors
    /// `integrity` saying why the export is refused; `no-space`, `io`; `invalid` at another
    /// offset, which changes nothing; `detached` once it is finished.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.stream.write(offset, bytes)
    }
}

impl Drop for BackupUpload {
    fn drop(&mut self) {
        // Refused when it was finished, which is how it should be.
        let _ = self.service.give_up_import(&self.entry);
    }
}
