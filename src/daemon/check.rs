//! The offline check of a state directory.

use super::assembly::{open_hsm, open_records};
use super::migrate::{left_of_a_move, refuse_unfinished_move, remove_what_a_move_left};
use super::state_dir;
use crate::config::Config;
use crate::crypto::SecretText;
use crate::disk::Access;
use crate::error::{Error, ErrorKind, Result};
use crate::id::DiskId;
use crate::kms::Kms;
use crate::records::RecordPath;
use crate::service::{
    DiskRecord, Payloads, Stage, check_image, check_job_record, check_server_record,
};
use crate::sys::SystemClock;
use std::path::PathBuf;
use std::sync::Arc;

/// What a check has found.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// Objects that were looked at.
    pub checked: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Something wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The file that is concerned.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether `--repair` has put it right.
    pub repaired: bool,
}

/// Checks every record, payload and wrapped key of a state directory that no daemon works on.
/// With `repair`, removes what a crash left of disks that were never finished or were being
/// deleted; nothing else can be repaired without a chance of loss.
///
/// # Errors
/// `in-use` while a daemon lives; `wrong-secret`; `integrity` when the root key does not fit.
pub fn check(config: &Config, secret: Option<&SecretText>, repair: bool) -> Result<CheckReport> {
    state_dir::check_privacy(&config.state_dir)?;
    let _lock = state_dir::lock(&config.state_dir)?;
    refuse_unfinished_move(&config.state_dir)?;
    let hsm = open_hsm(config, secret)?;
    let records = open_records(config, &*hsm)?;
    let payloads = Payloads::new(config.state_dir.clone(), config.backing_dirs.clone());
    let mut report = CheckReport { checked: 0, findings: Vec::new() };
    if let Some(directory) = left_of_a_move(&config.state_dir) {
        if repair {
            remove_what_a_move_left(&config.state_dir)?;
        }
        report.findings.push(Finding {
            file: directory,
            problem: "a move of the keys that was interrupted left this directory".to_owned(),
            remedy: "evsfs check --repair, or mount once".to_owned(),
            repaired: repair,
        });
    }

    let kms = match Kms::open(records.clone(), hsm.clone(), Arc::new(SystemClock)) {
        Ok(kms) => {
            report.checked += kms.list().len() as u64;
            Some(kms)
        }
        Err(error) => {
            report.add(config.state_dir.join("kms/keys"), &error);
            None
        }
    };
    for directory in records.list(&RecordPath::parse("disks")?)? {
        report.checked += 1;
        let file = config.state_dir.join("disks").join(&directory).join("disk.toml");
        let id = DiskId::parse(&directory);
        if let Ok(id) = &id
            && payloads.has_empty_directory(*id)
        {
            if repair {
                payloads.remove_directory(*id)?;
            }
            report.findings.push(Finding {
                file: payloads.directory_of(*id),
                problem: "a crash left this directory, which holds nothing".to_owned(),
                remedy: "evsfs check --repair, or mount once".to_owned(),
                repaired: repair,
            });
            continue;
        }
        let loaded = id.and_then(|id| {
            records.load::<DiskRecord>(&DiskRecord::path_of(id)?)?.ok_or_else(|| {
                Error::new(ErrorKind::Integrity, "the record is missing beside its payload")
                    .remedy("put the record back from a copy of the state directory")
            })
        });
        let record = match loaded.and_then(DiskRecord::check) {
            Ok(record) => record,
            Err(error) => {
                report.add(file, &error);
                continue;
            }
        };
        if record.stage != Stage::Ready {
            let mut finding = Finding {
                file,
                problem: format!(
                    "disk {:?} was left half-made or half-deleted",
                    record.name.as_str()
                ),
                remedy: "evsfs check --repair, or mount once".to_owned(),
                repaired: false,
            };
            if repair {
                payloads.remove(&record)?;
                records.remove(&DiskRecord::path_of(record.id)?)?;
                payloads.remove_directory(record.id)?;
                finding.repaired = true;
            }
            report.findings.push(finding);
            continue;
        }
        let payload = payloads.open(&record, Access::ReadOnly).and_then(|payload| {
            let len = payload.len();
            if len >= record.size() {
                return Ok(());
            }
            let message = format!("the payload is {len} long, the disk {}", record.size());
            Err(Error::new(ErrorKind::Integrity, message)
                .remedy("put the payload back from a backup"))
        });
        if let Err(error) = payload {
            report.add(payloads.directory_of(record.id).join("payload"), &error);
        }
        if let (Some(kms), Some(dk)) = (&kms, &record.dk)
            && kms.by_id(dk.key).is_err()
        {
            report.findings.push(Finding {
                file,
                problem: format!("the key of disk {:?} is gone", record.name.as_str()),
                remedy: "the data cannot be restored; delete the disk".to_owned(),
                repaired: false,
            });
        }
    }
    for name in records.list(&RecordPath::parse("images")?)? {
        report.checked += 1;
        let images = config.state_dir.join("images");
        if let Err(error) = check_image(&records, &images, &name) {
            report.add(images.join(&name), &error);
        }
    }
    for name in records.list(&RecordPath::parse("servers")?)? {
        report.checked += 1;
        if let Err(error) = check_server_record(&records, &name) {
            report.add(config.state_dir.join("servers").join(&name), &error);
        }
    }
    for name in records.list(&RecordPath::parse("jobs")?)? {
        report.checked += 1;
        if let Err(error) = check_job_record(&records, &name) {
            report.add(config.state_dir.join("jobs").join(&name), &error);
        }
    }
    Ok(report)
}

impl CheckReport {
    fn add(&mut self, file: PathBuf, error: &Error) {
        self.findings.push(Finding {
            file,
            problem: error.explained(),
            remedy: error
                .suggested_remedy()
                .unwrap_or("put the file back from a copy of the state directory")
                .to_owned(),
            repaired: false,
        });
    }
}
