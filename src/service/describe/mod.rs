//! What there is, as answers, control files and tables show it: a noun a file, each with its object
//! and how it is made. The fields of an object are the files of its control directory.

mod activity;
mod attention;
mod backup;
mod data_key;
mod deletion;
mod disk;
mod image;
mod job;
mod key;
mod mount;
mod project;
mod server;
mod time;

pub use activity::{ActivityInfo, DiskActivityInfo, OperationInfo};
pub use attention::AttentionInfo;
pub use backup::BackupInfo;
pub use data_key::DataKeyInfo;
pub use deletion::{BackupDeletionInfo, DiskDeletionInfo};
pub use disk::DiskInfo;
pub use image::ImageInfo;
pub use job::JobInfo;
pub use key::{ImportParametersInfo, KeyInfo, VersionInfo};
pub use mount::StatusInfo;
pub use project::{AgencyInfo, DefaultEncryptionInfo};
pub use server::ServerInfo;
pub(super) use time::shown_time;
