//! The service itself: its parts, and the one door through which commands come.

use super::attached::Attached;
use super::attachment::{Attachment, AttachmentId};
use super::catalogue::{Catalogue, DiskEntry};
use super::command::{Command, Settings};
use super::kernel_cache::KernelCache;
use super::payload::Payloads;
use super::record::DiskRecord;
use super::reply::{AgencyInfo, Reply};
use super::stop::StopSwitch;
use crate::auth::{AGENCY_NAME, Action, Authority, Caller, Permit, Project};
use crate::config::{CacheMode, Role};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{DiskId, Name};
use crate::kms::{AuditEvent, Kms};
use crate::records::Records;
use crate::sys::Clock;
use std::sync::Arc;

/// Entries of the audit log in one answer.
const AUDIT_ENTRIES: usize = 1000;

/// What a service is put together from.
pub struct Parts {
    /// What the configuration says.
    pub settings: Settings,
    /// Who may do what.
    pub authority: Authority,
    /// The agency and the default encryption.
    pub project: Project,
    /// The door to keys.
    pub kms: Arc<Kms>,
    /// The authenticated documents.
    pub records: Arc<Records>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the kernel remembers.
    pub kernel: Arc<dyn KernelCache>,
}

/// The control plane.
pub struct Service {
    pub(super) settings: Settings,
    pub(super) authority: Authority,
    pub(super) project: Project,
    pub(super) kms: Arc<Kms>,
    pub(super) records: Arc<Records>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) kernel: Arc<dyn KernelCache>,
    pub(super) payloads: Payloads,
    pub(super) catalogue: Catalogue,
    pub(super) started: jiff::Timestamp,
    stop: StopSwitch,
    pub(super) attached: Attached,
}

impl Service {
    /// A service without disks; [`Service::load`] reads them.
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, authority, project, kms, records, clock, kernel } = parts;
        let payloads = Payloads::new(settings.state_dir.clone(), settings.backing_dirs.clone());
        Service {
            settings,
            authority,
            project,
            kms,
            records,
            started: clock.now(),
            clock,
            kernel,
            payloads,
            catalogue: Catalogue::default(),
            stop: StopSwitch::default(),
            attached: Attached::new(),
        }
    }

    /// Carries out a command for a caller.
    ///
    /// # Errors
    /// Everything that can be refused; see RULES. Nothing has changed then, unless it says so.
    pub fn execute(&self, caller: Caller, command: Command) -> Result<Reply> {
        match command {
            Command::DiskCreate(request) => {
                let permit = self.permit(caller, Action::CreateObject)?;
                Ok(Reply::Disk(self.create_disk(permit, request)?))
            }
            Command::DiskList => Ok(Reply::Disks(self.list_disks(caller)?)),
            Command::DiskShow(name) => {
                let (entry, _permit) = self.usable(caller, &name)?;
                Ok(Reply::Disk(self.describe_disk(&entry)))
            }
            Command::DiskAttach(name, access) => {
                let (entry, permit) = self.usable(caller, &name)?;
                self.attach(permit, &entry, access)?;
                Ok(Reply::Disk(self.describe_disk(&entry)))
            }
            Command::DiskDetach(name, mode) => {
                let (entry, permit) = self.usable(caller, &name)?;
                self.detach(permit, &entry, mode)?;
                Ok(Reply::Disk(self.describe_disk(&entry)))
            }
            Command::DiskExtend(name, size) => {
                let (entry, permit) = self.usable(caller, &name)?;
                self.extend(permit, &entry, size)?;
                Ok(Reply::Disk(self.describe_disk(&entry)))
            }
            Command::DiskRewrap(name) => {
                let (entry, permit) = self.usable(caller, &name)?;
                self.rewrap(permit, &entry)?;
                Ok(Reply::Disk(self.describe_disk(&entry)))
            }
            Command::DiskDelete(name) => {
                let (entry, permit) = self.usable(caller, &name)?;
                self.delete(permit, &entry)?;
                Ok(Reply::DONE)
            }
            Command::AgencyCreate => {
                let permit = self.permit(caller, Action::ManageAgency);
                let permit = permit.inspect_err(|e| self.record_denial(caller, &command, e))?;
                self.kms_for(caller).recorded(AuditEvent::CreateAgency, |recording| {
                    let decision = self.project.create_agency(permit)?;
                    recording.allow()?;
                    decision.carry_out()
                })?;
                log::info!("agency=created uid={}", caller.uid());
                Ok(Reply::Agency(self.describe_agency()))
            }
            Command::AgencyDelete => {
                let permit = self.permit(caller, Action::ManageAgency);
                let permit = permit.inspect_err(|e| self.record_denial(caller, &command, e))?;
                self.kms_for(caller).recorded(AuditEvent::DeleteAgency, |recording| {
                    let decision = self.project.delete_agency(permit)?;
                    recording.allow()?;
                    decision.carry_out()
                })?;
                log::info!("agency=deleted uid={}", caller.uid());
                Ok(Reply::Agency(self.describe_agency()))
            }
            Command::AgencyShow => {
                let _permit = self.permit(caller, Action::SeeKeys)?;
                Ok(Reply::Agency(self.describe_agency()))
            }
            Command::AuditShow(after) => {
                let _permit = self.permit(caller, Action::ReadAudit)?;
                Ok(Reply::Audit(self.kms.audit_entries(after, AUDIT_ENTRIES)?))
            }
            Command::AuditVerify => {
                let _permit = self.permit(caller, Action::ReadAudit)?;
                Ok(Reply::AuditReport(self.kms.verify_audit()?))
            }
            Command::DefaultEncryptionShow => {
                let _permit = self.permit(caller, Action::SeeKeys)?;
                Ok(Reply::DefaultEncryption(self.describe_default_encryption()))
            }
            Command::DefaultEncryptionSet(wish) => {
                let permit = self.permit(caller, Action::ChooseDefaultEncryption)?;
                self.set_default_encryption(permit, wish)?;
                Ok(Reply::DefaultEncryption(self.describe_default_encryption()))
            }
            Command::MountStatus => {
                let permit = self.permit(caller, Action::EnterControl)?;
                Ok(Reply::Status(Box::new(self.describe_mount(&permit)?)))
            }
            Command::MountStop(mode) => {
                let _permit = self.permit(caller, Action::StopMount)?;
                self.stop.ask(mode);
                Ok(Reply::DONE)
            }
            key_command => self.execute_on_keys(caller, key_command),
        }
    }

    /// Who may do what.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Set when somebody asks the daemon to end.
    pub fn stop_switch(&self) -> &StopSwitch {
        &self.stop
    }

    /// The settings the service was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Total and free bytes where payloads lie.
    ///
    /// # Errors
    /// `io`.
    pub fn space(&self) -> Result<(crate::units::ByteLen, crate::units::ByteLen)> {
        self.payloads.space()
    }

    /// Does what the dates of keys ask for: destroys keys, gives imported material up, rotates.
    ///
    /// # Errors
    /// `kms-unreachable`, `io`: the first failure, after everything has been tried.
    pub fn keep_dates_of_keys(&self) -> Result<()> {
        let kept = [
            ("destroyed", self.kms.destroy_due()),
            ("expired", self.kms.expire_due()),
            ("rotated", self.kms.rotate_due()),
        ];
        let mut failure = None;
        for (what, keys) in kept {
            match keys {
                Ok(keys) => keys.iter().for_each(|key| {
                    log::info!("key={} alias={} {what}", key.id, key.alias);
                }),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// The disk of that name, if the caller may use it.
    ///
    /// # Errors
    /// `not-found`, also for the disk of another owner (RULES A7); `denied` for strangers.
    pub(super) fn usable(&self, caller: Caller, name: &Name) -> Result<(Arc<DiskEntry>, Permit)> {
        let _known = self.permit(caller, Action::EnterControl)?;
        let missing = || {
            Error::new(ErrorKind::NotFound, format!("there is no disk named {:?}", name.as_str()))
                .code(Code::EVS_1002)
                .remedy("evsfs disk list")
        };
        let entry = self.catalogue.by_name(name).ok_or_else(missing)?;
        let permit = self.permit(caller, Action::UseObject { owner: entry.owner() });
        match permit {
            Ok(permit) => Ok((entry, permit)),
            Err(refusal) if refusal.kind() == ErrorKind::NotFound => Err(missing()),
            Err(refusal) => Err(refusal),
        }
    }

    pub(super) fn permit(&self, caller: Caller, action: Action) -> Result<Permit> {
        self.authority.authorize(caller, action)
    }

    /// Demands the agency before the KMS is asked for something to do with disks (RULES A2, A4).
    pub(super) fn require_agency(&self, caller: Caller) -> Result<()> {
        self.project.require_agency(self.authority.has_role(caller, Role::KmsAdministrator))
    }

    pub(super) fn save(&self, record: &DiskRecord) -> Result<()> {
        self.records.save(&DiskRecord::path_of(record.id)?, record)
    }

    /// Reads a disk's record again before a verb relies on it: it must be the one that is known
    /// here. The caller has moved the disk's status on, so that nobody else writes it.
    ///
    /// # Errors
    /// `integrity` naming the record when somebody else has changed it.
    pub(super) fn check_record(&self, entry: &DiskEntry) -> Result<()> {
        self.records.verify(&DiskRecord::path_of(entry.id())?)
    }

    /// The attached disks, sorted by name.
    pub fn attachments(&self) -> Vec<Arc<Attachment>> {
        self.attached.all()
    }

    /// The attached disk whose file has this name.
    pub fn attachment(&self, name: &Name) -> Option<Arc<Attachment>> {
        self.attached.by_name(name)
    }

    /// The attachment with this number, while it lasts.
    pub fn attachment_with_id(&self, id: AttachmentId) -> Option<Arc<Attachment>> {
        self.attached.by_id(id)
    }

    /// Whether the kernel shall keep no pages of disk files.
    pub fn bypasses_page_cache(&self) -> bool {
        self.settings.cache == CacheMode::None
    }

    /// The disk with this name, if the caller may see it.
    pub fn visible_disk_named(&self, caller: Caller, name: &Name) -> Option<Arc<DiskEntry>> {
        self.catalogue.by_name(name).filter(|entry| {
            self.authority.allows(caller, Action::UseObject { owner: entry.owner() })
        })
    }

    /// All disks a caller may see, sorted by name.
    pub fn visible_disks(&self, caller: Caller) -> Vec<Arc<DiskEntry>> {
        let mut entries = self.catalogue.all();
        entries.retain(|entry| {
            self.authority.allows(caller, Action::UseObject { owner: entry.owner() })
        });
        entries
    }

    /// The disk with this id, if the caller may see it.
    pub fn visible_disk(&self, caller: Caller, id: DiskId) -> Option<Arc<DiskEntry>> {
        self.catalogue.by_id(id).filter(|entry| {
            self.authority.allows(caller, Action::UseObject { owner: entry.owner() })
        })
    }

    fn describe_agency(&self) -> AgencyInfo {
        let present = self.project.has_agency();
        AgencyInfo { name: present.then_some(AGENCY_NAME), present }
    }
}
