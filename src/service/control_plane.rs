//! The service itself: its parts, and who may use what of it.

use super::attached::Attached;
use super::attachment::{Attachment, AttachmentId};
use super::backup::Backups;
use super::catalogue::{Catalogue, DiskEntry};
use super::events::Events;
use super::images::Images;
use super::jobs::Jobs;
use super::kernel_cache::KernelCache;
use super::moving::Uploads;
use super::payload::Payloads;
use super::record::DiskRecord;
use super::servers::Servers;
use super::settings::Settings;
use super::stop::StopSwitch;
use super::unserved::Unserved;
use crate::auth::{Action, Authority, Caller, Permit, Project};
use crate::config::{CacheMode, Role};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::id::{DiskId, Name};
use crate::kms::Kms;
use crate::records::Records;
use crate::sync::Mutex;
use crate::sys::Clock;
use std::sync::{Arc, OnceLock, Weak};

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
    pub(super) images: Images,
    pub(super) servers: Servers,
    pub(super) backups: Backups,
    pub(super) uploads: Uploads,
    pub(super) started: jiff::Timestamp,
    pub(super) jobs: Jobs,
    pub(super) events: Events,
    // For the threads of jobs.
    itself: Weak<Service>,
    stop: StopSwitch,
    pub(super) attached: Attached,
    // Set once, when the daemon has restricted itself.
    pub(super) sandbox: OnceLock<&'static str>,
    // Protects what was left out when the state directory was read. A leaf.
    pub(super) unserved: Mutex<Vec<Unserved>>,
}

impl Service {
    /// A service without disks; [`Service::load`] reads them.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { settings, authority, project, kms, records, clock, kernel } = parts;
        let payloads = Payloads::new(settings.state_dir.clone(), settings.backing_dirs.clone())
            .with_direct_io(settings.direct_backing);
        Arc::new_cyclic(|itself| Service {
            jobs: Jobs::new(settings.jobs),
            events: Events::default(),
            itself: itself.clone(),
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
            images: Images::default(),
            servers: Servers::default(),
            backups: Backups::default(),
            uploads: Uploads::default(),
            sandbox: OnceLock::new(),
            stop: StopSwitch::default(),
            attached: Attached::new(),
            unserved: Mutex::default(),
        })
    }

    /// The service, for a thread that works for it.
    ///
    /// # Errors
    /// `internal` while it is being dropped.
    pub(super) fn itself(&self) -> Result<Arc<Service>> {
        let gone = || Error::new(ErrorKind::Internal, "the service is being dropped");
        self.itself.upgrade().ok_or_else(gone)
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
                    log::info!("event=key-{what} key={} alias={}", key.id, key.alias);
                    self.tell_of_key(&format!("key.{what}"), key);
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

    /// How many requests the users of attached disks have made, as far as these are attached still.
    pub(super) fn requests_so_far(&self) -> u64 {
        let requests = self.attachments().into_iter().map(|attachment| {
            let counters = attachment.disk().counters();
            counters.reads + counters.writes + counters.discards + counters.flushes
        });
        requests.sum()
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

    /// Whether the kernel shall read plain payloads by itself where it can.
    pub fn lets_the_kernel_read(&self) -> bool {
        self.settings.passthrough
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
}
