//! The control plane: commands in, decisions and state changes, replies out.
//!
//! It decides, gets the data key from the KMS, opens the disk and is out of the way: reads and
//! writes never pass through here, so no lock of this module is ever on the data path.
//!
//! # Lock order
//!
//! catalogue, then one disk's state, then (inside `disk`) region guards. The catalogue lock is
//! held for look-ups only. No lock is held across calls to the KMS, the backing or the kernel: a
//! verb moves the disk's status (`attaching`, `detaching`, ...), works without the lock, and moves
//! it on; a second verb meanwhile is refused by the status table. The locks of `jobs` and `events` are
//! leaves: nothing is called under them.

mod archive_check;
mod archive_home;
mod attach;
mod attached;
mod attachment;
mod audit;
mod backup;
mod catalogue;
mod cipher;
mod commands;
mod control_plane;
mod create;
mod default_encryption;
mod delete;
mod dependants;
mod describe;
mod detach;
mod events;
mod extend;
mod fields;
mod fill;
mod images;
mod jobs;
mod kept_changes;
mod kernel_cache;
mod keys;
mod metrics;
mod moving;
mod payload;
mod record;
mod reply;
mod rewrap;
mod rewrap_all;
mod servers;
mod settings;
mod startup;
mod status;
mod stop;
mod suspend;
mod unserved;

pub use crate::kms::KeyView;
pub use archive_check::{ArchiveFinding, Upkeep};
pub use attachment::{Attachment, AttachmentId, OpenDisk};
pub use backup::{
    BackupEntry, BackupEvent, BackupMode, BackupRecord, BackupStage, BackupStatus, BackupUpload,
    Backups, NewBackup, OutStream, check_backup,
};
pub use catalogue::DiskEntry;
pub use commands::{
    AgencyCommand, AuditCommand, BackupCommand, Command, DefaultEncryptionCommand, DetachMode,
    DiskCommand, DiskImport, DiskSource, ImageCommand, ImageCopy, ImageImport, ImportedContent,
    JobCommand, KeyCommand, MountCommand, NewDisk, NewKeyRequest, NewServer, ServerCommand,
    StopMode, encryption_never_changes,
};
pub use control_plane::{Parts, Service};
pub use describe::{
    ActivityInfo, AgencyInfo, AttentionInfo, BackupDeletionInfo, BackupInfo, DataKeyInfo,
    DefaultEncryptionInfo, DiskActivityInfo, DiskDeletionInfo, DiskInfo, ImageInfo,
    ImportParametersInfo, JobInfo, KeyInfo, OperationInfo, ServerInfo, StatusInfo, VersionInfo,
};
pub use events::{Event, EventReader, Events};
pub use fields::{FieldValue, Fields};
pub use images::{
    ImageContent, ImageEntry, ImageRecord, ImageStatus, ImageUpload, Images, check_image,
};
pub use jobs::{
    Job, JobContext, JobEvent, JobKind, JobState, JobUnit, Limit, NewJob, check_job_record,
};
pub use kept_changes::{check_kept_changes, remove_changes};
pub use kernel_cache::{KernelCache, NoKernelCache};
pub use moving::DiskUpload;
pub use payload::Payloads;
pub use record::{DiskRecord, Stage};
pub use reply::{Reply, StartedJob};
pub use servers::{
    DataDisks, DiskRole, Membership, ServerEntry, ServerRecord, ServerStatus, Servers,
    check_server_record,
};
pub use settings::Settings;
pub use status::{DiskEvent, DiskStatus, Resting};
pub use stop::StopSwitch;
