//! Deleting a server, and what its system disk does not do without it (RULES P1).

use super::entry::{ServerEntry, ServerStatus};
use super::record::{DiskRole, ServerRecord};
use crate::auth::{Action, Caller, Permit};
use crate::disk::Access;
use crate::error::{Code, Error, ErrorKind, Result};
use crate::service::commands::DetachMode;
use crate::service::{DiskEntry, Service, Stage};
use std::sync::Arc;

/// What becomes of the data disks of a server that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataDisks {
    /// They are detached and stay.
    Keep,
    /// They are deleted too.
    Delete,
}

impl Service {
    /// Detaches all disks of a server, or none: a disk that is open keeps the server. Then deletes
    /// the system disk, and the data disks if that is wanted; a restart carries on from there.
    pub(in crate::service) fn delete_server(
        &self,
        permit: Permit,
        entry: &ServerEntry,
        data_disks: DataDisks,
    ) -> Result<()> {
        let caller = permit.caller();
        let before = entry.begin_deletion()?;
        let disks = self.disks_of_server(entry.id());
        if let Err(error) = self.detach_all(caller, &disks) {
            entry.becomes(before);
            return Err(error);
        }
        let mut record = entry.record().clone();
        record.stage = Stage::Deleting;
        record.with_data_disks = data_disks == DataDisks::Delete;
        let removed = (|| {
            self.save_server(&record)?;
            for (disk, role) in &disks {
                if *role == DiskRole::System || record.with_data_disks {
                    let permit = self.permit(caller, Action::UseObject { owner: disk.owner() })?;
                    self.delete(permit, disk)?;
                } else {
                    self.free_disk(disk)?;
                }
            }
            self.records.remove(&ServerRecord::path_of(record.id)?)
        })();
        if let Err(error) = removed {
            entry.becomes(ServerStatus::ErrorDeleting);
            return Err(error);
        }
        self.servers.remove(entry);
        self.tell_of_server("server.deleted", entry);
        log::info!("event=server-deleted server={} name={}", entry.id(), entry.name());
        Ok(())
    }

    fn detach_all(&self, caller: Caller, disks: &[(Arc<DiskEntry>, DiskRole)]) -> Result<()> {
        let permit =
            |disk: &DiskEntry| self.permit(caller, Action::UseObject { owner: disk.owner() });
        let mut detached: Vec<(&DiskEntry, Access, bool)> = Vec::new();
        for (disk, _) in disks {
            let attachment = disk.state().attachment.clone();
            let Some(attachment) = attachment else { continue };
            let (access, suspended) = (attachment.access(), attachment.disk().is_suspended());
            drop(attachment);
            match permit(disk).and_then(|permit| self.detach(permit, disk, DetachMode::WhenIdle)) {
                Ok(()) => detached.push((disk, access, suspended)),
                Err(error) => {
                    for (disk, access, suspended) in detached {
                        let again = permit(disk)
                            .and_then(|permit| self.attach(permit, disk, access))
                            .and_then(|()| match suspended {
                                true => self.suspend(permit(disk)?, disk),
                                false => Ok(()),
                            });
                        if let Err(error) = again {
                            log::warn!(
                                "event=not-attached-again disk={} error=\"{error}\"",
                                disk.id()
                            );
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn free_disk(&self, disk: &DiskEntry) -> Result<()> {
        let mut record = disk.state().record.clone();
        record.server = None;
        self.save(&record)?;
        disk.state().record = record;
        Ok(())
    }

    /// Refuses what a system disk does with its server only.
    ///
    /// # Errors
    /// `protected` for a system disk.
    pub(in crate::service) fn must_not_be_system_disk(
        &self,
        disk: &DiskEntry,
        verb: &str,
    ) -> Result<()> {
        let server = disk.state().record.server;
        let Some(member) = server.filter(|member| member.role == DiskRole::System) else {
            return Ok(());
        };
        let name = disk.name().as_str();
        let server = self.servers.by_id(member.id);
        let (of, fix) = match &server {
            Some(server) => (
                format!("server {:?}", server.name().as_str()),
                format!("evsfs server delete {}", server.name()),
            ),
            None => ("a server".to_owned(), "evsfs server list".to_owned()),
        };
        let message =
            format!("disk {name:?} is the system disk of {of} and is {verb} with it only");
        Err(Error::new(ErrorKind::Protected, message).code(Code::EVS_1046).remedy(fix))
    }
}
