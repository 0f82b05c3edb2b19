//! Making a backup (RULES P3).

use super::catalogue::BackupEntry;
use super::guard::Claim;
use super::held::HeldChain;
use super::record::{BackupRecord, BackupStage};
use super::status::{BackupEvent, BackupStatus};
use crate::archive::{Chain, Changes, NewArchive, Sealing, Written, write_full, write_incremental};
use crate::auth::Permit;
use crate::backing::{Backing, FileBacking};
use crate::disk::{Access, ChangedRegions, DetachedDisk, SealedSource, Snapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BackupId, Name};
use crate::service::kept_changes::KeptChanges;
use crate::service::{
    Attachment, DiskEntry, DiskEvent, DiskRecord, JobContext, JobKind, NewJob, Service, StartedJob,
};
use crate::units::ByteLen;
use std::path::Path;
use std::sync::Arc;

/// The scratch file of a snapshot, gone from its directory as soon as it is open.
pub(super) const SPILL: &str = "spill";
/// What is left for the disk's name in a name made of it and a time.
const LONGEST_PREFIX: usize = 40;

/// What a new backup shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBackup {
    /// The disk.
    pub disk: Name,
    /// The backup's name; `None` makes one of the disk's and the time.
    pub name: Option<Name>,
    /// How much is copied.
    pub mode: BackupMode,
    /// Bytes a second that it keeps to.
    pub limit: Option<u64>,
}

/// How much of the disk a backup holds itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupMode {
    /// What changed since the last backup where there is one to build upon, else everything.
    Auto,
    /// Everything.
    Full,
    /// What changed since the last backup, which must be there.
    Incremental,
}

/// A source, and since when it is known what has changed.
struct Source<'a> {
    sealed: &'a dyn SealedSource,
    changes: Option<(BackupId, &'a ChangedRegions)>,
}

impl Service {
    /// Begins the backup of a disk: a job. The KMS is not asked for anything.
    pub(in crate::service) fn create_backup(
        &self,
        permit: &Permit,
        disk: Arc<DiskEntry>,
        new: NewBackup,
    ) -> Result<StartedJob> {
        let record = {
            let state = disk.state();
            state.status.moved_by(DiskEvent::BackUp, disk.name())?;
            state.record.clone()
        };
        if new.mode == BackupMode::Incremental && self.backups.head_of(disk.id()).is_none() {
            let message = format!("disk {:?} has no backup to build upon", disk.name().as_str());
            return Err(Error::new(ErrorKind::NotFound, message).remedy("leave out --incremental"));
        }
        let created = self.clock.now();
        let name = match new.name {
            Some(name) => name,
            None => self.free_name(disk.name(), created)?,
        };
        let entry = Arc::new(BackupEntry::new(
            BackupRecord {
                id: BackupId::random(),
                name: name.clone(),
                stage: BackupStage::Creating,
                disk: disk.id(),
                disk_name: disk.name().clone(),
                owner: disk.owner(),
                created,
                imported: None,
                size: record.size().get(),
                encrypted: record.is_encrypted(),
                archive: None,
            },
            BackupStatus::Creating,
        ));
        self.backups.add(entry.clone())?;
        let claim = Claim::new(&self.itself()?, entry);
        let job = NewJob {
            kind: JobKind::Backup,
            subject: format!("{} as {name}", disk.name()),
            total: None,
            limit: new.limit,
        };
        let mode = new.mode;
        let job = self.start_job(permit.caller(), job, move |service, context| {
            service.back_up(&disk, claim, mode, context)
        })?;
        Ok(StartedJob { job: job.id })
    }

    fn back_up(
        &self,
        disk: &DiskEntry,
        claim: Claim,
        mode: BackupMode,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let entry = claim.entry().clone();
        // From here on the disk is neither attached, detached, extended nor rewrapped.
        let work = disk.begin(DiskEvent::BackUp)?;
        self.check_record(disk)?;
        let (of_disk, attachment) = {
            let state = disk.state();
            (state.record.clone(), state.attachment.clone())
        };
        let mut record = entry.state().record.clone();
        record.size = of_disk.size().get();
        // First, so that a restart knows what the files it finds are.
        let made = self.save_backup(&record).and_then(|()| match &attachment {
            Some(attachment) => {
                self.copy_attached(attachment, &of_disk, &mut record, mode, context)
            }
            None => self.copy_detached(&of_disk, &mut record, mode, context),
        });
        if made.is_err()
            && let Err(error) = self.remove_backup_files(record.id)
        {
            log::warn!("event=backup-left-half-made backup={} error=\"{error}\"", record.id);
        }
        self.note_end("create", &entry, &made, context);
        made?;
        entry.state().record = record;
        entry.end(BackupEvent::Created);
        claim.keep();
        work.done();
        self.tell_of_backup("backup.created", &entry);
        let (id, name, disk) = (entry.id(), entry.name(), disk.id());
        log::info!("event=backup-created backup={id} name={name} disk={disk}");
        Ok(())
    }

    fn copy_attached(
        &self,
        attachment: &Arc<Attachment>,
        of_disk: &DiskRecord,
        record: &mut BackupRecord,
        mode: BackupMode,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let place = self.place_of_backup(record.id);
        // What programs have written is to be in it, also where the kernel has not passed it on yet.
        if let Err(error) = self.kernel.drop_pages(attachment.id()) {
            log::info!("event=backup-without-kernel-cache backup={} error=\"{error}\"", record.id);
        }
        let snapshot = Snapshot::begin(attachment.open()?, spill(&place)?)?;
        let since = attachment.last_backup();
        let source = Source { sealed: &snapshot, changes: since.zip(snapshot.changes()) };
        self.copy(&source, of_disk, record, mode, context)?;
        // Saved before the changes are forgotten: nothing is left out of the next one.
        attachment.set_last_backup(record.id);
        snapshot.conclude();
        Ok(())
    }

    fn copy_detached(
        &self,
        of_disk: &DiskRecord,
        record: &mut BackupRecord,
        mode: BackupMode,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let payload = self.payloads.open(of_disk, Access::ReadOnly)?;
        // A backup must not hold what the disk may yet lose.
        let flushed = payload.flush();
        let kept = self.kept_changes(of_disk).filter(|_| flushed.is_ok());
        // Before the copy, so that whoever changes the payload meanwhile is found out.
        let stamp = self.stamp_of(of_disk).filter(|_| flushed.is_ok());
        let disk = DetachedDisk::open(payload, of_disk.size(), of_disk.sector_size())?;
        let changes = kept.as_ref().map(|kept| (kept.since, &kept.regions));
        self.copy(&Source { sealed: &disk, changes }, of_disk, record, mode, context)?;
        let kept = KeptChanges { since: record.id, regions: ChangedRegions::none() };
        self.save_changes(of_disk, &kept, stamp);
        Ok(())
    }

    /// Copies, and saves the record that makes the copy count.
    fn copy(
        &self,
        source: &Source<'_>,
        of_disk: &DiskRecord,
        record: &mut BackupRecord,
        mode: BackupMode,
        context: &JobContext<'_>,
    ) -> Result<()> {
        let target = NewArchive::create(&self.place_of_backup(record.id))?;
        let sealing = of_disk.dk.clone().map(|dk| Sealing { disk: of_disk.id, dk });
        let parents = match mode {
            BackupMode::Full => None,
            BackupMode::Incremental => Some(self.parents_for(of_disk)?),
            // What cannot be built upon is no reason to be without a backup.
            BackupMode::Auto => self
                .parents_for(of_disk)
                .inspect_err(|why| {
                    log::info!("event=backup-is-full backup={} why=\"{why}\"", record.id)
                })
                .ok(),
        };
        let written = write(source, parents, sealing, target, context)?;
        record.size = source.sealed.size().get();
        record.archive = Some(written.record().clone());
        record.stage = BackupStage::Ready;
        self.save_backup(record)?;
        written.keep().map(drop)
    }

    /// The chain that the next backup of a disk is built upon.
    fn parents_for(&self, disk: &DiskRecord) -> Result<(HeldChain, Chain)> {
        let head = self.backups.head_of(disk.id).ok_or_else(|| {
            let message = format!("disk {:?} has no backup to build upon", disk.name.as_str());
            Error::new(ErrorKind::NotFound, message).remedy("make a full backup")
        })?;
        let held = self.hold_backup(&head, "an incremental backup")?;
        if held.len() >= Chain::MAX_LEN {
            let message = format!("a chain has at most {} backups", Chain::MAX_LEN);
            return Err(Error::new(ErrorKind::Quota, message).remedy("make a full backup"));
        }
        let chain = self.open_chain(&held)?;
        Ok((held, chain))
    }

    pub(super) fn save_backup(&self, record: &BackupRecord) -> Result<()> {
        self.records.save(&BackupRecord::path_of(record.id)?, record)
    }

    /// Removes all of a backup, the record last; what is gone already is no error.
    pub(super) fn remove_backup_files(&self, id: BackupId) -> Result<()> {
        self.home_of_backup(id)?.remove(&self.records)
    }

    /// A name that says of what and of when it is.
    fn free_name(&self, disk: &Name, now: jiff::Timestamp) -> Result<Name> {
        let prefix: String = disk.as_str().chars().take(LONGEST_PREFIX).collect();
        let base = format!("{prefix}-{}", now.strftime("%Y%m%dT%H%M%SZ"));
        let mut name = Name::parse(&base)?;
        let mut number = 2;
        while self.backups.by_name(&name).is_some() {
            name = Name::parse(&format!("{base}-{number}"))?;
            number += 1;
        }
        Ok(name)
    }
}

fn write(
    source: &Source<'_>,
    parents: Option<(HeldChain, Chain)>,
    sealing: Option<Sealing>,
    target: NewArchive,
    context: &JobContext<'_>,
) -> Result<Written> {
    let Some((held, chain)) = parents else {
        return write_full(source.sealed, sealing, target, context);
    };
    // Changes since another backup tell nothing of this one.
    let known = source.changes.filter(|(since, _)| *since == held.newest().id());
    let changes = Changes::noted(known.map(|(_, regions)| regions));
    write_incremental(source.sealed, &chain, changes, sealing, target, context)
}

/// A scratch file that nobody else finds and that no crash leaves behind.
fn spill(place: &Path) -> Result<Box<dyn Backing>> {
    let path = place.join(SPILL);
    let file = FileBacking::create(&path, ByteLen::ZERO)?;
    std::fs::remove_file(&path)
        .map_err(|cause| Error::io(format!("removing {}", path.display()), cause))?;
    Ok(Box::new(file))
}
